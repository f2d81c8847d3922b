"""How the CLI asks a locked-down process, and what it makes of the answer."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlship.errors import Exit, MlshipError
from mlship.frameworks.child import ChildPython, child_python, load_in_child, question_for, server_tree
from mlship.frameworks.primed import Primed, writable_in
from mlship.home import Home
from mlship.runner import Command, LocalRunner, Result
from mlship.server import manifest

ENTRY = manifest.Model("m", "sklearn", "joblib", "models/m.joblib", "")
TOLD = {
    "signature": {"inputs": [], "outputs": [], "container": "array", "named": False},
    "title": "Pipeline", "answers": None, "load_s": 0.1, "peak_memory": 5, "versions": {"numpy": "2"}, "protections": ["limits"],
    "needless": [], "libraries": [], "row_s": 0.002,
}  # fmt: skip


class Answering:
    """A runner whose programs all end in one way."""

    def __init__(self, result: Result | MlshipError) -> None:
        self.result = result
        self.commands: list[Command] = []

    def run(self, command: Command) -> Result:
        self.commands.append(command)
        if isinstance(self.result, MlshipError):
            raise self.result
        return self.result

    def stream(self, command: Command, line: Callable[[str], None]) -> Result:
        raise AssertionError(command)

    def start(self, command: Command, *, log: Path | None = None, detached: bool = False) -> Any:
        raise AssertionError(command)


def asked(result: Result | MlshipError, memory: int = 0) -> Any:
    return load_in_child(Answering(result), ChildPython(("python",), {"A": "1"}), ENTRY, Path("/root"), [[1]], memory=memory)


def test_the_question_holds_everything_and_the_answer_becomes_values() -> None:
    runner = Answering(Result(0, json.dumps(TOLD).encode(), b""))
    found = load_in_child(
        runner, ChildPython(("python", "-s"), {"A": "1"}), ENTRY, Path("/r"), [[1]], timeout_s=9, memory=10**9
    )
    command = runner.commands[0]
    assert command.argv == ("python", "-s", "-m", "mlship.server.inspect") and command.timeout_s == 9
    assert command.environ is not None and command.environ["A"] == "1" and command.environ["PYTHONSAFEPATH"] == "1"
    question = json.loads(command.stdin or b"")
    assert question["sample"] == [[1]] and question["root"] == "/r" and question["memory"] > 10**9
    assert manifest.from_json(question["manifest"].encode()).model() == ENTRY
    assert (found.title, found.peak_memory, found.protections) == ("Pipeline", 5, ("limits",))


def test_an_error_of_the_child_is_the_users_error_with_its_kind() -> None:
    told = {"error": {"kind": "unknown-name", "message": "refers to x.Y", "fix": "write model.trust: [x.Y]"}}
    with pytest.raises(MlshipError) as caught:
        asked(Result(0, json.dumps(told).encode(), b""))
    error = caught.value
    assert (error.what, error.where, error.fix, error.code) == (
        "refers to x.Y",
        "models/m.joblib",
        "write model.trust: [x.Y]",
        "unknown-name",
    )
    assert error.exit is Exit.BUILD_FAILED


@pytest.mark.parametrize(
    ("result", "memory", "kind", "words"),
    [
        (Result(-9, b"", b""), 2**30, "memory", "the model needs more memory than 1.1 GB"),
        (Result(-9, b"", b""), 0, "crash", "ended with signal SIGKILL"),
        (Result(-11, b"", b"Fatal"), 0, "crash", "the process that loads the model ended with signal SIGSEGV"),
        (Result(-24, b"", b""), 0, "timeout", "too much processor time"),
        (Result(1, b"", b"No module named mlship"), 0, "crash", "ended with exit 1"),
        (Result(0, b"[]", b""), 0, "crash", "ended with exit 0"),
        (MlshipError("late", exit=Exit.TIMED_OUT), 0, "timeout", "the model did not load within 120 s"),
    ],
)
def test_a_child_that_ends_without_a_word_is_explained(result: Any, memory: int, kind: str, words: str) -> None:
    with pytest.raises(MlshipError, match=words) as caught:
        asked(result, memory)
    assert caught.value.code == kind and caught.value.exit is Exit.BUILD_FAILED
    assert ("a build waits no longer" in caught.value.fix) == (kind == "timeout")


def test_without_a_limit_of_its_own_a_model_may_take_what_the_machine_has() -> None:
    runner = Answering(Result(1, b"", b""))
    with pytest.raises(MlshipError):
        load_in_child(runner, ChildPython(("python",), {}), ENTRY, Path("/r"), None)
    question = json.loads(runner.commands[0].stdin or b"")
    assert question["memory"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_python_that_is_not_there_stays_what_it_is() -> None:
    with pytest.raises(MlshipError, match="not installed"):
        asked(MlshipError("the program x is not installed"))


def test_the_server_tree_holds_the_server_alone_and_is_made_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    tree = server_tree(home)
    assert {path.name for path in tree.iterdir()} == {"mlship"}
    assert {path.name for path in (tree / "mlship").iterdir()} == {"__init__.py", "server"}
    assert (tree / "mlship" / "server" / "pages" / "docs_page.html").is_file()
    assert (tree / "mlship" / "server" / "inspect.py").is_file() and not list(tree.rglob("*.pyc"))
    assert server_tree(home) == tree and len(list(tree.parent.iterdir())) == 1


def test_a_training_environment_gets_no_secrets_and_nothing_else_of_mlship(tmp_path: Path) -> None:
    environ = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "PYTHONPATH": "/elsewhere", "HOME": "/h"}
    python = child_python(Path("/env/bin/python"), Home(tmp_path), environ, [tmp_path / "code"])
    assert python.argv == ("/env/bin/python",)
    assert python.environ == {"PATH": "/bin", "HOME": "/h", "PYTHONPATH": f"{server_tree(Home(tmp_path))}:{tmp_path / 'code'}"}


def test_the_real_program_locks_itself_down_and_reports_also_where_it_begins_before_its_question(tmp_path: Path) -> None:
    """With a model that needs nothing but Python: milliseconds. Its code comes to its place after the process has begun."""
    (tmp_path / "weights").touch()
    entry = manifest.Model("m", "python", "none", "weights", "", loader="tiny:Model")
    home = Home(tmp_path / "home")
    with Primed(home, LocalRunner(), ("words",)) as primed:
        work = tmp_path / "work"
        asked = question_for(child_python(Path(sys.executable), home, {}, [work / "code"]), writable_in(work), 30)
        primed.keep(asked, work, ("colorsys", "no_such_module"), ("python",), [tmp_path / "weights"])
    (tmp_path / "weights").write_text("new")
    with Primed(home, LocalRunner(), ("words",)) as primed:
        assert primed.folder is not None
        (primed.folder / "code").mkdir()
        (primed.folder / "code/tiny.py").write_text(
            "import sys\nwas = 'colorsys' in sys.modules\nclass Model:\n    def load(self, path): print('noise')\n"
            "    def predict(self, rows): return [len(r) + was for r in rows]\n"
        )
        python = child_python(Path(sys.executable), home, {}, [primed.folder / "code"])
        early, late = (
            load_in_child(LocalRunner(), python, entry, tmp_path, ["ab", "c"], timeout_s=30, primed=each)
            for each in (primed, None)
        )
    assert early.answers == {"predictions": [3, 2]} and late.answers == {"predictions": [2, 1]}
    assert early.title == "Model" and "audit-hook" in early.protections and early.protections == late.protections
    assert {"json", "colorsys"} <= {*early.modules} and "tiny" not in late.modules
