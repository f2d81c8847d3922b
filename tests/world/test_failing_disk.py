"""The disk refuses in the middle: one clear error, nothing half-written, and what serves goes on."""

from __future__ import annotations

import resource

import pytest
from shop import Caller, Shop

pytestmark = pytest.mark.world


@pytest.mark.parametrize("largest", [0, 1_000])  # with 4,000 everything that this build writes has room
def test_a_disk_that_takes_no_more_is_told_in_one_error(shop: Shop, largest: int) -> None:
    """No file may grow beyond so many bytes: as a full disk, but of this command alone."""
    shop.run("deploy", "--yes")
    live = shop.live()
    shop.versions = 100 + largest  # built by no other story
    shop.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # Python takes no notice of a short write, and all would read what is cut

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    with Caller(shop.status()["endpoint"]):
        shop.next_version()
        for words in (("build",), ("deploy", "--yes"), ("cache", "export", str(shop.story.folder / "cache.tar"))):
            process = shop.start(*words, preexec_fn=limited)
            said = process.communicate(timeout=60)[0]
            assert process.returncode in (5, 6), said
            assert "Traceback (most recent call last)" not in said
            assert "File too large" in said or "No usable temporary directory found" in said
            assert shop.left() == []
            assert not (shop.story.folder / "cache.tar").exists()
        assert shop.serves_alone() == live
        assert shop.wrong_blobs() == []
        shop.run("deploy", "--yes", "--again")
        assert shop.serves_alone() != live
