"""The door to AWS as a company has it: a profile, a proxy that opens TLS, an authority of its own, another partition, other endpoints."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
from inspecting_proxy import Asked, Told, inspecting_proxy
from sagemaker_parts import ACCOUNT, moto_and_registry
from story import Story

from mlship.errors import Exit, MlshipError
from mlship.oci.layout import Layout
from mlship.progress import Silent
from mlship.targets.aws.delivery import Images
from mlship.targets.aws.door import BotoDoor

pytestmark = pytest.mark.world
CHINA = "cn-north-1"
CONFIG = f"[profile company]\nregion = {CHINA}\n[profile other]\nregion = us-gov-west-1\n"
KEYS = "[company]\naws_access_key_id = test\naws_secret_access_key = test\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with moto_and_registry(tmp_path_factory.mktemp("aws")) as environ:
        yield environ


def moto(running: Mapping[str, str], asked: list[str]) -> Callable[[Asked], Told]:
    """Every request for AWS goes on to moto as it is; `asked` gets its hosts."""

    def answer(request: Asked) -> Told:
        asked.append(request.host)
        kept = {name: text for name, text in request.headers.items() if name not in ("connection", "content-length")}
        connection = HTTPConnection(urlsplit(running["AWS_ENDPOINT_URL"]).netloc, timeout=30)
        connection.request(request.method, request.target, request.body, kept)
        told = connection.getresponse()
        body = told.read()
        connection.close()
        return Told(told.status, {name: text for name, text in told.getheaders() if name.lower() == "content-type"}, body)

    return answer


def with_profile(folder: Path, reached: Mapping[str, str]) -> dict[str, str]:
    """Credentials in a profile, a proxy, and AWS' own name for the authority; no other variable says any of it."""
    (folder / "config").write_text(CONFIG)
    (folder / "credentials").write_text(KEYS)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_PROFILE": "company",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HTTPS_PROXY": reached["HTTPS_PROXY"],
        "NO_PROXY": "127.0.0.1",
        "AWS_CA_BUNDLE": reached["SSL_CERT_FILE"],
        "MLSHIP_HOME": str(folder / "home"),
    }


def test_a_profile_a_proxy_and_an_authority_lead_to_china_and_back(tmp_path: Path, running: Mapping[str, str]) -> None:
    asked: list[str] = []
    with inspecting_proxy(moto(running, asked), tmp_path / "tls") as reached:
        environ = with_profile(tmp_path, reached)
        assert Story(tmp_path, Path(sys.executable), environ).mlship("list", "--target", "aws")["services"] == []
        hosts = set(asked)
        assert hosts and all(host.endswith(f".{CHINA}.amazonaws.com.cn") for host in hosts), hosts
        asked.clear()

        elsewhere = {**environ, "AWS_ENDPOINT_URL_S3": running["AWS_ENDPOINT_URL"]}
        Story(tmp_path, Path(sys.executable), elsewhere).mlship("list", "--target", "aws")
        assert {host.partition(".")[0] for host in asked} == {host.partition(".")[0] for host in hosts} - buckets(hosts)
        asked.clear()

        strange = {name: text for name, text in environ.items() if name != "AWS_CA_BUNDLE"}
        refused = Story(tmp_path, Path(sys.executable), strange).mlship("list", "--target", "aws", exit=Exit.UNREACHABLE)
        assert "CERTIFICATE_VERIFY_FAILED" in json.dumps(refused) and "AWS_CA_BUNDLE" in json.dumps(refused)

        lost = {**environ, "AWS_CA_BUNDLE": str(tmp_path / "none.pem")}
        said = Story(tmp_path, Path(sys.executable), lost).refused("list", "--target", "aws")
        assert "there is no file" in said and "none.pem" in said

        nobody = {**environ, "AWS_PROFILE": "nobody"}
        denied = Story(tmp_path, Path(sys.executable), nobody).mlship("list", "--target", "aws", exit=Exit.DENIED)
        assert "nobody" in json.dumps(denied) and "AWS_PROFILE" in json.dumps(denied)
        assert asked == []


def buckets(hosts: set[str]) -> set[str]:
    """First labels of those that belong to S3."""
    return {host.partition(".")[0] for host in hosts if ".s3." in host or host.startswith("s3.")}


def test_an_image_is_pushed_through_the_proxy_that_the_profile_s_authority_vouches_for(
    tmp_path: Path, running: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = int(running["ECR_DATA_PLANE"].rpartition(":")[2])
    host = f"{ACCOUNT}.dkr.ecr.us-gov-west-1.amazonaws.com"
    layout = Layout(tmp_path / "images")
    image = layout.write_image([], {"Labels": {"mlship.project": "churn"}}, "linux/amd64")
    with inspecting_proxy(moto(running, []), tmp_path / "tls", {host: registry}) as reached:
        environ = with_profile(tmp_path, reached)
        (tmp_path / "config").write_text(f"{CONFIG}ca_bundle = {environ.pop('AWS_CA_BUNDLE')}\n")
        (tmp_path / "credentials").write_text(KEYS.replace("company", "other"))
        for name in (*reached, "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.delenv(name, raising=False)
        for name, text in {**environ, "AWS_PROFILE": "other"}.items():
            monkeypatch.setenv(name, text)
        door = BotoDoor()
        assert door.region == "us-gov-west-1"
        door.call("ecr", "create_repository", repositoryName="churn")
        pushed = Images(door, layout, {**environ, "AWS_PROFILE": "other"}, Silent()).deliver(
            "churn", image.content, "linux/amd64"
        )
    assert pushed.startswith(f"{host}/churn@sha256:")


def test_who_is_nobody_is_told_where_credentials_come_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(MlshipError, match="Unable to locate credentials") as denied:
        BotoDoor("eu-west-1").call("sts", "get_caller_identity")
    assert denied.value.exit is Exit.DENIED and "AWS_PROFILE" in denied.value.fix
    with pytest.raises(MlshipError, match="no region of AWS is said"):
        _ = BotoDoor().region
