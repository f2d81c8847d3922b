"""What destroy leaves in the place of a history whose releases have records in ECR that could not be deleted: these are of nothing now.

It is written over the history, and the next commit over it, each only over what was seen. So it never outlives what comes after it, and
where it is gone, too, somebody has emptied the bucket.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from mlship import __version__
from mlship.errors import MlshipError
from mlship.releases.records import SCHEMA, damaged

_BEGINS = b'{"destroyed":'  # no history does: most of what is read is one, and it is long


def tombstone(left: Mapping[str, str]) -> bytes:
    """left: tag -> digest of each record that stays in ECR."""
    return json.dumps({"destroyed": True, "schema": SCHEMA, "mlship": __version__, "left": dict(left)}).encode() + b"\n"


def is_tombstone(raw: bytes) -> bool:
    return raw.startswith(_BEGINS)


def left_by(raw: bytes, where: str) -> dict[str, str]:
    """tag -> digest. A record that was written anew under such a tag counts again. Raises MlshipError for what cannot be read."""
    try:
        said = json.loads(raw)
        is_newer, left = said["schema"] > SCHEMA, {str(tag): str(digest) for tag, digest in said["left"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise damaged(where) from None
    if is_newer:
        raise MlshipError(
            f"the records were written by mlship {said.get('mlship', 'of a newer version')}",
            where,
            "upgrade mlship: pip install --upgrade mlship",
            code="newer-records",
        )
    return left
