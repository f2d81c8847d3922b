"""Secrets are read where mlship.yaml says, judged before anything changes, and shown nowhere."""

from __future__ import annotations

import ssl
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from made_certificate import made_certificate

from mlship.config.load import load_project
from mlship.config.project import Project
from mlship.errors import FindingsError
from mlship.flows.context import Context
from mlship.flows.secrets import Given, first_versions, read_here, read_secrets, refuse_missing, with_secrets
from mlship.home import Home
from mlship.progress import Silent
from mlship.releases.release import Release, Served
from mlship.runner import LocalRunner
from mlship.targets.base import OPERATOR_KEY, Deployment
from mlship.targets.docker.certificate import Unfit, certificate_from, is_pinned, validity

VALUE = "correct horse battery staple"
DAY = 86_400.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("a", "b"):
        made_certificate(folder, name)
    return folder


def project(folder: Path, text: str, target: str = "docker") -> Project:
    file = folder / "mlship.yaml"
    file.write_text(f"name: shop\nmodel: a.joblib\ntarget: {target}\n{text}")
    return load_project(file)


def given(folder: Path, text: str, environ: Mapping[str, str] | None = None, now: float = 0.0, target: str = "docker") -> Given:
    context = Context(
        home=Home(folder),
        runner=LocalRunner(),
        progress=Silent(),
        environ=environ or {},
        cwd=folder,
        clock=lambda: now or time.time(),
        who="test",
    )
    return read_secrets(context, project(folder, text, target))


def test_values_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("from a file\n\n")
    text = "secrets: {A: {docker: env}, B: {docker: 'env:OTHER'}, C: {docker: 'file:key.txt'}}\n"
    found = given(tmp_path, text, {"A": "a\n", "OTHER": "b"})
    assert found.values == {"A": "a\n", "B": "b", "C": "from a file\n"}
    assert found.findings == ()


def test_one_line_end_of_a_file_is_the_editors(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_bytes(b"dos\r\n")
    assert given(tmp_path, "secrets: {A: {docker: 'file:key.txt'}}\n").values == {"A": "dos"}


@pytest.mark.parametrize(
    ("source", "content", "message"),
    [
        ("env", None, "the variable KEY is not set; set KEY in the environment of this command"),
        ("env:OTHER", None, "the variable OTHER is not set; set OTHER in the environment of this command"),
        ("env:EMPTY", None, "the variable EMPTY is empty; give it a value, or delete the secret"),
        ("file:none", None, "the file none cannot be read: No such file or directory; write the file, or name another one"),
        ("file:.", None, "the file . is not a regular file; name a file"),
        ("file:key", b"\n", "the file key is empty; give it a value, or delete the secret"),
        ("file:key", b"a\0b", "the file key has a NUL in it, which no variable can have; encode it, for example with base64"),
        ("file:key", b"\xff\xfe", "the file key is not text in UTF-8; encode it, for example with base64"),
        ("file:key", b"x" * 65537, "the file key has more than 64 KiB; a secret is a short text: keep the rest elsewhere"),
    ],
)
def test_a_secret_without_a_good_value_is_told_with_its_place(
    tmp_path: Path, source: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    found = given(tmp_path, f"secrets: {{KEY: {{docker: '{source}'}}}}\n", {"EMPTY": ""})
    assert [str(finding) for finding in found.findings] == [f"mlship.yaml:4:17 secrets.KEY.docker  {message}"]
    assert found.values == {}


def test_the_largest_value_is_taken(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"x" * 65536 + b"\n")
    assert given(tmp_path, "secrets: {KEY: {docker: 'file:key'}}\n").findings == ()


def test_all_that_is_missing_is_refused_at_once(tmp_path: Path) -> None:
    text = "secrets: {A: {docker: env}, B: {docker: env}}\n"
    with pytest.raises(FindingsError, match="shop cannot be deployed: 2 secrets are not as needed") as raised:
        refuse_missing(project(tmp_path, text), given(tmp_path, text))
    assert [finding.code for finding in raised.value.findings] == ["missing-secret", "missing-secret"]


def test_another_target_reads_nothing(tmp_path: Path) -> None:
    assert given(tmp_path, "secrets: {KEY: {docker: env}}\n", target="local") == Given()


def test_no_value_can_be_printed(tmp_path: Path, certificates: Path) -> None:
    text = tls(certificates) + "  KEY: {docker: env}\n"
    found = given(tmp_path, text, {"KEY": VALUE})
    deployment = with_secrets(deployment_of(project(tmp_path, text)), found)
    key = (certificates / "a.key").read_text().splitlines()[1]
    for shown in (repr(found), str(deployment), repr(deployment.certificate), repr(deployment.operating)):
        assert VALUE not in shown
        assert key not in shown


def tls(certificates: Path, cert: str = "a.pem", key: str = "a.key") -> str:
    return (
        f"targets: {{docker: {{tls: {{cert: {certificates}/{cert}, key: secret:TLS_KEY}}}}}}\n"
        f"secrets:\n  TLS_KEY: {{docker: 'file:{certificates}/{key}'}}\n"
    )


def deployment_of(project: Project) -> Deployment:
    release = Release(1, Served("sha256:" + "0" * 64, ()), 0.0)
    docker = project.targets.docker
    settings = {"port": 8080, "tls": {"cert": docker.tls.cert, "key": docker.tls.key} if docker.tls else None}
    return Deployment("shop", "", "docker", "haproxy", release, settings, {"settings": settings})


def test_the_key_of_the_front_is_not_the_models(tmp_path: Path, certificates: Path) -> None:
    found = given(tmp_path, tls(certificates) + "  KEY: {docker: env}\n", {"KEY": VALUE})
    assert found.findings == ()
    assert found.values == {"KEY": VALUE}
    assert found.certificate is not None


def test_only_the_certificates_name_is_recorded(tmp_path: Path, certificates: Path) -> None:
    text = tls(certificates)
    found = given(tmp_path, text)
    assert found.certificate is not None
    deployment = with_secrets(deployment_of(project(tmp_path, text)), found)
    wanted = {"cert": f"{certificates}/a.pem", "key": "secret:TLS_KEY", "certificate": found.certificate.name}
    assert deployment.settings["tls"] == deployment.operating["settings"]["tls"] == wanted
    assert with_secrets(deployment_of(project(tmp_path, "")), Given()).settings["tls"] is None


def told(found: Given) -> list[str]:
    return [f"{finding.severity}: {finding.where.split()[-1]}: {finding.what}" for finding in found.findings]


def test_certificate_and_key_have_to_belong_together(tmp_path: Path, certificates: Path) -> None:
    found = given(tmp_path, tls(certificates, key="b.key"))
    assert told(found) == ["error: targets.docker.tls.key: the key does not belong to the certificate"]
    assert found.certificate is None


def test_a_certificate_file_that_is_missing_is_named(tmp_path: Path, certificates: Path) -> None:
    assert told(given(tmp_path, tls(certificates, cert="none.pem"))) == [
        f"error: targets.docker.tls.cert: the file {certificates}/none.pem cannot be read: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("after_days", "said"),
    [
        (0, []),
        (85.5, []),
        (86.5, ["warning: targets.docker.tls.cert: the certificate ends in 13 days"]),
        (99.5, ["warning: targets.docker.tls.cert: the certificate ends in less than a day"]),
        (101.5, ["error: targets.docker.tls.cert: the certificate ended a day ago"]),
        (-3.5, ["error: targets.docker.tls.cert: the certificate begins only in 3 days"]),
    ],
)
def test_a_certificates_time_is_judged(tmp_path: Path, certificates: Path, after_days: float, said: list[str]) -> None:
    now = (certificates / "a.pem").stat().st_mtime + after_days * DAY
    assert told(given(tmp_path, tls(certificates), now=now)) == said


def unfit(cert: str, key: str) -> str:
    with pytest.raises(Unfit) as raised:
        validity(certificate_from(cert, key))
    return f"{raised.value.whose}: {raised.value}"


def test_what_is_no_certificate_or_key_is_told(certificates: Path) -> None:
    cert, key = ((certificates / name).read_text() for name in ("a.pem", "a.key"))
    cut = "\n".join(line for number, line in enumerate(cert.splitlines()) if number != 3)
    assert unfit("", key) == "cert: there is no certificate in it"
    assert unfit(cert, cert) == "key: there is no private key in it"
    assert unfit(cut, key).startswith("cert: certificate and key cannot be read")
    assert unfit(cert, key.replace("PRIVATE", "ENCRYPTED PRIVATE")) == "key: the key is locked with a passphrase"


def test_a_weak_key_and_a_certificate_for_clients_are_told(tmp_path: Path) -> None:
    argv = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:1024",
        "-nodes",
        "-subj",
        "/CN=x",
        "-keyout",
        "weak.key",
        "-out",
        "weak.pem",
    )
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
    weak = unfit((tmp_path / "weak.pem").read_text(), (tmp_path / "weak.key").read_text())
    assert weak == "cert: it is too weak to be taken today (EE_KEY_TOO_SMALL)"
    cert, key = made_certificate(tmp_path, "client", 10, "-addext", "extendedKeyUsage=clientAuth")
    assert "callers would not take it: unsuitable certificate purpose" in unfit(cert.read_text(), key.read_text())


def test_a_file_with_certificates_and_key_is_taken_for_both(certificates: Path) -> None:
    both = "comment\n" + "".join((certificates / name).read_text() for name in ("a.key", "a.pem", "b.pem"))
    certificate = certificate_from(both, both)
    assert "PRIVATE" not in certificate.chain
    assert certificate.chain.count("BEGIN CERTIFICATE") == 2
    assert validity(certificate).ends > time.time()


def test_ones_own_calls_take_this_certificate_and_no_other(certificates: Path) -> None:
    mine, other = (
        certificate_from((certificates / f"{name}.pem").read_text(), (certificates / f"{name}.key").read_text())
        for name in ("a", "b")
    )
    presented = ssl.PEM_cert_to_DER_cert(mine.chain)
    assert is_pinned(mine.chain, presented)
    assert not is_pinned(other.chain, presented)
    assert not is_pinned(mine.chain, None)


def test_a_cloud_is_handed_names_and_no_values(tmp_path: Path) -> None:
    text = "secrets: {KEY: {aws: 'secretsmanager:shop/key', docker: env}}\n"
    found = given(tmp_path, text, {"KEY": VALUE}, target="aws")
    assert found == Given(references={"KEY": "secretsmanager:shop/key"}, places={"KEY": "mlship.yaml:4:17 secrets.KEY.aws"})


def test_the_keys_of_callers_have_a_place_at_the_cloud(tmp_path: Path) -> None:
    text = "serve: {auth: {api_keys: secret:KEYS}}\nsecrets: {KEYS: {docker: env}}\n"
    assert [str(finding) for finding in given(tmp_path, text, target="azure").findings] == [
        "mlship.yaml:5:11 secrets.KEYS  the secret KEYS has no place for the target azure; write KEYS: {azure: VAULT/NAME}"
    ]


def test_a_server_on_this_machine_has_the_keys_that_the_file_names_for_it(tmp_path: Path) -> None:
    text = "serve: {auth: {api_keys: secret:KEYS}}\nsecrets: {KEYS: {aws: 'secretsmanager:shop/keys', local: env}}\n"
    context = Context(Home(tmp_path), LocalRunner(), Silent(), {"KEYS": VALUE}, tmp_path, time.time, "test")
    found = read_here(context, project(tmp_path, text, "aws"))
    assert found.values["KEYS"] == VALUE and found.values[OPERATOR_KEY] and not found.references


def test_rendering_asks_no_store_for_its_newest_version(tmp_path: Path) -> None:
    text = "secrets: {KEY: {aws: 'secretsmanager:shop/key', docker: env}}\n"
    assert first_versions(project(tmp_path, text, "aws")) == {"KEY": "${KEY}"}
    assert first_versions(project(tmp_path, text)) == {"KEY": "1"}
