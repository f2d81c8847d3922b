"""A build may be killed at any instant and run again: it converges, and nothing of the killed one is left."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest
from shop import MODEL, Shop, instants

pytestmark = pytest.mark.world
INSTANTS = 8


def test_a_build_killed_at_any_instant_converges_and_leaves_nothing(shop: Shop) -> None:
    for _ in range(2):  # the second one leaves what every later one finds
        shop.run("build")
        shop.next_version()
    whole = shop.run("build")
    ended = []
    for after_s in instants(whole.seconds, INSTANTS):
        shop.next_version()
        ended.append(shop.killed("build", after_s=after_s).code)
        assert named_wrongly(shop) == []
        assert "till" in shop.run("build").said  # "Nothing to do" where it was killed after its last step
        assert shop.left() == []
    assert shop.wrong_blobs() == []
    assert "Nothing to do: till is built" in shop.run("build").said
    assert ended.count(-signal.SIGKILL) >= INSTANTS / 2, ended


def test_an_import_killed_at_any_instant_leaves_only_whole_blobs_and_is_done_again(shop: Shop, tmp_path: Path) -> None:
    shop.run("build")
    cache = str(tmp_path / "cache.tar")
    shop.run("cache", "export", cache)
    shop.home = tmp_path / "home"
    shop.environ["MLSHIP_HOME"] = str(shop.home)
    whole = shop.run("cache", "import", cache)
    for after_s in instants(whole.seconds, 4):
        shutil.rmtree(shop.home)
        shop.killed("cache", "import", cache, after_s=after_s)
        assert named_wrongly(shop) == []
        assert "from cache.tar" in (said := shop.run("cache", "import", cache).said) or "Nothing to do" in said
        assert "Nothing to do" in shop.run("build").said
        assert shop.wrong_blobs() == shop.left() == []


def test_a_model_that_is_being_loaded_ends_with_the_killed_build(shop: Shop) -> None:
    shop.story.write("till.py", (shop.story.folder / "till.py").read_text() + "\n\nimport time\ntime.sleep(600)\n")
    building = shop.start("build")
    deadline = time.monotonic() + 60
    while not (children := loading(shop)):
        assert building.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    building.kill()
    building.communicate()
    while loading(shop):
        assert time.monotonic() < deadline, children
        time.sleep(0.02)
    shop.story.write("till.py", MODEL)
    shop.run("build")  # also one that has nothing to do clears away what the killed one left


def named_wrongly(shop: Shop) -> list[str]:
    """Blobs of other bytes than their name says; what a killed command was writing has no such name yet."""
    there = (shop.home / "images/blobs/sha256").is_dir()
    return [name for name in shop.wrong_blobs() if not name.startswith(".")] if there else []


def loading(shop: Shop) -> list[int]:
    """Processes that load a model below this shop's temporary folder, and are past their own start."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            is_ours = entry.name.isdigit() and str((entry / "cwd").readlink()).startswith(str(shop.temporary))
        except OSError:
            continue
        if is_ours:
            found.append(int(entry.name))
    return found
