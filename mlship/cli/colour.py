"""Colours for lines of text, by their first word; only ever used on a terminal."""

from __future__ import annotations

STYLES = {
    "FAILED": "bold red",
    "PAUSED": "bold yellow",
    "error": "bold red",
    "error:": "bold red",
    "warning": "yellow",
    "warning:": "yellow",
    "Live:": "bold green",
    "Built": "bold green",
    "Wrote": "bold green",
    "Rolled": "bold green",
    "Taken": "bold green",
    "Removed": "bold green",
    "ok": "green",
    "Plan": "bold",
    "Next:": "bold cyan",
    "Try:": "bold cyan",
    "Undo:": "bold cyan",
    "Start:": "bold cyan",
    "fix": "cyan",
    "next": "cyan",
}


def coloured(text: str) -> str:
    """The same text with ANSI colours: only the first word of a line is coloured, alignment stays."""
    return "\n".join(_line(line) for line in text.split("\n"))


def _line(line: str) -> str:
    stripped = line.lstrip()
    word = stripped.split(" ", 1)[0]
    if word not in STYLES:
        return line
    from rich.style import Style

    indent = line[: len(line) - len(stripped)]
    return indent + Style.parse(STYLES[word]).render(word) + stripped[len(word) :]
