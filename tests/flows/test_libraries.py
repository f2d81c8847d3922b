from pathlib import Path

import pytest

from mlship.flows.libraries import (
    Lacking,
    added_findings,
    judged,
    needed_findings,
    to_add,
    unjudged_findings,
    unneeded_findings,
)
from mlship.image.packages.wheel_files import InstalledWheel
from mlship.image.smoke import Smoke
from mlship.image.system import elf
from mlship.image.system.needs import Installed, Missing
from mlship.image.system.providers import Provider

GOMP = Missing("libgomp.so.1", "lightgbm/lib/lib_lightgbm.so")
GL = Missing("libGL.so.1", "opencv_python.libs/libQt5Gui.so")
MPI = Missing("libmpi.so.40", "nvidia/bootstrap_mpi.so")
WHEELS = (
    InstalledWheel("lightgbm", "4.7.0", (), frozenset({GOMP.file})),
    InstalledWheel("nvidia_nvshmem", "3.4", (), frozenset({MPI.file})),
    InstalledWheel("opencv_python", "5.0", (), frozenset({GL.file})),
)
LIBGOMP1 = Provider("libgomp1", ("libgomp1",), 320 * 1024)
LIBGL1 = Provider("libgl1", ("libgl1", "libllvm15"), 216 * 2**20)


@pytest.fixture
def tree(tmp_path: Path) -> Installed:
    files = {each.file: elf.Library(elf.X86_64, "", (each.library,)) for each in (GOMP, GL, MPI)}
    return Installed(tmp_path, files, tmp_path, frozenset({"libc.so.6"}))


def test_what_a_failed_import_asked_for_is_needed_and_the_rest_is_not(tree):
    seen = Smoke({"lightgbm": (GOMP.file,), "cv2": (GL.file,)}, {"lightgbm": "OSError"})
    assert judged(tree, (GL, GOMP, MPI), seen) == Lacking((GOMP,), (GL,), (MPI,))


def test_a_library_that_code_asks_for_by_name_is_needed_when_the_import_fails(tree):
    seen = Smoke({"lib": ("libzbar.so.0", "libc.so.6", "lib/_x.so")}, {"lib": "OSError"})
    assert judged(tree, (), seen).needed == (Missing("libzbar.so.0", "import lib"),)


def test_on_another_platform_everything_may_be_needed(tree):
    assert judged(tree, (GL, GOMP), None).needed == (GL, GOMP)


def test_small_packages_are_added_and_large_ones_are_the_users_decision():
    known = {"libgomp.so.1": LIBGOMP1, "libGL.so.1": LIBGL1}
    assert to_add((GOMP,), known, must=True) == (LIBGOMP1,)
    assert to_add((GOMP, GL), known, must=True) == ()


def test_nothing_is_added_where_it_would_not_be_enough():
    assert to_add((GOMP, MPI), {"libgomp.so.1": LIBGOMP1}, must=True) == ()
    assert to_add((GOMP, MPI), {"libgomp.so.1": LIBGOMP1}, must=False) == (LIBGOMP1,)


def test_an_error_names_wheel_file_library_and_the_line_to_write():
    (told,) = needed_findings((GL,), WHEELS, {"libGL.so.1": LIBGL1}, "bookworm", "mlship.yaml:9 build.packages")
    assert str(told) == (
        "mlship.yaml:9 build.packages  opencv-python 5.0 needs libGL.so.1 (opencv_python.libs/libQt5Gui.so), which the base "
        "bookworm does not have; take opencv-python-headless instead, which needs no display; or write "
        "build: {packages: [libgl1]} (226 MB)"
    )
    assert (told.severity, told.code) == ("error", "missing-library")


def test_a_library_that_no_package_brings_is_left_to_the_user_to_find():
    (told,) = needed_findings((MPI,), WHEELS, {}, "bookworm", "")
    assert told.fix == "find the package of libmpi.so.40 and name it in build.packages"


def test_what_was_added_is_told():
    (told,) = added_findings((GOMP,), WHEELS, (LIBGOMP1,))
    assert told.what == "libgomp1 (328 KB) is added to the image: lightgbm 4.7.0 needs libgomp.so.1"
    assert told.severity == "note"


def test_what_is_done_without_is_a_warning_and_what_nothing_loads_one_note():
    lacking = Lacking(passed_over=(GOMP,), unused=(GL, MPI))
    warning, note = unneeded_findings(lacking, WHEELS, {"libgomp.so.1": LIBGOMP1})
    assert warning.what == "lightgbm 4.7.0 looks for libgomp.so.1 (lightgbm/lib/lib_lightgbm.so) and goes on without"
    assert warning.fix == "write build: {packages: [libgomp1]} (328 KB)"
    assert (warning.severity, note.severity) == ("warning", "note")
    assert note.what.startswith("parts of opencv-python 5.0, nvidia-nvshmem 3.4 need libGL.so.1, libmpi.so.40, which")


def test_for_a_platform_that_does_not_run_here_what_was_not_added_is_a_warning():
    known = {"libgomp.so.1": LIBGOMP1}
    (told,) = unjudged_findings((GOMP, MPI), WHEELS, known, (LIBGOMP1,))
    assert told.what == (
        "nvidia-nvshmem 3.4 may need libmpi.so.40 (nvidia/bootstrap_mpi.so); its imports cannot be tried on this machine"
    )
    assert told.severity == "warning"
