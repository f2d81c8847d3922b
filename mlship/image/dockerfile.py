"""The same image by a Dockerfile that people can read, keep and build without mlship."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlship.image.plan import PACKAGES, ImageConfig, LayerFile, LayerPlan, LayerRole, Wheel
from mlship.templating import render

_MOUNT = "/mnt/packages"  # where the stage sees the context's packages/


@dataclass(frozen=True)
class DockerPlan:
    """What a Dockerfile is made from.

    base: the base layer as a tar, plain or gzip (the blob of the daemonless builder's). suite: of the base, for people.
    python: the interpreter's path inside the image. layers: server, models, code, configuration, in the order in which
    they are laid; the first that changes is the first that is built again.
    """

    project: str
    base: Path
    suite: str
    python: str
    wheels: tuple[Wheel, ...]
    layers: tuple[LayerPlan, ...]
    config: ImageConfig


@dataclass(frozen=True)
class _Pair:
    name: str
    text: str


@dataclass(frozen=True)
class _Copied:
    title: str
    copy: tuple[str, str]


@dataclass(frozen=True)
class _Page:
    """The finished value that the template prints."""

    project: str
    suite: str
    install: tuple[str, ...]
    packages: tuple[str, str]
    layers: tuple[_Copied, ...]
    env: tuple[_Pair, ...]
    labels: tuple[_Pair, ...]
    port: int
    user: str
    working_dir: str
    stop_signal: str
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]


def docker_context(plan: DockerPlan, *, uv: Path, local_wheels: Mapping[str, Path]) -> dict[str, Path | bytes]:
    """Every file of the build context by its path in it; `Dockerfile` among them.

    uv: a uv program for the image's platform. local_wheels: sha256 -> file, of wheels that only this machine has; those that
    were built here are taken besides. Raises MlshipError where a value cannot be written in a Dockerfile.
    """
    files: dict[str, Path | bytes] = {
        "Dockerfile": dockerfile(plan),
        ".dockerignore": b"",
        "base.tar": plan.base,
        "packages/uv": uv,
        "packages/requirements.txt": _requirements(plan.wheels),
        "packages/wheels/.keep": b"",
    }
    for wheel in plan.wheels:
        path = wheel.built or local_wheels.get(wheel.sha256)
        if path is not None:
            files[f"packages/wheels/{path.name}"] = path
    for number, layer in enumerate(plan.layers):
        for file in layer.files:
            name = f"{_folder(number, layer)}/{_inside(file)}"
            files[name] = file.source if file.source is not None else file.content
    return files


def dockerfile(plan: DockerPlan) -> bytes:
    """The Dockerfile alone; the same plan gives the same bytes."""
    config = plan.config
    page = _Page(
        project=plan.project,
        suite=plan.suite,
        install=_install(plan.python),
        packages=(PACKAGES, PACKAGES),
        layers=tuple(
            _Copied(_title(layer), (f"{_folder(n, layer)}/", "/")) for n, layer in enumerate(plan.layers) if layer.files
        ),
        env=_pairs(config.env),
        labels=_pairs(config.labels),
        port=config.port,
        user=config.user,
        working_dir=config.working_dir,
        stop_signal=config.stop_signal,
        entrypoint=config.entrypoint,
        cmd=config.cmd,
    )
    return render("docker/Dockerfile.j2", page)


def folder_plan(role: LayerRole, name: str, folder: Path, target: str, key: str = "") -> LayerPlan:
    """A layer plan of all files of a folder, placed at the absolute image path `target`; foreign bytecode left out."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    files = (LayerFile(f"{target}/{path.relative_to(folder).as_posix()}", source=path, mode=_mode(path)) for path in paths)
    return LayerPlan(role, name, tuple(files), key)


def file_modes(plan: DockerPlan) -> dict[str, int]:
    """Modes of the context's files that go into the image, by their path in the context; others do not matter."""
    numbered = enumerate(plan.layers)
    return {f"{_folder(n, layer)}/{_inside(file)}": file.mode for n, layer in numbered for file in layer.files}


def _install(python: str) -> tuple[str, ...]:
    return (f"{_MOUNT}/uv", "pip", "install", "--target", PACKAGES, "--python", python, "--no-deps", "--require-hashes",
            "--only-binary", ":all:", "--link-mode", "copy", "--compile-bytecode", "--find-links", f"{_MOUNT}/wheels",
            "-r", f"{_MOUNT}/requirements.txt")  # fmt: skip


def _requirements(wheels: Iterable[Wheel]) -> bytes:
    lines = sorted(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in wheels)
    return "".join(lines).encode()


def _folder(number: int, layer: LayerPlan) -> str:
    return f"layers/{number:02d}-{layer.role}"


def _title(layer: LayerPlan) -> str:
    return f"{layer.role} {layer.name}" if layer.name and layer.name != layer.role else layer.role


def _inside(file: LayerFile) -> str:
    """The target as a path in the context. A target that leaves the image is a bug of whoever planned the layer."""
    target = PurePosixPath(file.target)
    if not target.is_absolute() or ".." in target.parts:
        raise ValueError(f"{file.target!r} is not an absolute path inside the image")
    return str(target.relative_to("/"))


def _pairs(values: Mapping[str, str]) -> tuple[_Pair, ...]:
    return tuple(_Pair(name, text) for name, text in sorted(values.items()))


def _mode(path: Path) -> int:
    return 0o755 if path.stat().st_mode & 0o100 else 0o644
