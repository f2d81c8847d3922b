from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.image.system.apt import (
    AptSettings,
    apt_settings,
    deb822_sources,
    machine_archive,
    one_line_sources,
    without_credentials,
)
from mlship.runner import Command, Result

BOOKWORM = "http://mirror.example.test/debian"


class AptConfig:
    def __init__(self, text: str = "") -> None:
        self.text = text

    def run(self, command: Command) -> Result:
        assert command.argv[0] == "apt-config"
        return Result(0, self.text.encode(), b"")


def machine(root: Path, files: dict[str, str], codename: str = "bookworm") -> Path:
    for name, text in {
        "etc/os-release": f'ID=debian\nVERSION_CODENAME="{codename}"\n',
        "usr/bin/apt-config": "",
        **files,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def names(archive) -> list[tuple[str, str]]:
    return [(suite.uri, suite.name) for suite in archive.suites if suite.certain]


def test_one_line_sources_are_read_with_their_options():
    text = """# deb http://old.example.test/debian sid main
deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://mirror.example.test/debian/ bookworm main contrib  # note
deb-src http://mirror.example.test/debian bookworm main
deb http://flat.example.test/repo ./
"""
    (suite,) = one_line_sources(text)
    assert (suite.uri, suite.name, suite.components) == (BOOKWORM, "bookworm", ("main", "contrib"))
    assert suite.keyrings == (Path("/usr/share/keyrings/k.gpg"),)


def test_deb822_sources_are_read_with_comments_and_disabled_ones_left_out():
    text = f"""Types: deb deb-src
# a snapshot
URIs: {BOOKWORM}
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/k.gpg

Types: deb
URIs: http://other.example.test
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example.test
Suites: bookworm
Components: main
"""
    assert [(suite.uri, suite.name) for suite in deb822_sources(text)] == [
        (BOOKWORM, "bookworm"),
        (BOOKWORM, "bookworm-updates"),
    ]


def test_a_key_in_the_source_itself_is_kept_whole():
    key = " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n AAAA\n -----END PGP PUBLIC KEY BLOCK-----\n"
    (suite,) = deb822_sources(f"Types: deb\nURIs: {BOOKWORM}\nSuites: bookworm\nComponents: main\nSigned-By:\n{key}")
    assert suite.key.strip() == "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----"


def test_the_machines_release_comes_first_and_its_archive_is_tried_for_others(tmp_path):
    sources = "\n".join(
        [
            f"deb {BOOKWORM} bookworm main",
            f"deb {BOOKWORM} bookworm-updates main",
            f"deb {BOOKWORM} bookworm-backports main",
            f"deb {BOOKWORM}-security bookworm-security main",
            "deb http://engine.example.test/linux/debian bookworm stable",
            "deb http://node.example.test/node nodistro main",
        ]
    )
    archive = machine_archive(AptConfig(), root=machine(tmp_path, {"etc/apt/sources.list": sources}))
    assert names(archive) == [
        (BOOKWORM, "bookworm"),
        (BOOKWORM, "bookworm-updates"),
        (f"{BOOKWORM}-security", "bookworm-security"),
    ]
    assert archive.stems == ("bookworm", "trixie")
    assert [suite.name for suite in archive.suites if not suite.certain] == ["trixie", "trixie-updates", "trixie-security"]


def test_a_release_that_mlship_has_never_heard_of_is_used_where_the_machine_runs_it(tmp_path):
    root = machine(tmp_path, {"etc/apt/sources.list": f"deb {BOOKWORM} zurg main"}, codename="zurg")
    assert names(machine_archive(AptConfig(), root=root)) == [(BOOKWORM, "zurg")]


def test_apts_trusted_keys_count_where_a_source_names_none(tmp_path):
    root = machine(
        tmp_path,
        {
            "etc/apt/sources.list": f"deb {BOOKWORM} bookworm main",
            "etc/apt/trusted.gpg.d/a.gpg": "",
            "etc/apt/trusted.gpg.d/b.asc": "",
            "etc/apt/trusted.gpg.d/README": "",
            "usr/share/keyrings/debian-archive-keyring.gpg": "",
            "usr/share/keyrings/nodesource.gpg": "",
        },
    )
    found = machine_archive(AptConfig(), root=root).suites[0].keyrings
    assert [path.name for path in found] == ["a.gpg", "b.asc", "debian-archive-keyring.gpg"]


def test_apts_settings_are_honoured(tmp_path):
    text = """Acquire::http::Proxy=http://proxy.example.test:3128
Acquire::https::Proxy=DIRECT
Acquire::http::Proxy::mirror.example.test=DIRECT
Acquire::https::CAInfo=/etc/ssl/company.pem
Acquire::Check-Valid-Until=false
"""
    login = (
        "machine mirror.example.test/debian login anna password 's e c r e t'\nmachine other.example.test login b password c"
    )
    settings = apt_settings(AptConfig(text), machine(tmp_path, {"etc/apt/auth.conf.d/a.conf": login}))
    assert settings == AptSettings(
        proxies={"http": "http://proxy.example.test:3128", "https": "DIRECT", "http::mirror.example.test": "DIRECT"},
        ca=Path("/etc/ssl/company.pem"),
        check_valid_until=False,
        logins=(("mirror.example.test/debian", "anna", "s e c r e t"), ("other.example.test", "b", "c")),
    )
    assert "s e c r e t" not in repr(settings)


def test_an_expired_archive_is_refused_unless_apt_says_otherwise(tmp_path):
    assert apt_settings(AptConfig(), machine(tmp_path, {"etc/apt/apt.conf": ""})).check_valid_until is True


def test_a_machine_without_apt_is_told_what_to_set(tmp_path):
    with pytest.raises(MlshipError) as raised:
        machine_archive(AptConfig(), root=tmp_path)
    assert "this machine has no apt sources" in raised.value.what
    assert "build.mirror" in raised.value.fix
    assert "mlship doctor" in raised.value.fix


def test_a_mirror_is_tried_for_every_release_that_it_may_carry(tmp_path):
    archive = machine_archive(AptConfig(), mirror=f"{BOOKWORM}/", root=tmp_path)
    assert archive.source == "build.mirror"
    assert (f"{BOOKWORM}-security", "trixie-security") in {(suite.uri, suite.name) for suite in archive.suites}
    assert {suite.certain for suite in archive.suites} == {False}


def test_a_mirror_can_be_a_whole_line_with_its_own_keyring(tmp_path):
    archive = machine_archive(AptConfig(), mirror=f"[signed-by=/k.gpg] {BOOKWORM} trixie main", root=tmp_path)
    assert names(archive) == [(BOOKWORM, "trixie")]
    assert archive.suites[0].keyrings == (Path("/k.gpg"),)


@pytest.mark.parametrize("mirror", ["debian", "ftp://mirror.example.test", "http://", "http://a.example.test b c d;e\nf"])
def test_a_mirror_that_is_no_address_is_refused(tmp_path, mirror):
    with pytest.raises(MlshipError, match="no address of a Debian archive"):
        machine_archive(AptConfig(), mirror=mirror, root=tmp_path)


def test_credentials_never_leave_a_url():
    assert without_credentials("https://u:p%40ss@mirror.example.test:8080/debian") == "https://mirror.example.test:8080/debian"
