"""The cache goes to a machine without a network, is pruned beside a service, and is shared by builds that begin at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shop import Shop
from story import Story

pytestmark = pytest.mark.world

NOBODY = "http://127.0.0.1:9"  # the discard port: refused at once
NO_NETWORK = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), NOBODY),
    **dict.fromkeys(("UV_DEFAULT_INDEX", "PIP_INDEX_URL"), f"{NOBODY}/simple"),
    "no_proxy": "127.0.0.1,localhost",
    "UV_HTTP_RETRIES": "0",
}


def another(shop: Shop, folder: Path, name: str = "till", **environ: str) -> Shop:
    """A shop of the same kind elsewhere: other folder, perhaps another home."""
    folder.mkdir()
    return Shop(Story(folder, shop.story.python, {**shop.story.environ, **environ}), name=name)


def test_a_machine_without_a_network_builds_from_an_imported_cache(shop: Shop, tmp_path: Path) -> None:
    shop.run("build")
    shop.story.mlship("cache", "export", str(tmp_path / "cache.tar"))
    there = another(
        shop, tmp_path / "there", MLSHIP_HOME=str(tmp_path / "home"), UV_CACHE_DIR=str(tmp_path / "uv"), **NO_NETWORK
    )
    (there.story.folder / "mlship.lock").write_bytes((shop.story.folder / "mlship.lock").read_bytes())
    there.configure(more=f"build: {{mirror: {NOBODY}/debian}}\n")
    said = there.run("build", exit=13).said  # without the cache there is no way
    assert "cannot be reached" in said
    taken = there.story.mlship("cache", "import", str(tmp_path / "cache.tar"))
    assert taken["blobs"] > 0 and taken["downloads"] > 0 and taken["folders"] > 0
    for _ in range(2):
        there.next_version()
        assert "Built till" in there.run("build").said
    assert there.wrong_blobs() == []
    assert "Nothing to do" in there.run("cache", "import", str(tmp_path / "cache.tar")).said
    assert there.left() == []


def test_a_prune_leaves_what_serves_and_what_may_be_rolled_back_to(shop: Shop, tmp_path: Path) -> None:
    own = another(shop, tmp_path / "own", "pruned", MLSHIP_HOME=str(tmp_path / "home"))
    cache = tmp_path / "cache.tar"
    shop.run("build")
    shop.story.mlship("cache", "export", str(cache))
    own.story.mlship("cache", "import", str(cache))
    own.run("deploy", "--yes")
    try:
        first = own.live()
        for _ in range(2):
            own.next_version()
            own.run("build")
        own.next_version()
        own.run("deploy", "--yes")
        before = own.story.mlship("cache", "info")["cache"]["size"]
        would = own.story.mlship("cache", "prune", "--keep-last", "1", "--older-than", "1ms", "--dry-run")
        assert would["images"] and not would["removed"]
        assert "--yes" in own.run("cache", "prune", "--keep-last", "1", exit=2).said
        gone = own.story.mlship("cache", "prune", "--keep-last", "1", "--older-than", "1ms", "--yes")
        assert len([image for image in gone["images"] if image["project"] == "pruned"]) == 2  # neither was ever deployed
        assert own.story.mlship("cache", "info")["cache"]["size"] < before
        assert own.wrong_blobs() == []
        own.run("rollback", "--yes")
        assert own.serves_alone() == first
        own.next_version()
        own.run("build")  # what was pruned is made or fetched again
    finally:
        own.run("destroy", "--yes")


def test_builds_that_begin_at_once_on_an_empty_machine_share_its_cache(shop: Shop, tmp_path: Path) -> None:
    surroundings: dict[str, str] = {"MLSHIP_HOME": str(tmp_path / "home")}
    one = another(shop, tmp_path / "one", "one", **surroundings)
    two = another(shop, tmp_path / "two", "two", **surroundings)
    building = [(one, one.start("build", "--json")), (one, one.start("build", "--json")), (two, two.start("build", "--json"))]
    for _, process in building:
        said = process.communicate(timeout=300)[0]
        assert process.returncode == 0, said
        assert "Traceback" not in said
    assert one.wrong_blobs() == []
    assert one.left() == two.left() == []
    assert contents(one) and contents(one) != contents(two)
    assert "Nothing to do" in one.run("build").said
    assert "Nothing to do" in two.run("build").said
    debs = [path for path in (tmp_path / "home/cache/debs").iterdir() if path.name.startswith(".")]
    assert debs == []


def contents(shop: Shop) -> Any:
    return shop.story.mlship("build")["image"]["content"]
