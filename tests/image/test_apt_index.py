import base64
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from made_archive import SIGNATURE, Gpgv, MadeArchive

from mlship.errors import Exit, MlshipError
from mlship.image.system.apt import AptSettings, Suite
from mlship.image.system.apt_fetch import Fetcher
from mlship.image.system.apt_index import Catalogue, Packages, verified
from mlship.progress import Silent

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def distributions(archive, folder: Path, gpgv=None):
    with Fetcher(archive.settings, {}, folder / "debs") as fetcher:
        catalogue = Catalogue(archive, "amd64", fetcher=fetcher, runner=gpgv or Gpgv(), progress=Silent(), now=NOW)
        return list(catalogue.distributions())


def test_the_highest_version_of_all_suites_counts(tmp_path):
    made = MadeArchive(tmp_path / "mirror")
    made.add("bookworm", "libc6", "2.36-9")
    made.add("bookworm-security", "libc6", "2.36-9+deb12u10")
    made.add("bookworm-updates", "libc6", "2.36-9+deb12u9")
    made.publish()
    (found,) = distributions(made.archive("bookworm", "bookworm-updates", "bookworm-security"), tmp_path)
    assert found.codename == "bookworm"
    assert found.find("libc6").version.text == "2.36-9+deb12u10"
    assert found.find("none") is None


def test_the_pythons_of_a_release_are_derived_from_its_packages(tmp_path):
    made = MadeArchive(tmp_path / "mirror")
    for minor in ("3.9", "3.11"):
        made.add("bookworm", f"python{minor}-minimal")
    made.publish(by_hash=True)
    (found,) = distributions(made.archive("bookworm"), tmp_path)
    assert found.pythons() == ["3.9", "3.11"]


def test_a_release_that_the_archive_does_not_carry_is_passed_over(tmp_path):
    made = MadeArchive(tmp_path / "mirror")
    made.add("trixie", "libc6")
    made.publish()
    found = distributions(made.archive("bookworm", "trixie", "trixie-security", certain=False), tmp_path)
    assert [distribution.codename for distribution in found] == ["trixie"]


def test_a_suite_that_the_machine_names_must_be_there(tmp_path):
    made = MadeArchive(tmp_path / "mirror")
    made.add("bookworm", "libc6")
    made.publish()
    with pytest.raises(MlshipError, match="the archive has no suite bookworm-security"):
        distributions(made.archive("bookworm", "bookworm-security"), tmp_path)


def test_an_unsigned_list_is_refused(tmp_path):
    made = MadeArchive(tmp_path / "mirror")
    made.add("bookworm", "libc6")
    made.publish()
    path = made.root / "dists/bookworm/InRelease"
    path.write_bytes(path.read_bytes().removeprefix(SIGNATURE))
    with pytest.raises(MlshipError, match="the archive's list for bookworm is not signed by a trusted key") as raised:
        distributions(made.archive("bookworm"), tmp_path)
    assert raised.value.details == ("gpgv: BAD signature",)


@pytest.mark.parametrize(
    "status",
    [
        "EXPKEYSIG A\nVALIDSIG ABC",
        "REVKEYSIG A\nVALIDSIG ABC",
        "GOODSIG A",
        "NO_PUBKEY A",
        "GOODSIG A\nVALIDSIG ABC\nBADSIG B",
        "",
    ],
)
def test_a_signature_by_an_expired_revoked_or_unknown_key_is_none(status):
    with pytest.raises(MlshipError, match="not signed by a trusted key"):
        verified(Suite("http://mirror.example.test", "bookworm", ("main",)), SIGNATURE, Gpgv(status))


def test_an_unknown_second_signature_is_usual():
    status = "ERRSIG B\nNO_PUBKEY B\nGOODSIG A\nVALIDSIG 1234ABCD"
    assert verified(Suite("http://mirror.example.test", "bookworm", ()), SIGNATURE + b"x", Gpgv(status)) == b"x"


def test_a_source_that_names_a_fingerprint_takes_no_other_key():
    suite = Suite("http://mirror.example.test", "bookworm", (), fingerprints=("ABCDEF0123",))
    assert verified(suite, SIGNATURE, Gpgv()) == b""
    with pytest.raises(MlshipError, match="not signed by a trusted key"):
        verified(Suite(suite.uri, "bookworm", (), fingerprints=("FFFF",)), SIGNATURE, Gpgv())


def test_armoured_keys_are_turned_into_what_gpgv_reads(tmp_path):
    key = base64.b64encode(b"binary key").decode()
    (tmp_path / "k.asc").write_text(
        f"-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: x\n\n{key}\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"
    )
    (tmp_path / "k.gpg").write_bytes(b"\x99binary")
    seen: list[bytes] = []

    class Reading(Gpgv):
        def run(self, command):
            seen.extend(Path(command.argv[n + 1]).read_bytes() for n, word in enumerate(command.argv) if word == "--keyring")
            return super().run(command)

    verified(Suite("u", "bookworm", (), keyrings=(tmp_path / "k.asc", tmp_path / "k.gpg")), SIGNATURE, Reading())
    assert seen == [b"binary key", b"\x99binary"]


def test_an_expired_list_is_refused_unless_apt_says_otherwise(tmp_path):
    made = MadeArchive(tmp_path / "mirror")
    made.add("bookworm", "libc6")
    made.publish(valid_until="Fri, 20 Nov 2026 10:00:00 UTC")
    with pytest.raises(MlshipError, match="the package lists of bookworm were valid until Fri, 20 Nov 2026") as raised:
        distributions(made.archive("bookworm"), tmp_path)
    assert "Acquire::Check-Valid-Until" in raised.value.fix
    assert distributions(made.archive("bookworm", settings=AptSettings(check_valid_until=False)), tmp_path)
    made.publish(valid_until="Sun, 22 Nov 2026 10:00:00 UTC")
    assert distributions(made.archive("bookworm"), tmp_path)


def test_a_list_with_other_bytes_than_signed_is_refused(tmp_path):
    made = MadeArchive(tmp_path / "mirror")
    made.add("bookworm", "libc6")
    made.publish()
    path = made.root / "dists/bookworm/main/binary-amd64/Packages.xz"
    path.write_bytes(os.urandom(path.stat().st_size))
    with pytest.raises(MlshipError, match="the archive gave other bytes than it signed") as raised:
        distributions(made.archive("bookworm"), tmp_path)
    assert raised.value.exit is Exit.BUILD_FAILED


def test_provided_names_are_found():
    text = b"""Package: a
Version: 1
Filename: a.deb
Size: 1
SHA256: %s
Provides: b (= 2), c

Package: d
""" % (b"0" * 64)
    assert [package.name for package in Packages(text, "u").providing("c")] == ["a"]
    assert Packages(text, "u").providing("a") == []


def test_an_entry_without_a_digest_is_refused():
    with pytest.raises(MlshipError, match="the archive's entry of a lacks sha256"):
        Packages(b"Package: a\nVersion: 1\nFilename: a\nSize: 1\n\n", "http://u:p@mirror.example.test").named("a")
    with pytest.raises(MlshipError, match="lacks a valid SHA256 or size"):
        Packages(b"Package: a\nVersion: 1\nFilename: a\nSize: 1\nSHA256: ../../x\n\n", "u").named("a")
