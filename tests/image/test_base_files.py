import pytest

from mlship.image.system import base_files

PYTHON = "usr/bin/python3.11"


@pytest.mark.parametrize(
    "path",
    [
        "usr/share/doc/zlib1g/changelog.Debian.gz",
        "usr/share/doc/libpython3.11-minimal/examples/copyright",
        "usr/share/man/man1/x.1.gz",
        "usr/share/locale/de/x.mo",
        "usr/lib/python3.11/pydoc_data/topics.py",
        "usr/lib/python3.11/_pydecimal.py",
        "usr/lib/python3.11/asyncio/windows_events.py",
        "usr/lib/python3.11/lib-dynload/_testcapi.cpython-311-x86_64-linux-gnu.so",
        "usr/lib/python3.11/lib-dynload/_ctypes_test.cpython-311-x86_64-linux-gnu.so",
        "usr/share/zoneinfo/right/Europe/Vienna",
        "usr/lib/x86_64-linux-gnu/gconv/EUC-JP.so",
        "usr/lib/python3.11/test/test_ssl.py",
        "usr/lib/python3.11/__pycache__/ssl.cpython-311.pyc",
        "usr/lib/python3.11/json/__pycache__/x.pyc",
        "usr/bin/openssl",
        "usr/bin/bash",
        "usr/sbin/ldconfig",
        "etc/init.d/x",
        "var/lib/dpkg/x",
        "home/x",
        "usr/lib/locale/en_US/LC_ALL",
    ],
)
def test_what_nothing_needs_stays_out(path):
    assert base_files.wanted("libc6", False, PYTHON)(path) is False


@pytest.mark.parametrize(
    "path",
    [
        PYTHON,
        "usr/lib/x86_64-linux-gnu/libz.so.1",
        "usr/lib64/ld-linux-x86-64.so.2",
        "usr/lib/python3.11/ssl.py",
        "usr/lib/python3.11/unittest/mock.py",
        "usr/share/zoneinfo/Europe/Vienna",
        "usr/lib/locale/C.utf8/LC_CTYPE",
        "etc/mime.types",
        "etc/python3.11/sitecustomize.py",
        "usr/lib/python3.11/decimal.py",
        "usr/lib/python3.11/asyncio/unix_events.py",
        "usr/lib/python3.11/ctypes/util.py",
        "usr/lib/os-release",
        "usr/share/doc/zlib1g/copyright",
        "usr/share/doc/libgcc-s1",
        "usr/share/common-licenses/GPL-2",
    ],
)
def test_what_runs_a_python_stays(path):
    assert base_files.wanted("libc6", False, PYTHON)(path) is True


def test_what_services_hardly_import_is_not_compiled():
    assert not any(map(base_files.is_compiled, ("encodings/cp866.py", "mailbox.py", "wsgiref/util.py")))
    assert all(map(base_files.is_compiled, ("encodings/utf_8.py", "http/cookies.py", "email/message.py", "_strptime.py")))


def test_programs_stay_of_packages_that_were_asked_for_but_not_their_shells():
    asked = base_files.wanted("ffmpeg", True, PYTHON)
    assert asked("usr/bin/ffmpeg")
    assert not asked("usr/bin/sh")
    assert not asked("usr/bin/bash")
    assert base_files.wanted("bash", True, PYTHON)("usr/bin/bash")


def test_certificates_are_bundled_in_the_order_of_their_names(tmp_path):
    folder = tmp_path / "usr/share/ca-certificates/mozilla"
    folder.mkdir(parents=True)
    (folder / "b.crt").write_text("B\n\n")
    (folder / "a.crt").write_text("A")
    assert base_files.certificate_bundle(tmp_path) == b"A\nB\n"


def test_scanners_read_packages_as_installed():
    told = base_files.status("Package: a\nVersion: 1\n", "00ff")
    assert told == "Package: a\nStatus: install ok installed\nVersion: 1\nSHA256: 00ff\n"


def test_the_user_of_the_server_is_known_by_name():
    assert "nonroot:x:65532:65532:" in base_files.USERS
    assert "nonroot:x:65532:" in base_files.GROUPS
