"""Whatever a file holds, the loader ends within 2 s and 500 MB, with findings and without a trace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parent.parent / "cases" / "config" / "hostile"
MIB = 2**20

# What an editor would show wrongly, or is too big to keep: bytes, and what the first finding says.
GENERATED: dict[str, tuple[bytes, str]] = {
    "a scalar of 20 MB": (b"name: " + b"a" * 20_000_000, "larger than 1 MiB"),
    "a scalar of 1 MiB": (b"name: " + b"a" * (MIB - 100), "1048476 characters, more than 1000"),
    "a quoted scalar of escapes": (b'name: "' + b"\\u0041" * 174_000 + b'"\n', "174000 characters, more than 1000"),
    "a folded scalar": (b"name: churn\nmodel: >\n" + b" a\n\n" * 260_000, "characters, more than 1000"),
    "lists 100,000 deep": (b"name: " + b"[" * 100_000, "nested deeper than 32 levels"),
    "maps 100,000 deep": (b"name: " + b"{a: " * 100_000, "nested deeper than 32 levels"),
    "dashes 100,000 deep": (b"name:\n  " + b"- " * 100_000, "nested deeper than 32 levels"),
    "question marks 100,000 deep": (b"? " * 100_000, "nested deeper than 32 levels"),
    "indentation 1,000 deep": (b"".join(b" " * depth + b"a:\n" for depth in range(1000)), "nested deeper than 32 levels"),
    "80,000 keys": (b"".join(b"k%d: 1\n" % key for key in range(80_000)), "more than 5000 values"),
    "2,400 unknown keys": (b"".join(b"k%d: 1\n" % key for key in range(2400)), "unknown key"),
    "2,400 near misses": (b"name: a\nserve:\n" + b"".join(b"  worker%d: 1\n" % key for key in range(2400)), "unknown key"),
    "the same key 2,000 times": (b"name: a\n" * 2000, "stands twice"),
    "half a million items": (b"name: [" + b"a," * 520_000, "more than 5000 values"),
    "21 environments": (
        b"name: a\nmodel: a\nenvironments:\n" + b"".join(b"  e%d: {target: fake}\n" % key for key in range(21)),
        "there are 21 environments, more than 20",
    ),
    "20 environments over long lists": (
        b"name: a\nmodel: {uri: a, code: ["
        + b",".join(b"../%d" % key for key in range(2400))
        + b"]}\nenvironments:\n"
        + b"".join(b"  e%d: {target: docker}\n" % key for key in range(20)),
        "leads out of the project's folder",
    ),
    "many anchors": (b"name: [" + b",".join(b"&a%d x" % key for key in range(50_000)), "anchors (&) and aliases (*)"),
    "a long anchor": (b"name: &" + b"a" * (MIB - 100), "anchors (&) and aliases (*)"),
    "a long tag": (b"name: !" + b"a" * (MIB - 100), "the tag !aaaa"),
    "50,000 tag directives": (b"".join(b"%%TAG !a%d! b:\n" % key for key in range(50_000)) + b"---\na: b\n", "start with %"),
    "a long key over many": (b"? " + b"a" * (MIB - 2000) + b"\n: {" + b",".join(b"b%d: c" % key for key in range(50)), "flow"),
    "a million line ends": (b"\n" * (MIB - 100), "the file is empty"),
    "a comment of 1 MiB": (b"#" * (MIB - 100), "the file is empty"),
    "only spaces": (b" " * (MIB - 100), "the file is empty"),
    "colons": (b"a: " * 300_000, "this is not YAML"),
    "quotes": (b"name: ['" + b"''" * 520_000, "this is not YAML"),
    "stars": (b"name: " + b"*" * (MIB - 100), "this is not YAML"),
    "80,000 documents": (b"---\nname: a\n" * 80_000, "a second document starts here"),
    "a number of 500,000 digits": (b"name: a\nmodel: a\nserve: {workers: " + b"9" * 500_000 + b"}", "not a whole number"),
    "a time of 500,000 digits": (b"name: a\nmodel: a\nserve: {request_timeout: " + b"9" * 500_000 + b"s}", "not a length of"),
    "nothing": (b"", "the file is empty"),
    "a zero byte": (b"name: churn\x00\nmodel: a\n", "U+0000 is not allowed"),
    "an escape sequence": (b"name: churn # \x1b[2J\nmodel: a\n", "U+001B is not allowed"),
    "a C1 control": ("name: churn\u009b2J\nmodel: a\n".encode(), "U+009B is not allowed"),
    "a direction override in a comment": ("name: churn # \u202e\nmodel: a\n".encode(), "U+202E RIGHT-TO-LEFT OVERRIDE"),
    "a direction isolate in a path": ("name: churn\nmodel: a\u2066b\n".encode(), "U+2066 LEFT-TO-RIGHT ISOLATE"),
    "an invisible space in a key": ("name: churn\nmod\u200bel: a\n".encode(), "U+200B ZERO WIDTH SPACE"),
    "a line separator": ("name: churn\u2028model: a\n".encode(), "U+2028 LINE SEPARATOR"),
    "a next line": ("name: churn\u0085model: a\n".encode(), "U+0085 is not allowed"),
    "a carriage return that hides a line": (b"model: evil # \rmodel: good\nname: a\n", "U+000D is not allowed"),
    "a byte order mark inside": ("name: churn\nmodel: \ufeffa\n".encode(), "U+FEFF"),
    "a noncharacter": ("name: churn\nmodel: a\uffff\n".encode(), "U+FFFF is not allowed"),
    "UTF-16": ("name: churn\nmodel: a\n".encode("utf-16"), "not UTF-8: byte 0xff at offset 0"),
    "UTF-16 without a mark": ("name: churn\nmodel: a\n".encode("utf-16-le"), "U+0000 is not allowed"),
    "UTF-32": ("name: churn\nmodel: a\n".encode("utf-32"), "not UTF-8: byte 0xff at offset 0"),
    "Latin-1": ("name: churn\nmodel: modèle\n".encode("latin-1"), "not UTF-8: byte 0xe8 at offset 22"),
    "UTF-8 cut short": (b"name: churn\nmodel: a\xe2\x82", "not UTF-8: byte 0xe2"),
    "an overlong slash": (b"name: churn\nmodel: a\xc0\xaf\n", "not UTF-8: byte 0xc0"),
    "a surrogate": (b"name: churn\nmodel: a\xed\xa0\x80\n", "not UTF-8: byte 0xed"),
    "a gzip file": (b"\x1f\x8b\x08\x00aaaa", "not UTF-8: byte 0x8b"),
    "an address of at signs": (b"name: a\nmodel: a\nbuild: {mirror: 'http://" + b"@" * 990 + b"'}", "is not a URL"),
    "a name of 500 parts": (b"name: a\nmodel: {uri: a, trust: [" + b"a." * 499 + b"!]}", "is not one exact dotted name"),
}
KEPT = sorted(file.stem for file in CASES.glob("*.yaml"))


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    folder = tmp_path_factory.mktemp("hostile")
    files = {name: str(CASES / f"{name}.yaml") for name in KEPT}
    for number, (name, (content, _)) in enumerate(GENERATED.items()):
        home = folder / str(number)
        home.mkdir()
        file = home / "mlship.yaml"
        file.write_bytes(content)
        files[name] = str(file)
    cage = [sys.executable, str(Path(__file__).parent / "load_in_a_cage.py")]
    ran = subprocess.run(cage, input="\n".join(files.values()), capture_output=True, text=True, timeout=120, check=True)
    by_file = json.loads(ran.stdout)
    return {name: by_file[file] for name, file in files.items()}


def test_there_are_many_hostile_files() -> None:
    assert len(KEPT) + len(GENERATED) > 75


@pytest.mark.parametrize("name", [*KEPT, *GENERATED])
def test_a_hostile_file_is_refused_in_time_and_without_a_trace(name: str, endings: dict[str, dict[str, object]]) -> None:
    ending = endings[name]
    assert ending["is_refused"], ending["said"]
    assert ending["seconds"] < 2


@pytest.mark.parametrize("name", KEPT)
def test_what_a_hostile_file_is_told(name: str, endings: dict[str, dict[str, object]]) -> None:
    assert endings[name]["said"] == (CASES / f"{name}.txt").read_text().rstrip("\n")


@pytest.mark.parametrize("name", GENERATED)
def test_what_a_generated_hostile_file_is_told(name: str, endings: dict[str, dict[str, object]]) -> None:
    said = str(endings[name]["said"])
    assert GENERATED[name][1] in said
    assert len(said) < 30_000
    assert all(character.isprintable() or character == "\n" for character in said)
