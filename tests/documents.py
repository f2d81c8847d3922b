"""What README and guide show: console blocks, command lines, tables and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
README, GUIDE, CI = ROOT / "README.md", ROOT / "docs" / "guide.md", ROOT / "docs" / "ci.md"
PYTHON_CLASS = ROOT / "examples" / "python_class" / "README.md"
PAGES = (
    README,
    GUIDE,
    CI,
    ROOT / "docs" / "aws.md",
    ROOT / "docs" / "design.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    PYTHON_CLASS,
)


@dataclass(frozen=True)
class Shown:
    """A command line of a console block and the output shown below it; no output means that none is promised."""

    command: str
    output: tuple[str, ...]


def section(page: Path, title: str) -> str:
    """The text below a heading of the second level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no section {title}"
    return found[1]


def blocks(text: str, kind: str = "[a-z]*") -> list[str]:
    """The contents of fenced blocks."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def shown(text: str) -> Iterator[Shown]:
    """Commands of all console blocks, in order."""
    for block in blocks(text, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *output = part.rstrip("\n").split("\n")
            yield Shown(command, tuple(output))


def command_lines(text: str) -> list[str]:
    """Every `mlship ...` that can be typed: lines of fenced blocks, and whole inline code."""
    fenced = [re.sub(r"^\$ ", "", line) for block in blocks(text) for line in block.splitlines()]
    lines = [re.sub(r"\s{2,}#.*$|\s+[|>].*$", "", line) for line in fenced]
    inline = re.findall(r"`(mlship [^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line.strip() for line in (*lines, *inline) if re.match(r"mlship [a-z-]", line.strip())]


def table(text: str) -> list[list[str]]:
    """The cells of all tables' rows, headings and rules left out."""
    rows = [line for line in text.splitlines() if line.startswith("|") and not re.fullmatch(r"[|\s:-]+", line)]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows][1:]
