import os
import stat
from pathlib import Path

from mlship.oci.registry.half_done import WORTH, half_done

UPLOAD = "r.io/team/churn@sha256:ab"


def test_where_a_killed_upload_was_is_found_again_by_the_next_one(tmp_path: Path) -> None:
    with half_done(tmp_path / "new", UPLOAD, WORTH) as kept:
        assert kept.url == ""
        kept.keep("https://r.io/session?signature=s")
    with half_done(tmp_path / "new", UPLOAD, WORTH) as kept:
        assert kept.url == "https://r.io/session?signature=s"
        kept.forget()
        kept.forget()
    with half_done(tmp_path / "new", UPLOAD, WORTH) as kept:
        assert kept.url == ""


def test_the_address_is_for_its_user_only(tmp_path: Path) -> None:
    with half_done(tmp_path, UPLOAD, WORTH) as kept:
        kept.keep("https://r.io/session?signature=s")
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_of_two_at_once_only_the_first_one_goes_on(tmp_path: Path) -> None:
    with half_done(tmp_path, UPLOAD, WORTH) as first:
        first.keep("https://r.io/1")
        with half_done(tmp_path, UPLOAD, WORTH) as second:
            assert second.url == ""
            second.keep("https://r.io/2")
            second.forget()
        assert first.url == "https://r.io/1"


def test_small_blobs_and_no_folder_keep_nothing(tmp_path: Path) -> None:
    for folder, size in ((tmp_path, WORTH - 1), (None, WORTH)):
        with half_done(folder, UPLOAD, size) as kept:
            kept.keep("https://r.io/1")
            assert kept.url == ""
    assert not list(tmp_path.iterdir())


def test_a_damaged_note_is_none(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"url": 7}'):
        with half_done(tmp_path, UPLOAD, WORTH) as kept:
            kept.keep("https://r.io/1")
        (note,) = tmp_path.glob("*.json")
        note.write_text(text)
        with half_done(tmp_path, UPLOAD, WORTH) as kept:
            assert kept.url == ""


def test_what_no_registry_knows_any_more_is_cleared_away(tmp_path: Path) -> None:
    with half_done(tmp_path, UPLOAD, WORTH) as kept:
        kept.keep("https://r.io/1")
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    with half_done(tmp_path, "r.io/other@sha256:cd", WORTH):
        assert len(list(tmp_path.iterdir())) == 1
