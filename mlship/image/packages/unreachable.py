"""What uv, pip and git say when nobody answers them: nothing is wrong with the packages, and later the same may work. Pure."""

from __future__ import annotations

import re

from mlship.errors import Exit, MlshipError
from mlship.image.packages.addresses import without_credentials
from mlship.runner import Result

_UV = re.compile(
    r"error sending request|error decoding response body|operation timed out|network timeout|are you offline|tunnel error"
    r"|HTTP status server error|429 Too Many Requests"
)
# pip tells a connection that broke even when the next one did not; what it gives up for in the end must follow.
_PIP = re.compile(r"after connection broken by.*No matching distribution found|Max retries exceeded with url")
_GIT = re.compile(
    r"unable to access '.*(Could not resolve host|Failed to connect|Couldn't connect|timed out)|ssh: (connect to|Could not resolve)"
)
_ADDRESS = re.compile(r"for url \(([^)\s]+)\)|Failed to fetch: (\S+)|unable to access '([^']+)'")
_CAUSE = re.compile(r"^\s*(?:cause|Caused by): (.+?)(?: for url \(\S+\))?$", re.MULTILINE)


def refuse_unreachable(result: Result, asked: str = "the package index") -> None:
    """Raises MlshipError, exit 13, where a program failed because nobody answered it. asked: who, as people call it."""
    said = (result.stderr or result.stdout).decode(errors="replace")  # a streamed program says all on the latter
    flat = " ".join(said.split())
    if result.ok or not any(words.search(flat) for words in (_UV, _PIP, _GIT)):
        return
    address = next(iter(_ADDRESS.finditer(said)), None)
    causes = _CAUSE.findall(said)
    raise MlshipError(
        f"{asked} cannot be reached" + (f": {causes[-1]}" if causes else ""),
        where=without_credentials(address[address.lastindex or 0]) if address else "",
        fix="check the network, the proxy (https_proxy) and SSL_CERT_FILE, then run it again; nothing was changed; "
        "mlship doctor shows the indexes",
        exit=Exit.UNREACHABLE,
        details=result.last_lines(12),
        code="index-unreachable",
    )
