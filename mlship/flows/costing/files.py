"""Tables that people write for an estimate: of hours, of prices."""

from __future__ import annotations

from pathlib import Path

from mlship.errors import MlshipError

LARGEST_TEXT = 4 * 2**20  # bytes of a table of hours or of prices: 8,760 lines have a few hundred thousand


def text_of(path: Path, shown: str, wanted: str) -> str:
    """A file's text. Raises MlshipError for what is no file, no text, or too much of it. wanted: what it should be, for people."""
    try:
        if path.exists() and not path.is_file():
            raise MlshipError(f"{shown} is no file", shown, f"name {wanted}", code="bad-file")
        with path.open("rb") as file:
            content = file.read(LARGEST_TEXT + 1)
        if len(content) > LARGEST_TEXT:
            raise MlshipError(f"{shown} has more than {LARGEST_TEXT >> 20} MiB", shown, f"name {wanted}", code="bad-file")
        return content.decode("utf-8")
    except OSError as error:
        raise MlshipError(f"{shown} cannot be read ({error.strerror})", shown, f"name {wanted}", code="bad-file") from None
    except UnicodeDecodeError:
        raise MlshipError(f"{shown} is no text", shown, "save it as UTF-8", code="bad-file") from None
