"""mlship cache"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.errors import MlshipError


class Act(StrEnum):
    """What is done with the cache."""

    info = "info"
    prune = "prune"
    export = "export"
    take = "import"


def command(
    call: Call,
    act: Annotated[Act, typer.Argument(metavar="[ACT]", help="info, prune, export or import.", show_default=False)] = Act.info,
    cache_file: Annotated[str, typer.Argument(metavar="[FILE]", help="For export and import.", show_default=False)] = "",
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="TIME", help="prune: only what is older, such as 30d.", show_default=False)
    ] = "",
    keep_last: Annotated[
        int | None,
        typer.Option("--keep-last", min=1, metavar="N", help="prune: images that stay, of each project.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="prune: show what would go; remove nothing.")] = False,
    everything: Annotated[bool, typer.Option("--everything", help="export: all that is here, not this project alone.")] = False,
) -> Answer:
    """What mlship keeps for the next build: info, prune, export FILE, import FILE.

    `cache info` shows its size. prune removes images that are old and not deployed, blobs of no image, and downloads that no build used
    for 30 days; by itself it keeps the last 3 images of each project, and all of the last 30 days. export writes one file with
    what the next build of this project needs, for a CI job that begins with nothing; import takes it there.
    """
    if act in (Act.export, Act.take):
        return _carried(call, act, cache_file, everything)
    if cache_file:
        raise MlshipError(f"cache {act} takes no file", fix=call.hint(f"cache {act}"), code="usage")
    return _pruned(call, older_than, keep_last, dry_run=dry_run) if act is Act.prune else _info(call)


def _info(call: Call) -> Answer:
    from mlship.cli.views.cache import sizes_text
    from mlship.flows import cache

    found = cache.sizes(call.context)
    return Answer(sizes_text(found), payloads.cache_sizes(found), brief=str(found.size))


def _pruned(call: Call, older_than: str, keep_last: int | None, *, dry_run: bool) -> Answer:
    if not dry_run:
        call.need_consent()
    from mlship.cli.views.cache import pruned_text, removal_text
    from mlship.flows import cache

    rules = cache.rules(keep_last, _seconds(older_than))
    going = cache.to_remove(call.context, rules)
    if dry_run or not (going.paths or going.images):
        return Answer(removal_text(going, call.now), payloads.cache_removal(going, removed=False), brief=str(going.size))
    call.show(removal_text(going, call.now))
    call.agree("Remove?")
    gone = cache.prune(call.context, rules)
    return Answer(pruned_text(gone), payloads.cache_removal(gone, removed=True), brief=str(gone.size))


def _seconds(older_than: str) -> float | None:
    from mlship.units import Duration

    try:
        return Duration.parse(older_than).seconds if older_than else None
    except ValueError as error:
        raise MlshipError(f"--older-than: {error}", fix="write for example 30d or 12h", code="usage") from None


def _carried(call: Call, act: Act, cache_file: str, everything: bool) -> Answer:
    if not cache_file:
        raise MlshipError(f"cache {act} needs a file", fix=call.hint(f"cache {act} mlship-cache.tar"), code="usage")
    from mlship.cli.views.cache import exported_text, taken_text
    from mlship.flows import cache

    path = call.path(cache_file)
    if act is Act.export:
        made = cache.export_cache(call.context, call.where(), path, everything=everything)
        return Answer(exported_text(made), payloads.cache_exported(made), brief=str(made.path))
    taken = cache.import_cache(call.context, path)
    return Answer(taken_text(taken), payloads.cache_taken(taken), brief=str(taken.path))
