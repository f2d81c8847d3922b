import subprocess
import sys
from pathlib import Path

import pytest
from made_elf import make_library

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.image.smoke import smoke
from mlship.image.system.needs import installed
from mlship.image.workplace import Workplace
from mlship.progress import Silent
from mlship.runner import Command, Result

TRIPLET = "usr/lib/x86_64-linux-gnu"


class ThisPython:
    """Runs what the image's interpreter should with the one of the tests."""

    def run(self, command: Command) -> Result:
        argv = [sys.executable, *command.argv[command.argv.index("-s") :]]
        done = subprocess.run(argv, input=command.stdin, capture_output=True, check=False)
        return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("usr/lib64/ld-linux-x86-64.so.2", "usr/bin/python3.11", f"{TRIPLET}/libc.so.6"):
        make_library(tmp_path / "root" / name, name.rpartition("/")[2])
    return tmp_path / "root"


def seen(tmp_path: Path, root: Path, modules: dict[str, str]):
    env = tmp_path / "env"
    make_library(env / "trees/_lib.so", needed=("libgomp.so.1",))
    for name, text in modules.items():
        (env / f"{name}.py").write_text("import ctypes, os\nhere = os.path.dirname(__file__)\n" + text)
    workplace = Workplace(Home(tmp_path / "home"), ThisPython(), Silent(), {})
    return smoke(workplace, root, "/usr/bin/python3.11", installed(env, root), sorted(modules))


def test_what_the_image_lacks_cannot_be_loaded_though_this_machine_may_have_it(tmp_path, root):
    asks = "ctypes.CDLL(f'{here}/trees/_lib.so')"
    found = seen(
        tmp_path,
        root,
        {
            "needs": asks,
            "does_without": f"try:\n    {asks}\nexcept OSError:\n    pass",
            "by_name": "ctypes.CDLL('libm.so.6')",
            "of_the_base": "ctypes.CDLL('libc.so.6')",
            "own": "ctypes.CDLL(None); print('said')",
        },
    )
    assert found.failed == {
        "by_name": "OSError: libm.so.6: cannot open shared object file: No such file or directory",
        "needs": "OSError: libgomp.so.1: cannot open shared object file: No such file or directory",
    }
    assert found.tried["does_without"] == ("trees/_lib.so",)
    assert found.tried["of_the_base"] == ("libc.so.6",)


def test_an_import_that_ends_the_interpreter_is_said(tmp_path, root):
    with pytest.raises(MlshipError, match=r"importing dies ends the image's interpreter \(exit 3\)"):
        seen(tmp_path, root, {"dies": "os._exit(3)"})
