import pytest

from mlship.image.packages.strip import needless


@pytest.mark.parametrize(
    "path",
    [
        "scipy/stats/tests/test_stats.py",
        "scipy/stats/tests/data/jf_skew.npz",
        "numpy/__init__.pyi",
        "sklearn/utils/_heap.pxd",
        "numpy/_core/lib/libnpymath.a",
        "numpy/_core/include/numpy/arrayobject.h",
        "numpy/_core/_simd.cpython-311-x86_64-linux-gnu.so",
        "joblib/test/test_memory.py",
        "simdjson/simdjson.cpp",
        "onnxruntime/capi/libonnxruntime.so.1.32.0",
    ],
)
def test_what_no_running_model_reads_is_left_out(path):
    assert needless(path, set())


@pytest.mark.parametrize(
    "path",
    [
        "numpy/testing/__init__.py",
        "numpy/_core/tests.py",
        "sklearn/utils/_testing.py",
        "pandas/_testing/__init__.py",
        "tests/helper.py",
        "triton/backends/nvidia/include/cuda.h",
        "numpy-2.0.dist-info/licenses/tests/LICENSE.a",
        "numpy.libs/libgfortran.a",
        "scipy/_lib/_ccallback_c.so",
        "numpy/_core/_multiarray_umath.so",
        "sklearn/datasets/data/iris.csv",
        "simdjson/__init__.py",
        "csimdjson.abi3.so",
        "onnxruntime/capi/libonnxruntime_providers_shared.so",
        "onnxruntime/capi/onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so",
    ],
)
def test_modules_data_and_papers_stay(path):
    assert not needless(path, set())


def test_tests_that_an_import_loads_stay_whole():
    assert not needless("odd/tests/data/table.csv", {"odd", "odd/tests"})
    assert not needless("odd/tests/__init__.py", {"odd/tests/inner"})
    assert needless("odd/tests_more/tests/a.py", {"odd/tests"})


def test_what_onnxruntime_has_for_programs_in_c_stays_where_one_is():
    assert not needless("onnxruntime/capi/libonnxruntime.so.1.32.0", {"onnxruntime", "onnxruntime_genai"})
