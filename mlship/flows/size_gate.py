"""build.max_size: an image that is larger fails the build, before it is anybody's newest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mlship.config.project import Project
from mlship.errors import Exit, MlshipError
from mlship.image.lock import Lock
from mlship.image.workplace import Workplace
from mlship.oci.image import Layer
from mlship.units import Memory, size_text

SHOWN = 6
_STEP = 10_000_000  # bytes: limits that are proposed are whole multiples of it
_SMALLER = {
    "xgboost": "xgboost-cpu is the same without GPU code",
    "torch": "torch has builds without GPU code",
    "tensorflow": "tensorflow-cpu is the same without GPU code",
    "opencv-python": "opencv-python-headless is the same without windows",
    "pyspark": "a model server seldom needs pyspark",
}


def refuse_too_large(workplace: Workplace, project: Project, layers: Sequence[Layer], lock: Lock) -> None:
    """Counts what the layers take unpacked, as engines show it. Raises MlshipError with exit 5."""
    limit, size = project.build.max_size, sum(layer.size for layer in layers)
    if limit is None or size <= limit.bytes:
        return
    # here and not above: only an image that is too large is looked into
    from mlship.image.sizes import layer_parts

    compressed = size_text(sum(layer.blob.size for layer in layers))
    parts = layer_parts(workplace.layout, layers, workplace.home, wheel_versions(lock))
    biggest = [f"{size_text(part.size)}  {f'{part.name} {part.version}'.rstrip()} ({part.kind})" for part in parts[:SHOWN]]
    room = Memory(-(-size // _STEP) * _STEP)
    which = f"the image for {lock.platform}" if len(project.build.platforms or ()) > 1 else "the image"
    raise MlshipError(
        f"{which} has {size_text(size)} ({compressed} compressed), and build.max_size is {limit}",
        project.at("build.max_size"),
        f"{_remedy(part.name for part in parts)}, or set max_size: {room}",
        exit=Exit.BUILD_FAILED,
        code="too-large",
        details=("the largest in it:", *biggest),
    )


def wheel_versions(lock: Lock) -> Mapping[str, str]:
    """By name."""
    return {wheel.name: wheel.version for wheel in lock.wheels}


def _remedy(names: Iterable[str]) -> str:
    listed = list(names)
    known = next((_SMALLER[name] for name in listed if name in _SMALLER), "")
    gpu = next((name for name in listed if name.startswith("nvidia-")), "")
    if known or not gpu:
        return known or "take packages that the model does not need out of the training environment"
    return f"{gpu} is GPU code: install builds of the packages for CPUs"
