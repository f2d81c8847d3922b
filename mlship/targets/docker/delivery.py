"""Images at the engine: brought there from this machine's layout, found by their content, removed when nobody uses them."""

from __future__ import annotations

from collections.abc import Iterable

from mlship.errors import Exit, MlshipError
from mlship.oci.image import CONTENT_LABEL, FRONT_LABEL, FRONT_MADE, Image
from mlship.oci.layer import MEDIA_TYPES
from mlship.oci.layout import Layout
from mlship.targets.base import FrontImage
from mlship.targets.docker.engine import Engine, EngineImage
from mlship.targets.docker.loading import Sendings, load
from mlship.targets.docker.spec import PROJECT, image_tag

FRONT = "front"  # `mlship/front:c41e07f2a9b3`


def deliver(engine: Engine, layout: Layout, project: str, content: str, sendings: Sendings) -> EngineImage:
    """The image under its tag at the engine; loaded only when the engine has none of that content.

    Raises MlshipError when neither has it, and when the engine shows another content than what it was given.
    """
    return _tagged(engine, present(engine, content) or _loaded(engine, layout, content, sendings), image_tag(project, content))


def deliver_front(engine: Engine, layout: Layout, front: FrontImage, sendings: Sendings | None = None) -> EngineImage:
    """The front's image under its tag; made on this machine and loaded only when the engine has none with its key.

    Of several the one with the newest packages: a renewal leaves the image of a front that other projects still use. What
    somebody made from a front carries its labels, too, but not its age (Layout.write_image): it is no front.
    """
    here = [image for image in engine.images([f"{FRONT_LABEL}={front.key}"]) if not image.created]
    image = max(here, key=lambda image: image.labels.get(FRONT_MADE, ""), default=None)
    if image is None:
        image = _loaded(engine, layout, front.make(engine.facts().platform), sendings)
    return _tagged(engine, image, image_tag(FRONT, image.content))


def bring_front(engine: Engine, layout: Layout, content: str, sendings: Sendings) -> EngineImage:
    """This very image of a front, from this machine's layout."""
    return _tagged(engine, present(engine, content) or _loaded(engine, layout, content, sendings), image_tag(FRONT, content))


def remove_unused_fronts(engine: Engine, content: str = "") -> list[str]:
    """Removes the images of fronts that no container uses; names what went. content: only this one."""
    images = [image for image in engine.images([FRONT_LABEL]) if content in ("", image.content)]
    return [name for image in images for name in _removed(engine, image, FRONT)]


def present(engine: Engine, content: str) -> EngineImage | None:
    """The oldest of that content: ours carry no time, and what somebody made from one has its labels and is younger."""
    return min(engine.images([f"{CONTENT_LABEL}={content}"]), key=lambda image: image.created, default=None)


def contents_here(engine: Engine, layout: Layout, project: str) -> frozenset[str]:
    """The contents of the project that could be served: at the engine, or in this machine's layout."""
    at_engine = {labels[CONTENT_LABEL] for labels in engine.labels_of_images(CONTENT_LABEL)}
    return frozenset(at_engine | {image.content for image in layout.images(project)})


def sends_zstd(engine: Engine, image: Image) -> bool:
    """Whether the image has layers packed with zstd, and the engine has not got it yet."""
    packed = any(layer.blob.media_type == MEDIA_TYPES["zstd"] for layer in image.layers)
    return packed and image.content not in {labels[CONTENT_LABEL] for labels in engine.labels_of_images(CONTENT_LABEL)}


def in_layout(layout: Layout, content: str) -> Image | None:
    try:
        return layout.find(content)
    except MlshipError:
        return None


def remove_unused(engine: Engine, project: str, keep: Iterable[str]) -> list[str]:
    """Removes the project's images that no container uses and whose content is not in `keep`; names what went.

    Only our own tags are taken away: an image that somebody tagged otherwise stays under that name.
    """
    kept = set(keep)
    images = [image for image in engine.images([CONTENT_LABEL, f"{PROJECT}={project}"]) if image.content not in kept]
    return [name for image in images for name in _removed(engine, image, project)]


def _loaded(engine: Engine, layout: Layout, content: str, sendings: Sendings | None) -> EngineImage:
    load(engine, layout, layout.find(content), sendings or Sendings())
    image = present(engine, content)
    if image is None:
        raise MlshipError(
            f"the engine took the image but shows none with the content {content}",
            where=engine.address,
            fix="mlship build, then run the same command again",
            exit=Exit.BUILD_FAILED,
            code="image-changed",
        )
    return image


def _tagged(engine: Engine, image: EngineImage, tag: str) -> EngineImage:
    if tag not in image.tags:
        engine.tag(image.id, tag)
    return image


def _removed(engine: Engine, image: EngineImage, family: str) -> list[str]:
    """Nothing of an image that a container uses."""
    if engine.users_of(image.id):
        return []
    ours = [tag for tag in image.tags if tag.startswith(f"mlship/{family}:")]
    return [reference for reference in (ours if image.tags else [image.id]) if engine.remove_image(reference)]
