"""A stranger's index offers a higher version of a private package: it never wins, whatever the order in which indexes are named."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from small_server import BYTES, PAGE, Answer, answering
from test_requirements_world import make_wheel

from mlship.errors import Exit, MlshipError
from mlship.home import Home
from mlship.image.packages import resolve
from mlship.image.packages.indexes import find_indexes
from mlship.image.packages.requirements_files import Requirements
from mlship.progress import Silent
from mlship.runner import LocalRunner

pytestmark = pytest.mark.world


@contextmanager
def index(folder: Path) -> Iterator[str]:
    """A simple index (PEP 503) of the wheels in the folder; gives its address."""

    def answer(path: str, _: object) -> Answer:
        name = path.strip("/").rpartition("/")[2]
        if (folder / name).is_file():
            return 200, (folder / name).read_bytes(), BYTES
        found = sorted(folder.glob(f"{name}-*.whl")) if name else []
        sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}
        links = "".join(f'<a href="/files/{wheel}#sha256={digest}">{wheel}</a>' for wheel, digest in sums.items())
        return (200 if found else 404), links.encode(), PAGE

    with answering(answer) as address:
        yield f"http://{address}/simple"


@pytest.fixture
def indexes(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Private with 1.0, a stranger's with 99.0; both have the same file of acmeshared."""
    make_wheel(tmp_path / "own", "acmeprivate", "1.0")
    make_wheel(tmp_path / "stranger", "acmeprivate", "99.0")
    shutil.copy(make_wheel(tmp_path / "own", "acmeshared", "3.0"), tmp_path / "stranger")
    with index(tmp_path / "own") as own, index(tmp_path / "stranger") as stranger:
        yield own, stranger


@pytest.fixture
def lock(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Resolves `acmeprivate`, or what is asked for, with uv; gives versions by name. more: what is set on the machine."""

    def run(*lines: str, **more: str) -> dict[str, str]:
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null", **more}
        found = resolve.lock(
            Requirements("requirements.txt", tmp_path, lines=lines or ("acmeprivate",)),
            python_minor="3.11",
            platform="linux/amd64",
            glibc="2.36",
            indexes=find_indexes(environ, tmp_path, system=tmp_path),
            runner=LocalRunner(),
            home=Home(tmp_path / "home"),
            progress=Silent(),
        )
        assert all(len(wheel.sha256) == 64 for wheel in found.wheels)
        return {wheel.name: wheel.version for wheel in found.wheels}

    return run


def test_the_first_index_that_knows_a_private_name_has_it_alone(lock, indexes) -> None:
    own, stranger = indexes
    assert lock(PIP_EXTRA_INDEX_URL=f"{own} {stranger}") == {"acmeprivate": "1.0"}
    assert lock(PIP_EXTRA_INDEX_URL=own, UV_DEFAULT_INDEX=stranger, UV_INDEX_STRATEGY="first-index") == {"acmeprivate": "1.0"}
    with pytest.raises(MlshipError, match=r"no solution.*UV_INDEX_STRATEGY=unsafe-best-match"):
        lock("acmeprivate>=2", PIP_EXTRA_INDEX_URL=f"{own} {stranger}")


def test_where_pip_has_no_order_two_answers_are_refused(lock, indexes) -> None:
    own, stranger = indexes
    for default, extra in ((own, stranger), (stranger, own)):
        with pytest.raises(MlshipError) as refused:
            lock(PIP_INDEX_URL=default, PIP_EXTRA_INDEX_URL=extra)
        assert refused.value.exit is Exit.BUILD_FAILED
        assert "acmeprivate is" in str(refused.value) and "UV_INDEX_STRATEGY=first-index" in str(refused.value)


def test_the_same_file_on_two_indexes_is_no_question(lock, indexes) -> None:
    own, stranger = indexes
    assert lock("acmeshared", PIP_INDEX_URL=own, PIP_EXTRA_INDEX_URL=stranger) == {"acmeshared": "3.0"}


def test_who_trusts_all_indexes_gets_what_pip_would_take(lock, indexes) -> None:
    own, stranger = indexes
    trusting = {"PIP_INDEX_URL": own, "PIP_EXTRA_INDEX_URL": stranger, "UV_INDEX_STRATEGY": "unsafe-best-match"}
    assert lock(**trusting) == {"acmeprivate": "99.0"}


def test_an_exact_version_that_an_earlier_index_lacks_comes_from_a_later_one(lock, indexes) -> None:
    own, stranger = indexes
    assert lock("acmeprivate==99.0", PIP_EXTRA_INDEX_URL=f"{own} {stranger}") == {"acmeprivate": "99.0"}
