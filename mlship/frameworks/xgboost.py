"""What an XGBoost file tells without being loaded."""

from __future__ import annotations

from collections.abc import Iterator

from mlship.errors import Finding
from mlship.frameworks.base import Asked, Read
from mlship.frameworks.boosted import read_boosted
from mlship.server import boosted_xgboost
from mlship.server.boosted_header import Header


def read_xgboost(asked: Asked) -> Read:
    """Version and oddities of JSON and UBJSON; the form before them is refused. Raises OSError."""
    if asked.format == "binary":
        return Read(asked.format, findings=(_old_form(asked),))
    return read_boosted(asked, "xgboost", boosted_xgboost.header, _oddities)


def _old_form(asked: Asked) -> Finding:
    """XGBoost stopped reading it in 3.1 (its release notes), and it says nothing of its columns."""
    return Finding(
        f"{asked.path.name} is in XGBoost's old binary form, which XGBoost itself reads no more since 3.1",
        asked.where,
        'save it as UBJSON with the version that wrote it: xgboost.Booster(model_file="old").save_model("model.ubj")',
        code="old-form",
    )


def _oddities(found: Header, asked: Asked) -> Iterator[Finding]:
    unknown = [column.name for column in boosted_xgboost.unknown_categories(found)]
    if unknown:
        shown = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
        what = f"{asked.path.name} does not hold the words of the categories {shown}: callers send their codes, whole numbers"
        yield Finding(what, asked.where, "train and save it with XGBoost 3.1 or newer to send words", "warning", "codes")
