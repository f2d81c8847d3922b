"""Builds a Dockerfile's context with BuildKit, through the docker client of this machine."""

from __future__ import annotations

import hashlib
import json
import os
import platform as machine
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlship.disk import scratch_folder, tag_as_made
from mlship.errors import Exit, MlshipError, need
from mlship.home import Home
from mlship.image.dockerfile import DockerPlan, docker_context, file_modes
from mlship.image.packages.environment import normalised
from mlship.image.packages.indexes import Indexes, local_path
from mlship.image.packages.unreachable import refuse_unreachable
from mlship.image.packages.uv_program import find_uv, uv_command, uv_platform
from mlship.image.plan import Wheel
from mlship.progress import Progress
from mlship.runner import Command, Runner

_BUILT_IN_UNTIL = 23  # from this major version on, the client builds through the buildx plugin alone
_MACHINES = {"linux/amd64": ("x86_64",), "linux/arm64": ("aarch64", "arm64")}
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy")


def build_with_docker(
    plan: DockerPlan,
    *,
    platform: str,
    glibc: str,
    indexes: Indexes,
    runner: Runner,
    home: Home,
    progress: Progress,
    environ: Mapping[str, str],
    project_root: Path,
    kept: Path | None = None,
) -> str:
    """The image's id in the engine, `sha256:<hex>`.

    Works on a copy of the files that plan names; kept: an empty or new folder that the copy stays in. Credentials and
    certificates are BuildKit secrets. Raises MlshipError: exit 2 where no client with BuildKit is installed, exit 5 where
    the build fails.
    """
    docker = docker_with_buildkit(runner, environ)
    uv = uv_for(platform, glibc, indexes, runner, home, project_root)
    context = docker_context(plan, uv=uv, local_wheels=local_wheels(plan.wheels, indexes))
    with scratch_folder(home.cache) as folder:
        place = kept or folder / "context"
        write_context(place, context, file_modes(plan))
        tag_as_made(place)  # a later build does not take a folder that was kept for the user's code
        progress.step("docker", f"building {len(plan.layers) + 2} layers")
        with _secrets(folder, indexes, environ) as secrets:
            return _build(docker, place, folder / "image-id", secrets, platform, runner, progress, environ)


def write_context(folder: Path, files: Mapping[str, Path | bytes], modes: Mapping[str, int]) -> None:
    """Writes a build context; modes of files that are not named are those that a build step needs."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            shutil.copyfile(content, path)
        path.chmod(modes.get(name, 0o755 if name == "packages/uv" else 0o644))
    for place, folders, _ in os.walk(folder):  # whatever the umask is: COPY keeps these modes
        for name in folders:
            (Path(place) / name).chmod(0o755)


def docker_with_buildkit(runner: Runner, environ: Mapping[str, str]) -> str:
    """The first docker client on PATH that can build with BuildKit: by its plugin, or built in as before version 23."""
    clients = [Path(folder) / "docker" for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    clients = [client for client in clients if os.access(client, os.X_OK)]
    for client in clients:
        if runner.run(Command((str(client), "buildx", "version"), timeout_s=30)).ok:
            return str(client)
        told = runner.run(Command((str(client), "version", "--format", "{{json .Client.Version}}"), timeout_s=30))
        if told.stdout.strip() and _major(told.text) < _BUILT_IN_UNTIL:
            return str(client)
    if not clients:
        raise MlshipError(
            "the program docker is not installed",
            fix="install it, or build without it: mlship build",
            code="missing-program",
        )
    raise MlshipError(
        f"{clients[0]} has no BuildKit: its buildx plugin is not installed",
        where="PATH",
        fix="install the docker-buildx plugin, or build without it: mlship build",
        code="no-buildkit",
    )


def uv_for(platform: str, glibc: str, indexes: Indexes, runner: Runner, home: Home, project_root: Path) -> Path:
    """A uv program that runs on the platform: this machine's own, or the one of the same version's wheel."""
    if sys.platform == "linux" and machine.machine() in _MACHINES[platform]:
        return Path(find_uv())
    version = need("importlib.metadata").version("uv")
    target = home.cache / "uv" / f"{version}-{platform.replace('/', '-')}"
    if not (target / "bin/uv").is_file():
        with scratch_folder(target.parent) as folder:
            arguments = ("pip", "install", "--target", f"{folder}/uv", "--no-deps", "--only-binary", ":all:",
                         "--python", sys.executable, "--python-platform", uv_platform(platform, glibc), f"uv=={version}")  # fmt: skip
            result = runner.run(uv_command(arguments, indexes, project_root))
            if not result.ok:
                refuse_unreachable(result)
                raise MlshipError(
                    f"uv {version} for {platform} cannot be had from the indexes",
                    fix="mlship doctor shows the indexes; or build without docker: mlship build",
                    exit=Exit.BUILD_FAILED,
                    details=result.last_lines(),
                )
            shutil.rmtree(target, ignore_errors=True)
            (folder / "uv").replace(target)
    return target / "bin/uv"


def local_wheels(wheels: tuple[Wheel, ...], indexes: Indexes) -> dict[str, Path]:
    """sha256 -> file, of the locked wheels that lie in folders of this machine, which a build step cannot see."""
    wanted = {(normalised(wheel.name), wheel.version): wheel.sha256 for wheel in wheels if not wheel.origin}
    found: dict[str, Path] = {}
    for folder in indexes.local_folders():
        for name, version in wanted:
            for path in _files_in(folder, name, version):
                sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
                if sha256 == wanted[name, version]:
                    found.setdefault(sha256, path)
    return found


def _files_in(folder: Path, name: str, version: str) -> Iterator[Path]:
    """Wheels of a package in a folder of wheels, or in an index that is a folder (PEP 503)."""
    page = folder / name / "index.html"
    listed = _Links.of(page) if page.is_file() else sorted(folder.glob("*.whl"))
    utils = need("packaging.utils")
    for path in listed:
        try:
            there, at, _, _ = utils.parse_wheel_filename(path.name)
        except utils.InvalidWheelFilename:
            continue
        if there == name and str(at) == version and path.is_file():
            yield path


class _Links(HTMLParser):
    """The addresses of an index page."""

    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hrefs += [value for name, value in attrs if tag == "a" and name == "href" and value]

    @classmethod
    def of(cls, page: Path) -> list[Path]:
        """The files of this machine that a page links to."""
        parser = cls()
        parser.feed(page.read_text(encoding="utf-8", errors="replace"))
        addresses = (href.partition("#")[0] for href in parser.hrefs)
        named = (
            local_path(a) if a.startswith("file:") else page.parent / unquote(urlsplit(a).path)
            for a in addresses
            if "http" not in a[:4]
        )
        return [path for path in named if path]


@contextmanager
def _secrets(folder: Path, indexes: Indexes, environ: Mapping[str, str]) -> Iterator[list[str]]:
    """Arguments that hand secrets to BuildKit. The file with credentials is gone when this ends."""
    settings = folder / "uv.toml"
    settings.touch(mode=0o600)
    settings.write_text(uv_toml(indexes.for_hashes()))
    arguments = ["--secret", f"id=indexes,src={settings}"]
    if indexes.certificate and Path(indexes.certificate.value).is_file():
        arguments += ["--secret", f"id=certificates,src={indexes.certificate.value}"]
    netrc = Path(environ.get("NETRC") or Path(environ.get("HOME", "/nonexistent")) / ".netrc")
    if netrc.is_file():
        arguments += ["--secret", f"id=netrc,src={netrc}"]
    try:
        yield arguments
    finally:
        settings.unlink(missing_ok=True)


def uv_toml(indexes: Indexes) -> str:
    """The sources that a build step can reach, as uv's own settings. Holds credentials."""
    remote = [
        ("extra-index-url", source.value.partition("=")[2] if "=http" in source.value else source.value)
        for source in indexes.extra
    ]
    lines = (
        [f"index-url = {json.dumps(indexes.index.value)}"] if indexes.index and local_path(indexes.index.value) is None else []
    )
    for key, values in (
        ("extra-index-url", [value for _, value in remote if local_path(value) is None]),
        ("find-links", [source.value for source in indexes.links if local_path(source.value) is None]),
        ("allow-insecure-host", [source.value for source in indexes.hosts]),
    ):
        lines += [f"{key} = {json.dumps(values)}"] if values else []
    lines += [f"index-strategy = {json.dumps(indexes.strategy)}"] if indexes.strategy else []
    lines += ["no-index = true"] if indexes.no_index else []
    return "".join(f"{line}\n" for line in lines)


def _build(
    docker: str,
    context: Path,
    image_id: Path,
    secrets: list[str],
    platform: str,
    runner: Runner,
    progress: Progress,
    environ: Mapping[str, str],
) -> str:
    proxies = [argument for name in _PROXIES if environ.get(name) for argument in ("--build-arg", name)]
    argv = (docker, "build", "--progress", "plain", "--platform", platform, "--iidfile", str(image_id), *secrets, *proxies,
            "--file", str(context / "Dockerfile"), str(context))  # fmt: skip
    command = Command(argv, extra_environ={"DOCKER_BUILDKIT": "1"})
    result = runner.stream(command, lambda line: progress.step("docker", line) if line else None)
    if not result.ok:
        raise MlshipError(
            f"docker build failed (exit {result.code})",
            where="the lines above the last one name the step",
            fix="mlship doctor checks the engine and the indexes; mlship build works without an engine",
            exit=Exit.BUILD_FAILED,
            details=result.last_lines(20),
            code="docker-build-failed",
        )
    return image_id.read_text().strip()


def _major(version: str) -> int:
    digits = version.strip().strip('"').partition(".")[0]
    return int(digits) if digits.isdecimal() else _BUILT_IN_UNTIL
