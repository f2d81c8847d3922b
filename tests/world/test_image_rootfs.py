"""The image's own interpreter, run from its unpacked files: no engine, no privileges, nothing of the host's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_base import made_base, made_image

from mlship.oci import rootfs
from mlship.runner import LocalRunner, Result

pytestmark = pytest.mark.world


def root() -> Path:
    made, image = made_base(), made_image()
    place = made.workplace.home.cache / "roots" / image.content.removeprefix("sha256:")
    return rootfs.assemble(made.workplace.layout, image, place, made.workplace.home)


def run(code: str, environ: dict[str, str] | None = None) -> Result:
    python = made_base().plan.python
    environ = environ or {"PYTHONPATH": "/opt/mlship/env", "PYTHONDONTWRITEBYTECODE": "1"}
    return LocalRunner().run(rootfs.command(root(), (python, "-s", "-P", "-c", code), environ))


def answer(code: str) -> object:
    told = run(code)
    assert told.ok, told.stderr.decode()
    return json.loads(told.text)


def test_the_standard_library_works_and_comes_from_the_image():
    code = """
import json, ssl, sqlite3, zoneinfo, lzma, bz2, hashlib, decimal, uuid, dbm.dumb, sys, encodings.idna
print(json.dumps([ssl.__file__, ssl.__cached__, sqlite3.connect(":memory:").execute("select 1").fetchone()[0],
    str(zoneinfo.ZoneInfo("Europe/Vienna")), len(ssl.create_default_context().get_ca_certs()), sys.prefix]))
"""
    file, compiled, one, zone, certificates, prefix = answer(code)
    assert file == f"{root()}/usr/lib/python3.11/ssl.py"
    assert Path(compiled).exists()
    assert (one, zone, prefix) == (1, "Europe/Vienna", f"{root()}/usr")
    assert certificates > 100


def test_every_library_that_is_loaded_comes_from_the_image():
    code = """
import json, ssl, sqlite3, ctypes, numpy.linalg
paths = {line.split(maxsplit=5)[5].strip() for line in open("/proc/self/maps") if ".so" in line}
print(json.dumps(sorted(paths)))
"""
    loaded = answer(code)
    assert len(loaded) > 10
    assert [path for path in loaded if not path.startswith(str(made_base().workplace.home.root))] == []


def test_numpy_with_its_bundled_libraries_works():
    code = "import numpy, json; print(json.dumps([(numpy.eye(3) @ numpy.arange(3.0)).tolist(), numpy.linalg.__cached__]))"
    numbers, compiled = answer(code)
    assert numbers == [0, 1, 2]
    assert Path(compiled).is_file()


def test_ctypes_loads_the_images_libraries():
    assert answer("import ctypes, json; print(json.dumps(ctypes.CDLL('libz.so.1').zlibCompileFlags() != 0))") is True


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_multiprocessing_works(method):
    code = f"""
import json, multiprocessing, os
context = multiprocessing.get_context({method!r})
with context.Pool(2) as pool:
    print(json.dumps([pool.map(abs, [-1, -2, 3]), pool.apply(os.getpid) != os.getpid()]))
"""
    assert answer(code) == [[1, 2, 3], True]


def test_a_child_by_sys_executable_is_the_same_interpreter():
    code = """
import json, subprocess, sys
inner = "import ssl, sys; print(sys.executable, ssl.__file__)"
print(json.dumps([sys.executable, subprocess.run([sys.executable, "-c", inner], capture_output=True, text=True).stdout.split()]))
"""
    executable, (inner, library) = answer(code)
    assert executable == inner == f"{root()}/.mlship/python3.11"
    assert library == f"{root()}/usr/lib/python3.11/ssl.py"


def test_the_hosts_environment_is_not_handed_on(monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    monkeypatch.setenv("MLSHIP_TEST_SECRET", "x")
    seen = answer("import json, os; print(json.dumps(dict(os.environ)))")
    assert "MLSHIP_TEST_SECRET" not in seen
    assert "LD_LIBRARY_PATH" not in seen


def test_names_of_hosts_are_resolved_as_the_machine_resolves_them():
    assert answer("import json, socket; print(json.dumps(socket.gethostbyname('localhost')))") == "127.0.0.1"


def test_an_end_by_signal_is_seen():
    assert run("import os, signal; os.kill(os.getpid(), signal.SIGTERM)").code == -15
