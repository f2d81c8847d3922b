"""`python -m mlship.keeper serve FOLDER`: answers requests on standard input until it ends. `probe`: one request to the server.

`serve` ends with its caller (standard input is closed when the caller's connection to the engine is), and after IDLE_S
without a request, for connections that were cut without a word.
"""

from __future__ import annotations

import inspect
import select
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from mlship.keeper import wire
from mlship.keeper.probe import probe
from mlship.keeper.records import Records, Refused
from mlship.keeper.secrets import Secrets
from mlship.keeper.state import Damaged, Newer

IDLE_S = 120.0


def serve(source: IO[bytes], sink: IO[bytes], records: Records, wait: Callable[[], bool]) -> None:
    """wait: True when there is something to read, False when nothing came for too long."""
    while wait():
        request = wire.read(source)
        if request is None:
            return
        sink.write(wire.pack(answer(request, records)))
        sink.flush()


def answer(request: Any, records: Records) -> dict[str, Any]:
    """{"ok": true, ...} or {"ok": false, "code", "message", ...}. A bug is a bug: it raises."""
    secrets = Secrets(records.folder, records)
    operations: Mapping[str, Callable[..., dict[str, Any]]] = {
        "read": records.read,
        "commit": records.commit,
        "acquire": records.acquire,
        "renew": records.renew,
        "release": records.release,
        "secret_versions": secrets.versions,
        "secret_sets": secrets.sets,
        "secrets_write": secrets.write,
        "secrets_forget": secrets.forget,
        "certificate_write": secrets.write_certificate,
        "certificate_read": secrets.read_certificate,
        "certificates_sweep": secrets.sweep_certificates,
    }
    if not isinstance(request, dict) or request.get("op") not in operations:
        return {"ok": False, "code": "unknown", "message": "this keeper does not know that request"}
    operation = operations[request["op"]]
    arguments = {name: value for name, value in request.items() if name != "op"}
    try:
        inspect.signature(operation).bind(**arguments)
    except TypeError as error:
        return {"ok": False, "code": "unknown", "message": f"this keeper does not know that request: {error}"}
    try:
        return {"ok": True, **operation(**arguments)}
    except Refused as refused:
        return {"ok": False, "code": refused.code, "message": str(refused), **refused.more}
    except Damaged as damaged:
        return {"ok": False, "code": "damaged", "message": str(damaged)}
    except Newer as newer:
        return {"ok": False, "code": "newer", "message": str(newer)}
    except OSError as error:
        return {"ok": False, "code": "storage", "message": f"{type(error).__name__}: {error}"}


def main(argv: list[str]) -> int:
    # Unbuffered, so that select sees what is still to be read.
    source = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115
    if argv[:1] == ["probe"] and len(argv) == 1:
        sys.stdout.buffer.write(wire.pack(probe(wire.read(source))))
        return 0
    if argv[:1] == ["serve"] and len(argv) == 2:
        serve(source, sys.stdout.buffer, Records(Path(argv[1])), lambda: bool(select.select([source], [], [], IDLE_S)[0]))
        return 0
    sys.stderr.write("usage: python -m mlship.keeper serve FOLDER | probe\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
