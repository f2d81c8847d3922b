"""mlship build"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import Python
from mlship.errors import MlshipError
from mlship.frameworks.primed import Primed


class Builder(StrEnum):
    """Who puts the layers together."""

    mlship = "mlship"
    docker = "docker"


def command(
    call: Call,
    python: Python = "",
    builder: Annotated[
        Builder, typer.Option("--builder", help="mlship needs no daemon; docker renders a Dockerfile and builds it.")
    ] = Builder.mlship,
    context: Annotated[
        str, typer.Option("--context", metavar="DIR", help="Keep the Dockerfile and its files here.", show_default=False)
    ] = "",
    locked: Annotated[bool, typer.Option("--locked", help="Fail when mlship.lock would change.")] = False,
    retrained: Annotated[
        bool,
        typer.Option("--retrained", help="Take the newest models; with --locked, they may be others than the locked ones."),
    ] = False,
    reproducible: Annotated[
        bool, typer.Option("--reproducible", help="Same bytes and manifest digest everywhere: gzip by zlib, level 6.")
    ] = False,
    sbom: Annotated[
        str,
        typer.Option("--sbom", metavar="DIR", help="Write the image's SPDX and CycloneDX documents here.", show_default=False),
    ] = "",
    archive: Annotated[
        str,
        typer.Option(
            "--archive",
            metavar="FILE",
            help="Write image, front, papers and configuration into one file, for a machine without a network.",
            show_default=False,
        ),
    ] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help="Say why each layer was made again, compared with the build before.")
    ] = False,
    sign: Annotated[bool, typer.Option("--sign", hidden=True)] = False,
    provenance: Annotated[bool, typer.Option("--provenance", hidden=True)] = False,
    push: Annotated[
        list[str] | None,
        typer.Option("--push", metavar="REFERENCE", help="Push the image there, as HOST/NAME:TAG; may be repeated."),
    ] = None,
    push_as: Annotated[
        str,
        typer.Option(
            "--push-as",
            metavar="FORM",
            help="oci or docker-v2s2, index or single, gzip or zstd, user=UID: where it differs from the target's own form.",
            show_default=False,
        ),
    ] = "",
) -> Answer:
    """Make an image: environment, server, code and model.

    The same inputs give the same content id; where nothing changed, nothing is done. --quiet prints the content id.
    """
    if sign or provenance:
        raise _later("sign" if sign else "provenance")
    where = call.where()
    words = (str(call.context.cwd), str(where.file or ""), where.environment, where.target)
    with Primed(call.context.home, call.context.runner, words) as primed:  # before anything that takes long to import
        from mlship.cli.views.build import build_text
        from mlship.flows.build import build
        from mlship.flows.building.wishes import Wishes

        wishes = Wishes(
            python=python,
            builder=builder.value,
            locked=locked,
            retrained=retrained,
            kept=call.path(context) if context else None,
            sbom=call.path(sbom) if sbom else None,
            push=tuple(push or ()),
            push_as=push_as,
            reproducible=reproducible,
            archive=call.path(archive) if archive else None,
            explain=explain,
        )
        result = build(replace(call.context, primed=primed), where, wishes)
    # deploy by itself takes the image of the builder that needs no engine
    deploy = "deploy" if builder is Builder.mlship else f"deploy --image {result.reference}"
    return Answer(build_text(result, call.hint(deploy)), payloads.built(result), brief=result.content)


def _later(option: str) -> MlshipError:
    """The refusal of an option of other tools that people will try."""
    from mlship.config.not_yet import INSTEAD

    return MlshipError(f"--{option} is not yet built", fix=INSTEAD[f"build.{option}"].replace("delete it", "leave it out"))
