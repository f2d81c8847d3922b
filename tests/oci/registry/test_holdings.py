from pathlib import Path

from mlship.oci.registry.holdings import Holdings


def test_a_blob_is_mounted_from_where_it_was_seen_last(tmp_path: Path) -> None:
    holdings = Holdings(tmp_path)
    holdings.note("r.io", "team/base", ["sha256:a", "sha256:b"])
    holdings.note("r.io", "team/churn", ["sha256:b", "sha256:c"])
    known = holdings.holders("r.io")
    assert [tuple(known(digest)) for digest in ("sha256:a", "sha256:b", "sha256:d")] == [
        ("team/base",),
        ("team/churn", "team/base"),
        (),
    ]
    holdings.note("r.io", "team/base", [])
    assert holdings.holders("r.io")("sha256:b") == ("team/base", "team/churn")


def test_registries_do_not_mix(tmp_path: Path) -> None:
    Holdings(tmp_path).note("r.io", "team/base", ["sha256:a"])
    assert Holdings(tmp_path).holders("r.io:5000")("sha256:a") == ()


def test_what_is_kept_has_an_end(tmp_path: Path) -> None:
    holdings = Holdings(tmp_path)
    for number in range(51):
        holdings.note("r.io", f"team/{number}", [f"sha256:{number}", "sha256:shared"])
    assert holdings.holders("r.io")("sha256:0") == ()
    assert holdings.holders("r.io")("sha256:50") == ("team/50",)
    assert holdings.holders("r.io")("sha256:shared") == ("team/50", "team/49")


def test_a_file_that_cannot_be_read_is_no_hint_and_no_error(tmp_path: Path) -> None:
    holdings = Holdings(tmp_path)
    holdings.note("r.io", "team/base", ["sha256:a"])
    (path,) = tmp_path.glob("*.json")
    for text in ("{", "[]", '{"schema": 2, "repositories": {"x": ["sha256:a"]}}', '{"schema": 1, "repositories": 3}'):
        path.write_text(text)
        assert holdings.holders("r.io")("sha256:a") == ()
