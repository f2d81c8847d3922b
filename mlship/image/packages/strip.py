"""What no running model reads of an installed package: its own tests, type stubs, sources of compiled modules, static libraries.

Only by name and place, never a module that an import of the package loads. `numpy.testing` and the like are no tests: other
packages import them.
"""

from __future__ import annotations

from collections.abc import Collection

RULES = 5  # part of every layer's key. Raise it when other files are left out
_SUFFIXES = (".pyi", ".pyx", ".pxd", ".pxi", ".tp", ".a", ".lib")


# By name: C headers where there is no compiler; modules that only tests of numpy and scipy import; two photographs of
# scikit-learn's gallery; joblib's tests, whose folder is called otherwise than everybody's.
_NAMED = (
    "numpy/_core/include/",
    *(
        f"numpy/_core/_{name}."
        for name in ("simd", "rational_tests", "umath_tests", "struct_ufunc_tests", "operand_flag_tests")
    ),
    "scipy/_lib/_test_",
    "scipy/ndimage/_cytest.",
    "scipy/special/_test_internal.",
    "sklearn/datasets/images/",
    "joblib/test/",
    # what pysimdjson's module was compiled of (7.6 MB)
    "simdjson/simdjson.",
    "simdjson/util.",
    # PyTorch's own tests in C++ (133 MB with what is beside its helper), and what extensions are compiled with (torch 2.13)
    "torch/test/",
    "torch/include/",
    "torch/share/cmake/",
)
# ONNX Runtime once more, for programs in C (35 MB): Python's own module holds all of it and needs no other (onnxruntime 1.32, its
# dynamic section). onnxruntime-genai looks for the file.
_IN_C, _BOUND_TO_C = "onnxruntime/capi/libonnxruntime.so", "onnxruntime_genai"
_PROGRAMS, _STARTED = "torch/bin/", "torch/bin/torch_shm_manager"  # an import looks for the one; the others are tests, protoc


def needless(path: str, loaded: Collection[str]) -> bool:
    """Whether the file can be left out. Pure.

    path: relative to the installed folder. loaded: folders of which an import loaded something; they stay whole. The folder
    `tests` of a package counts, never one at the top, which is a package of that name.
    """
    if path.startswith(_NAMED) or (path.startswith(_PROGRAMS) and path != _STARTED):
        return True
    if path.startswith(_IN_C):
        return _BOUND_TO_C not in loaded
    parts = path.split("/")
    if parts[0].endswith((".dist-info", ".libs")):
        return False
    tests = next(("/".join(parts[: at + 1]) for at, name in enumerate(parts[:-1]) if at and name == "tests"), "")
    if tests:
        return not any(folder == tests or folder.startswith(f"{tests}/") for folder in loaded)
    return path.endswith(_SUFFIXES)
