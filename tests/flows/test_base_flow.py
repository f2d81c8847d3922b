"""What a base that is an image means for what is built on it."""

from __future__ import annotations

from mlship.errors import Finding
from mlship.flows.base import base_annotations, base_of, base_title, joined_environ
from mlship.flows.libraries import in_the_image
from mlship.image.lock import Lock
from mlship.image.plan import BaseImage, entrypoint

DIGEST = "sha256:" + "a1" * 32
BASE = BaseImage("r.example.test/team/python:3.11", DIGEST, (DIGEST,), "/usr/local/bin/python3.11", "2.36")
LOCK = Lock("3.11", "linux/amd64", "", (), (), "i", base=BASE)


def test_the_interpreter_of_the_image_starts_the_server():
    plan = base_of(LOCK, ())
    assert (plan.python, plan.image, plan.packages) == ("/usr/local/bin/python3.11", BASE, ())
    assert base_of(Lock("3.11", "linux/amd64", "bookworm", (), (), "i"), ()).python == "/usr/bin/python3.11"


def test_env_of_the_image_stays_where_it_is_not_the_servers_own():
    own = entrypoint("/usr/bin/python3.11").environ
    theirs = {
        "LANG": "C.UTF-8",
        "PATH": "/opt/bin",
        "PORT": "5000",
        "MLSHIP_WORKERS": "9",
        "PYTHONPATH": "/x",
        "PYTHONHOME": "/y",
    }
    joined = joined_environ(theirs, own)
    assert joined == {"LANG": "C.UTF-8", "PATH": "/opt/bin", **own}


def test_people_and_manifests_are_told_where_the_base_came_from():
    assert base_title(LOCK) == "r.example.test/team/python:3.11 (a1a1a1a1a1a1)"
    assert base_title(Lock("3.11", "linux/amd64", "bookworm", (), (), "i")) == "debian bookworm"
    by_both = BaseImage(f"r.example.test/p:1@{DIGEST}", DIGEST, (), "/usr/bin/python3.11", "2.36")
    assert base_annotations(by_both)["org.opencontainers.image.base.name"] == "r.example.test/p:1"
    assert base_annotations(BASE)["org.opencontainers.image.base.digest"] == DIGEST
    assert base_annotations(None) == {}


def test_a_library_that_an_image_lacks_is_added_there():
    fix = "take opencv-python-headless instead, which needs no display; or find the package of libGL.so.1 and name it in build.packages"
    (told,) = in_the_image((Finding("opencv-python needs libGL.so.1", fix=fix),), "r.example.test/p:1")
    assert told.fix.startswith(
        "take opencv-python-headless instead, which needs no display; or install its package in r.example.test/p:1"
    )
    assert "build.packages" not in told.fix
