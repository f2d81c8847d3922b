"""cache: what is kept, what goes, what travels."""

from __future__ import annotations

import shlex

from mlship.cli.views.text import age, columns, lines, short_content
from mlship.flows.cache import CacheSizes
from mlship.image.cache.export import Exported
from mlship.image.cache.prune import Removal
from mlship.image.cache.take import Taken
from mlship.units import size_text


def sizes_text(found: CacheSizes) -> str:
    rows = [[kind.name, size_text(kind.size), str(kind.count or ""), kind.what] for kind in found.kinds]
    return lines(
        columns(rows),
        f"{found.home}  {size_text(found.size)}, {size_text(found.free)} free",
        "Next: mlship cache prune --dry-run" if rows else "",
    )


def removal_text(going: Removal, now: float) -> str:
    rows = [["image", image.project or "front", short_content(image.content), image.platform, age(now - image.made)]
            for image in going.images]  # fmt: skip
    kinds: dict[str, int] = {}
    for path in going.paths:
        kinds[path.parent.name] = kinds.get(path.parent.name, 0) + 1
    if not rows and not kinds:
        return "Nothing to do: all that is here is of use"
    return lines(
        "Plan  these go; what a service has, or may go back to, stays:",
        columns(rows),
        columns([_NAMES.get(name, name), str(count)] for name, count in sorted(kinds.items())),
        f"  in all {size_text(going.size)}",
    )


_NAMES = {"sha256": "blobs", "layers": "layer keys", "inputs": "build keys", "records": "build records"}


def pruned_text(gone: Removal) -> str:
    return f"Removed {_count(len(gone.images), 'image')} and {_count(len(gone.paths), 'file or folder', 'files and folders')}, " \
           f"{size_text(gone.size)}"  # fmt: skip


def exported_text(made: Exported) -> str:
    parts = (_count(made.images, "image"), _count(made.downloads, "download"), _count(made.folders, "folder of packages",
             "folders of packages"))  # fmt: skip
    return lines(
        f"Wrote {made.path}  {size_text(made.size)}: {', '.join(parts)}",
        f"Next: mlship cache import {shlex.quote(str(made.path))}",
    )


def taken_text(taken: Taken) -> str:
    if not (taken.blobs or taken.downloads or taken.folders):
        return f"Nothing to do: all of {taken.path.name} is here"
    parts = (_count(taken.blobs, "blob"), _count(taken.downloads, "download"), _count(taken.folders, "folder of packages",
             "folders of packages"))  # fmt: skip
    return f"Took {', '.join(parts)} from {taken.path.name}"


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"
