"""Images at the engine: brought there from this machine's layout, found by their content, removed when nobody uses them."""

from __future__ import annotations

from collections.abc import Iterable

from mlship.errors import Exit, MlshipError
from mlship.oci.engine import docker_archive
from mlship.oci.image import CONTENT_LABEL, Image
from mlship.oci.layout import Layout
from mlship.targets.docker.engine import Engine, EngineImage
from mlship.targets.docker.spec import PROJECT, image_tag


def deliver(engine: Engine, layout: Layout, project: str, content: str) -> EngineImage:
    """The image under its tag at the engine; loaded only when the engine has none of that content.

    Raises MlshipError when neither has it, and when the engine shows another content than what it was given.
    """
    image = present(engine, content)
    if image is None:
        engine.load(docker_archive(layout, layout.find(content)))
        image = present(engine, content)
    if image is None:
        raise MlshipError(
            f"the engine took the image but shows none with the content {content}",
            where=engine.address,
            fix="mlship build, then run the same command again",
            exit=Exit.BUILD_FAILED,
            code="image-changed",
        )
    tag = image_tag(project, content)
    if tag not in image.tags:
        engine.tag(image.id, tag)
    return image


def present(engine: Engine, content: str) -> EngineImage | None:
    return next(iter(engine.images([f"{CONTENT_LABEL}={content}"])), None)


def contents_here(engine: Engine, layout: Layout, project: str) -> frozenset[str]:
    """The contents of the project that could be served: at the engine, or in this machine's layout."""
    at_engine = {image.content for image in engine.images([CONTENT_LABEL])}
    return frozenset(at_engine | {image.content for image in layout.images(project)})


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
    gone = []
    for image in engine.images([CONTENT_LABEL, f"{PROJECT}={project}"]):
        if image.content in kept or engine.users_of(image.id):
            continue
        ours = [tag for tag in image.tags if tag.startswith(f"mlship/{project}:")]
        for reference in ours if image.tags else [image.id]:
            if engine.remove_image(reference):
                gone.append(reference)
    return gone
