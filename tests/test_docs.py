"""What the pages say is true: commands, options, keys, links, tables and messages are those of the program."""

from __future__ import annotations

import functools
import inspect
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from architecture import reading, sources
from documents import CI, GUIDE, PAGES, PYTHON_CLASS, README, ROOT, blocks, command_lines, section, table

from mlship.cli.answer import Answer
from mlship.cli.app import run
from mlship.cli.arguments import Invocation
from mlship.cli.command import SHARED, execute, load
from mlship.cli.table import COMMANDS
from mlship.config.load import load_project
from mlship.config.shapes import Listing, Section, Shape, Table
from mlship.config.validate import DOCUMENT
from mlship.errors import Exit
from mlship.server.app import ALWAYS, OF_PROTOCOL
from mlship.server.manifest import DTYPES
from mlship.server.messages import CODES

LINES = sorted(
    {line for page in (README, GUIDE, CI, PYTHON_CLASS) for line in command_lines(page.read_text())} - {"mlship COMMAND --help"}
)


def parse(line: str) -> None:
    """Parses a command line with the program's own options, and runs nothing. Raises UsageError."""
    invocation = Invocation.from_argv(shlex.split(line)[1:])
    function = load(invocation.command)
    silent = functools.wraps(function)(lambda call, **values: Answer())
    execute(invocation.command, silent, invocation.rest, lambda common, name: None)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("line", LINES)
def test_every_command_line_of_the_pages_can_be_typed(line: str) -> None:
    for part in re.split(r" && | [|>] .*", line):
        if part.startswith("mlship "):
            parse(part)


def test_a_command_line_that_cannot_be_typed_is_found() -> None:
    with pytest.raises(typer.BadParameter.__bases__[0]):
        parse("mlship deploy --agian")
    assert {"mlship build", "mlship run --source"} <= set(LINES)


def options() -> set[str]:
    found: set[str] = {"--help"}
    for name in COMMANDS:
        for parameter in (*inspect.signature(load(name), eval_str=True).parameters.values(), *SHARED):
            for option in getattr(parameter.annotation, "__metadata__", ()):
                first = getattr(option, "default", None)  # typer.Option takes the first name for a default, and mends it later
                spelt = (first if isinstance(first, str) else "", *(getattr(option, "param_decls", None) or ()))
                found |= {word for word in spelt if word.startswith("--")} or {f"--{parameter.name.replace('_', '-')}"}
    return found


OF_OTHERS = {"--index-url", "--gpus"}  # of requirement files, and of docker


@pytest.mark.parametrize("page", [README, GUIDE], ids=lambda page: page.name)
def test_every_option_that_is_named_exists(page: Path) -> None:
    named = {word for code in inline(page) for word in re.findall(r"(?<!\S)--[a-z-]+", code)}
    assert named - options() - OF_OTHERS == set()


def keys(section: Section, prefix: str = "") -> Iterator[str]:
    for name, key in section.keys.items():
        yield f"{prefix}{name}"
        inner: Shape = key.shape.item if isinstance(key.shape, Listing) else key.shape
        if isinstance(inner, Section):
            yield from keys(inner, f"{prefix}{name}.")
        elif isinstance(inner, Table):
            yield f"{prefix}{name}.*"


@pytest.mark.parametrize("page", [README, GUIDE], ids=lambda page: page.name)
def test_every_key_that_is_named_exists(page: Path) -> None:
    known = set(keys(DOCUMENT))
    sections = {name for name in known if "." not in name}
    dotted = {code.partition(":")[0] for code in inline(page) if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+(: .*)?", code)}
    asked = {key for key in dotted if key.partition(".")[0] in sections and not (ROOT / key).exists()}
    assert asked - known - FILES == set()


FILES = {"model.joblib"}


@pytest.mark.parametrize("text", [text for text in blocks(GUIDE.read_text(), "yaml") if "name:" in text])
def test_every_configuration_of_the_guide_loads(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mlship.yaml"
    file.write_text(text)
    assert load_project(file).name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """As the usual forges make them of headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# Put together here, so that this file does not name them.
ELSEWHERE = (
    *(f"{host}.debian.org" for host in ("deb", "security", "ftp", "snapshot")),
    *("archive.ubuntu" + ".com", "py" + "pi.org", "python" + "hosted.org", "registry-1." + "docker", "index." + "docker.io"),
    *("ghcr" + ".io", "quay" + ".io", "registry." + "npmjs"),
    *("/work" + "/main", "/work" + "/shared", "/tmp" + "/try", "/opt" + "/pypi", "../" + "shared"),
)


def test_no_file_names_a_registry_a_mirror_or_a_path_of_one_machine() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    files = [ROOT / name for name in listed.split("\0") if name]
    found = [
        f"{file.name}: {word}" for file in files if file.is_file() for word in ELSEWHERE if word.encode() in file.read_bytes()
    ]
    assert not found


def test_the_table_of_commands_is_the_programs_own() -> None:
    rows = {row[0].strip("`"): row[1] for row in table(section(README, "Commands"))}
    assert rows == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_the_overview_and_a_commands_own_help_begin_alike(name: str) -> None:
    said = inspect.getdoc(load(name)) or ""
    assert said.lower().startswith(COMMANDS[name].lower())


def test_the_help_of_a_command_has_no_types_for_placeholders(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        assert run([name, "--help"]) == 0
        said = capsys.readouterr().out
        assert f"Usage: mlship {name}" in said
        assert not re.search(r"<(str|int|path|bool)", said), name


def test_the_table_of_exit_codes_is_the_programs_own() -> None:
    rows = {int(row[0]): row[1] for row in table(section(README, "Exit codes"))}
    assert set(rows) == set(map(int, Exit))
    source = "".join(path.read_text() for path in (ROOT / "mlship").rglob("*.py") if path.name != "errors.py")
    unused = {int(code) for code in Exit if f"Exit.{code.name}" not in source} - {0}
    assert {code for code, words in rows.items() if "not used yet" in words} == unused


def test_the_routes_of_the_guide_are_the_servers_own() -> None:
    tables = section(GUIDE, "HTTP interface")
    routes = {row[0].strip("`") for row in table(tables) if row[0].startswith("`/")}
    assert routes == {*ALWAYS, *(path for paths in OF_PROTOCOL.values() for path in paths)}


def test_the_statuses_of_the_guide_are_the_servers_own() -> None:
    rows = {int(row[0]): row[1] for row in table(section(GUIDE, "HTTP interface")) if row[0].isdigit()}
    assert set(rows) == set(CODES)
    assert all(f"`{code}`" in rows[status] for status, code in CODES.items())


def test_the_dtypes_of_the_guide_are_the_manifests_own() -> None:
    named = re.search(r"^dtypes: `(.*)`\.$", GUIDE.read_text(), re.MULTILINE)
    assert named and set(named[1].split()) == set(DTYPES)


def test_every_message_of_the_troubleshooting_table_is_said_somewhere() -> None:
    said = "\n".join(said_texts())
    for row in table(section(GUIDE, "Troubleshooting")):
        parts = [
            part.strip(" ;:") for part in re.split(r"\.\.\.|r\d-|8080|127\.0\.0\.1|mlship\.(?:lock|yaml)", row[0].strip("`"))
        ]
        for part in filter(None, parts):
            assert part in said, part


def test_every_finding_of_the_guide_has_its_code() -> None:
    texts = said_texts()
    for row in table(section(GUIDE, "Check")):
        for code in re.findall(r"`([a-z-]+)`", row[0]):
            assert code in texts, code


@functools.cache
def said_texts() -> frozenset[str]:
    """Every text of the program, the holes of f-strings left open."""
    return frozenset().union(*(reading(text).texts for text in sources().values()))


def inline(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def test_the_figures_of_the_readme_are_those_that_were_measured() -> None:
    measured = (ROOT / "bench" / "serving" / "results.md").read_text(encoding="utf-8")
    for name, *figures in table(section(README, "How fast it is")):
        rows = re.findall(rf"^\| {name.partition(',')[0].lower()} \|(.*)$", measured, re.MULTILINE)
        for figure in figures:
            assert any(figure.removesuffix(" MB") in re.findall(r"[\d,]*\d", row) for row in rows), f"{name} {figure}"
