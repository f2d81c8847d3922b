"""What is written of a batch is whole under its name or unfinished beside it, and an unfinished run goes on with the same data only."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import pytest

from mlship.errors import Exit, MlshipError
from mlship.flows.batch import finished
from mlship.flows.batching.files import Reached, Subject, moved_to, unfinished
from mlship.flows.batching.wishes import Wishes
from mlship.flows.context import Context
from mlship.home import Home
from mlship.progress import Silent
from mlship.runner import LocalRunner

SUBJECT = Subject("ab" * 32, 1000, "sha256:" + "cd" * 32, "", "csv", "csv", None, None)
ANEW = "rm -r .*answers.csv.unfinished to begin anew"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a run was killed behind its checkpoint: rows 0 to 9 are on the disk, and pieces of what came after."""
    out = tmp_path / "answers.csv"
    with unfinished(out) as run:
        run.begin(run.reached(SUBJECT, ""))
        run.append(b"row\n1\n", b"{}\n")
        run.checkpoint(SUBJECT, Reached(500, 10, 1, answers=6, rejects=3))
        run.append(b"half a li", b"{")
    return out


def test_a_run_goes_on_from_its_checkpoint_and_ends_whole(out: Path) -> None:
    assert not out.exists()
    with unfinished(out) as run:
        reached = run.reached(SUBJECT, "")
        assert (reached.position, reached.rows) == (500, 10)
        run.begin(reached)
        run.append(b"2\n", b"")
        run.checkpoint(SUBJECT, replace(reached, answers=8, is_done=True))
        run.publish(moved_to(out), moved_to(out.with_name("rejects")), None)
    assert (out.read_bytes(), out.with_name("rejects").read_bytes()) == (b"row\n1\n2\n", b"{}\n")
    assert sorted(path.name for path in out.parent.iterdir()) == ["answers.csv", "rejects"]


@pytest.mark.parametrize("moved", [[], ["rejects"], ["rejects", "answers"]])
def test_a_run_that_was_killed_while_its_files_got_their_names_ends_all_the_same(out: Path, moved: list[str]) -> None:
    rejects = out.with_name("answers.csv.rejects.jsonl")
    folder = out.with_name("answers.csv.unfinished")
    with unfinished(out) as run:
        run.begin(run.reached(SUBJECT, ""))
        run.checkpoint(SUBJECT, replace(run.reached(SUBJECT, ""), is_done=True))
    for name in moved:
        (folder / name).replace({"rejects": rejects, "answers": out}[name])
    with unfinished(out) as run:
        assert run.reached(SUBJECT, "").is_done
        run.publish(moved_to(out), moved_to(rejects), None)
    assert (out.read_bytes(), rejects.read_bytes(), folder.exists()) == (b"row\n1\n", b"{}\n", False)


def test_a_run_that_was_killed_after_its_answers_had_their_name_tells_their_size(out: Path) -> None:
    model = {"project": "p", "model": "m", "sha256": "", "title": "", "note": ""}
    with unfinished(out) as run:
        reached = replace(run.reached(SUBJECT, ""), is_done=True, model=model)
        run.checkpoint(SUBJECT, reached)
    (out.with_name("answers.csv.unfinished") / "answers").replace(out)
    wishes = Wishes(out.with_name("rows.csv"), out, "csv", "csv")
    context = Context(Home(out.parent), LocalRunner(), Silent(), {}, out.parent, lambda: 0.0, "me")
    with unfinished(out) as run:
        assert finished(context, run, wishes, reached, "", reached.rows, 0).size == len(out.read_bytes())


def test_answers_that_are_gone_since_are_not_called_there(out: Path) -> None:
    folder = out.with_name("answers.csv.unfinished")
    with unfinished(out) as run:
        run.begin(run.reached(SUBJECT, ""))
        run.checkpoint(SUBJECT, replace(run.reached(SUBJECT, ""), is_done=True))
    (folder / "answers").unlink()  # it got its name, and somebody has removed it
    with unfinished(out) as run:
        assert run.reached(SUBJECT, "") == Reached()
        assert not (folder / "state.json").exists()


@pytest.mark.parametrize(
    ("changes", "said", "fix"),
    [
        ({"sha256": "ef" * 32}, r"about other data \(sha256 abababababab, now efefefefefef\)", "bring that data back"),
        (
            {"content": "sha256:" + "ef" * 32},
            r"with another image \(cdcdcdcdcdcd, now efefefefefef\)",
            "mlship predict --out a.csv --image cdcdcdcdcdcd",
        ),
        ({"limit": 5, "model": "fraud"}, "asked for with another --model, --limit", "say the same options"),
    ],
)
def test_a_run_about_anything_else_is_refused_with_what_to_do(
    out: Path, changes: dict[str, object], said: str, fix: str
) -> None:
    with unfinished(out) as run, pytest.raises(MlshipError, match=f"unfinished run for these answers was {said}") as refused:
        run.reached(replace(SUBJECT, **changes), "mlship predict --out a.csv")  # type: ignore[arg-type]
    assert refused.value.fix.startswith(f"{fix} to go on with it, or rm -r ")


def too_large(_: Path, made: Path) -> None:
    made.write_bytes(bytes(200))


@pytest.mark.parametrize("step", ["checkpoint", "state", "publish"])
def test_a_full_disk_is_told_with_another_place_for_the_answers(out: Path, step: str) -> None:
    with unfinished(out) as run:
        begun = run.reached(SUBJECT, "")
        run.begin(begun)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # as a full disk, of this process alone
        try:
            with pytest.raises(MlshipError) as caught:
                if step == "publish":
                    run.publish(moved_to(out), None, too_large)
                if step == "checkpoint":
                    run.append(bytes(200), b"")
                run.checkpoint(SUBJECT, begun)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.code == "disk" and "name another place with --out" in caught.value.fix
    assert "MLSHIP_HOME" not in caught.value.fix


def test_files_that_no_run_leaves_so_are_refused(out: Path) -> None:
    folder = out.with_name("answers.csv.unfinished")
    (folder / "answers").write_bytes(b"row")
    with unfinished(out) as run, pytest.raises(MlshipError, match=f"is not as an unfinished run leaves it; {ANEW}"):
        run.begin(run.reached(SUBJECT, ""))
    (folder / "state.json").write_bytes(b"[]")
    with unfinished(out) as run, pytest.raises(MlshipError, match="is not as an unfinished run leaves it"):
        run.reached(SUBJECT, "")


def test_two_commands_do_not_write_the_same_answers(out: Path) -> None:
    with (
        unfinished(out),
        pytest.raises(MlshipError, match="another command is writing these answers") as refused,
        unfinished(out),
    ):
        pass
    assert refused.value.exit is Exit.LEASE_HELD


def test_a_run_that_reached_nothing_leaves_nothing(tmp_path: Path) -> None:
    with unfinished(tmp_path / "answers.csv") as run:
        run.begin(run.reached(SUBJECT, ""))
    assert list(tmp_path.iterdir()) == []
