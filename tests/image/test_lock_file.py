from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from pytest import fixture, mark, raises

from mlship.errors import MlshipError
from mlship.image.lock import Asked, Lock, LockedModel
from mlship.image.lock_file import locked_for, read_lock, read_lock_file, with_lock, write_lock
from mlship.image.plan import BaseImage, SystemPackage, Wheel
from mlship.oci.image import Descriptor

HASH = "a" * 64
LOCK = Lock(
    python="3.11",
    platform="linux/amd64",
    suite="bookworm",
    system=(SystemPackage("libc6", "2.36-9+deb12u10", HASH, 100, "https://m:pw@deb.example.test/l/libc6.deb"),),
    wheels=(
        Wheel("numpy", "2.1.0", HASH),
        Wheel("acme", "0.3", HASH, Path("/home/anna/cache/acme.whl"), "git+https://u:tok3n@g.example.test/acme@c0ffee"),
    ),
    inputs="d1",
)
WHOLE = Lock(
    python="3.11",
    platform="linux/amd64",
    suite="bookworm",
    system=(SystemPackage("libc6", "2.36-9+deb12u10", HASH, 100, "https://deb.example.test/pool/l/libc6.deb"),),
    wheels=(Wheel("numpy", "2.1.0", HASH),),
    inputs="d1",
    server=(Wheel("orjson", "3.13.0", "b" * 64),),
    asked=Asked("requirements.txt", "debian", ("libgomp1",), ("numpy>=2",)),
    made="2026-11-22",
    diff_id=f"sha256:{'d' * 64}",
    blob=Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", f"sha256:{'c' * 64}", 9_000_000),
    compressor="isal 1.8.0 level 1",
)
CHURN = LockedModel("churn", "models/churn.joblib", "e" * 64)


@fixture
def path(tmp_path):
    return tmp_path / "mlship.lock"


def test_what_is_written_is_read(path):
    write_lock(path, (LOCK,))
    (found,) = read_lock(path)
    assert [wheel.name for wheel in found.wheels] == ["acme", "numpy"]
    assert found.wheels[0] == Wheel("acme", "0.3", HASH, None, "git+https://g.example.test/acme@c0ffee")
    assert found.system[0].version == "2.36-9+deb12u10"
    assert (found.python, found.platform, found.suite, found.inputs) == ("3.11", "linux/amd64", "bookworm", "d1")


def test_a_base_image_is_locked_by_its_digests(path):
    base = BaseImage("r.example.test/python:3.11", f"sha256:{HASH}", (f"sha256:{HASH}",), "/usr/local/bin/python3.11", "2.36")
    write_lock(path, (LOCK, replace(LOCK, platform="linux/arm64", suite="", system=(), base=base)))
    assert [lock.base for lock in read_lock(path)] == [None, base]
    path.write_text(path.read_text().replace(f"sha256:{HASH}", "../../x"))
    with raises(MlshipError, match="damaged or was edited"):
        read_lock(path)


def test_no_credentials_and_no_paths_of_this_machine_are_written(path):
    write_lock(path, (LOCK,))
    assert not [word for word in ("tok3n", "pw", "/home/anna") if word in path.read_text()]


def test_the_same_locks_give_the_same_bytes(path, tmp_path):
    other = replace(LOCK, platform="linux/arm64")
    write_lock(path, (other, LOCK))
    write_lock(tmp_path / "again", (LOCK, replace(other, wheels=tuple(reversed(other.wheels)))))
    assert path.read_bytes() == (tmp_path / "again").read_bytes()
    write_lock(tmp_path / "third", read_lock(path))
    assert path.read_bytes() == (tmp_path / "third").read_bytes()


def test_no_file_is_no_lock(path):
    assert read_lock(path) == ()
    assert read_lock_file(path).models is None


def test_a_lock_of_the_first_schema_is_read():
    found = read_lock_file(Path(__file__).parent / "golden/lock-schema-1.json")
    (lock,) = found.locks
    assert (lock.python, lock.suite, lock.inputs, lock.system[0].name) == ("3.11", "bookworm", "d1", "libc6")
    assert [wheel.name for wheel in lock.wheels] == ["acme", "numpy"]
    assert (lock.server, lock.asked, lock.made, lock.diff_id, found.models) == ((), None, "", "", None)


def test_a_lock_of_the_second_schema_is_read_and_gives_the_same_bytes(path):
    golden = Path(__file__).parent / "golden/lock-schema-2.json"
    found = read_lock_file(golden)
    assert found.locks == (WHOLE,)
    assert found.models == (CHURN,)
    write_lock(path, found.locks, found.models)
    assert path.read_bytes() == golden.read_bytes()


def test_the_models_digest_is_over_sorted_lines_of_sha256_and_path(path):
    fraud = LockedModel("fraud", "models/fraud", "0" * 64)
    write_lock(path, (), (CHURN, fraud))
    lines = f"{'0' * 64}  models/fraud\n{'e' * 64}  models/churn.joblib\n"
    assert json.loads(path.read_text())["models"]["sha256"] == hashlib.sha256(lines.encode()).hexdigest()


def test_a_model_that_was_edited_into_the_lock_is_noticed(path):
    write_lock(path, (LOCK,), (CHURN,))
    path.write_text(path.read_text().replace("e" * 64, "f" * 64))
    with raises(MlshipError, match="damaged or was edited"):
        read_lock(path)


def test_a_version_without_the_digest_of_what_was_fetched_pins_nothing_and_is_refused(path):
    write_lock(path, (), (LockedModel("churn", "hf://acme/churn", HASH, "commit 1", ""),))
    with raises(MlshipError, match="damaged or was edited: fetched is ''"):
        read_lock(path)


def test_a_lock_is_used_again_only_for_the_same_inputs_and_platform():
    assert locked_for((LOCK,), "linux/amd64", "d1") is LOCK
    assert locked_for((LOCK,), "linux/amd64", "d2") is None
    assert locked_for((LOCK,), "linux/arm64", "d1") is None


def test_a_new_lock_replaces_the_one_of_its_platform():
    arm = replace(LOCK, platform="linux/arm64")
    assert with_lock((LOCK, arm), replace(LOCK, inputs="d2")) == (arm, replace(LOCK, inputs="d2"))


def test_a_newer_schema_is_refused(path):
    path.write_text('{"schema": 3}')
    with raises(
        MlshipError, match=r"mlship.lock has schema 3; this mlship reads up to 2; it was written by a newer mlship: upgrade"
    ):
        read_lock(path)


@mark.parametrize(("text", "why"), [("", "it is not JSON"), ("<<<<<<< HEAD", "it is not JSON"), ("[]", "it has no schema"),
                                    ("[" * 100_000, "it is not JSON"), ('{"schema": "1"}', "it has no schema")])  # fmt: skip
def test_a_damaged_file_says_what_to_do(path, text, why):
    path.write_text(text)
    with raises(
        MlshipError, match=f"mlship.lock is damaged or was edited: {why}; take it from version control again, or delete it"
    ):
        read_lock(path)


def test_an_edit_by_hand_is_noticed(path):
    write_lock(path, (LOCK,))
    path.write_text(path.read_text().replace("2.1.0", "2.1.1"))
    with raises(MlshipError, match="damaged or was edited: its contents and its own checksum differ"):
        read_lock(path)


@mark.parametrize(
    "change", [{"name": "numpy; rm"}, {"sha256": "x"}, {"version": "1 --index-url https://evil.example.test"}, {"name": 3}]
)
def test_values_that_are_no_names_versions_or_hashes_are_refused(path, change):
    from mlship.image import lock_file

    entry = {**lock_file._entry(LOCK), "wheels": [{"name": "numpy", "version": "1", "sha256": HASH, **change}]}
    path.write_text(json.dumps({"schema": 2, "locks": [entry], "models": None, "sum": lock_file._sum([[entry], None])}))
    with raises(MlshipError, match=f"mlship.lock is damaged or was edited: {next(iter(change))} is "):
        read_lock(path)
