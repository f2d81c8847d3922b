"""Where Python packages come from: every setting with its place, and one package asked for in the way that build asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlship.errors import Finding, MlshipError
from mlship.flows.doctor.ground import Ground
from mlship.image.packages.indexes import Indexes, find_indexes
from mlship.image.packages.uv_program import uv_command

# A small package that every image contains.
ASKED_FOR = b"orjson\n"


def check(ground: Ground) -> Iterator[Finding]:
    indexes = find_indexes(ground.context.environ, ground.root)
    yield from (replace(finding, code="packages") for finding in indexes.findings())
    yield _answer(ground, indexes)


def _answer(ground: Ground, indexes: Indexes) -> Finding:
    arguments = ("pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate", "-")
    command = replace(uv_command(arguments, indexes, ground.root), stdin=ASKED_FOR, timeout_s=60)
    try:
        told = ground.context.runner.run(command)
    except MlshipError as error:
        return Finding(f"the package index does not answer: {error.what}", fix=REMEDY, code="packages")
    if told.ok:
        return Finding(f"the package index answers: {told.text.strip()}", severity="note", code="packages")
    said = " ".join(line.strip() for line in told.last_lines(3))
    return Finding(f"the package index does not give orjson: {said}", fix=REMEDY, code="packages")


REMEDY = "check index-url and proxy in pip.conf or uv.toml, and SSL_CERT_FILE where a proxy inspects TLS"
