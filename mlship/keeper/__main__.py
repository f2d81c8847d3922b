"""`python -m mlship.keeper serve FOLDER`: answers requests on standard input until it ends. `front FOLDER`: becomes HAProxy.
`scale FOLDER`: the autoscaler. `probe`: one request to a server, by default to that in the same container.

`serve` ends when its caller says so or standard input ends, and after IDLE_S without a request: an engine does not always tell
a process that it executes of a caller that was killed.
"""

from __future__ import annotations

import inspect
import json
import os
import select
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NoReturn

from mlship.keeper import wire
from mlship.keeper.front import Front
from mlship.keeper.probe import ask, probe
from mlship.keeper.records import Records, Refused
from mlship.keeper.scale_document import ScaleDocument
from mlship.keeper.secrets import Secrets
from mlship.keeper.state import Busy, Damaged, Newer

IDLE_S = 30.0

Operations = Mapping[str, Callable[..., dict[str, Any]]]


def serve(source: IO[bytes], sink: IO[bytes], folder: Path, wait: Callable[[], bool]) -> None:
    """wait: True when there is something to read, False when nothing came for too long."""
    known = operations(folder)
    while wait():
        request = wire.read(source)
        if request is None:
            return
        sink.write(wire.pack(answer(request, known)))
        sink.flush()


def operations(folder: Path) -> Operations:
    """What can be asked, by the name of the request."""
    records = Records(folder)
    secrets, front = Secrets(folder, records), Front(folder, records)
    return {
        "read": records.read,
        "commit": records.commit,
        "acquire": records.acquire,
        "renew": records.renew,
        "release": records.release,
        "holder": records.holder,
        "front_set": front.set,
        "front_read": front.read,
        "ask": ask,
        "secret_versions": secrets.versions,
        "secret_sets": secrets.sets,
        "operator_key": secrets.operator,
        "secrets_write": secrets.write,
        "secrets_forget": secrets.forget,
        "certificate_write": secrets.write_certificate,
        "certificate_read": secrets.read_certificate,
        "certificates_sweep": secrets.sweep_certificates,
        "scale_set": ScaleDocument(folder, records).set,
    }


def answer(request: Any, known: Operations) -> dict[str, Any]:
    """{"ok": true, ...} or {"ok": false, "code", "message", ...}. A bug is a bug: it raises."""
    if not isinstance(request, dict) or request.get("op") not in known:
        return {"ok": False, "code": "unknown", "message": "this keeper does not know that request"}
    operation = known[request["op"]]
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
    except Busy as busy:
        return {"ok": False, "code": "busy", "message": str(busy)}
    except Newer as newer:
        return {"ok": False, "code": "newer", "message": str(newer)}
    except OSError as error:
        return {"ok": False, "code": "storage", "message": f"{type(error).__name__}: {error}"}


def run_front(folder: Path) -> NoReturn:
    """Becomes HAProxy, with a configuration made from what is wanted."""
    front = Front(folder, Records(folder))
    front.configuration()
    argv = front.argv()
    os.execv(argv[0], argv)  # noqa: S606


def give_way() -> None:
    """Where memory ends, this process ends first and is asked for again: it runs beside HAProxy, whose callers are not."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def main(argv: list[str]) -> int:
    # Unbuffered, so that select sees what is still to be read.
    source = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115
    if argv[:1] == ["probe"] and len(argv) == 1:
        sys.stdout.buffer.write(wire.pack(probe(wire.read(source))))
        return 0
    if argv[:1] == ["probe"] and len(argv) == 2:
        sys.stdout.buffer.write(wire.pack(probe(json.loads(argv[1]))))
        return 0
    if argv[:1] == ["serve"] and len(argv) == 2:
        give_way()
        serve(source, sys.stdout.buffer, Path(argv[1]), lambda: bool(select.select([source], [], [], IDLE_S)[0]))
        return 0
    if argv[:1] == ["front"] and len(argv) == 2:
        run_front(Path(argv[1]))
    if argv[:1] == ["scale"] and len(argv) == 2:
        from mlship.keeper.scale_loop import scale  # no request of a command needs it

        return scale(Path(argv[1]))
    sys.stderr.write("usage: python -m mlship.keeper serve FOLDER | front FOLDER | scale FOLDER | probe [REQUEST]\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
