"""One command from its words to its exit code: nothing that happens on the way escapes."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType

from mlship import masks
from mlship.cli import failures
from mlship.cli.answer import Answer
from mlship.cli.arguments import Invocation
from mlship.cli.call import Call, Common
from mlship.cli.hints import NAMED, Scope
from mlship.cli.job_notes import leave
from mlship.cli.progress import start_progress
from mlship.cli.secrets_here import learn_those_here
from mlship.cli.table import COMMANDS
from mlship.cli.terminal import Terminal
from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context
from mlship.home import Home
from mlship.progress import Silent
from mlship.runner import LocalRunner


def run_command(invocation: Invocation) -> int:
    """Runs it and prints what came of it. Returns the exit code; raises nothing."""
    terminal = Terminal.of_this_process(json=invocation.wants_json)
    made: list[Call] = []
    masks.forget()
    learn_those_here(os.environ, invocation.rest, Path.cwd())
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` asked for it
            signal.signal(number, _interrupted)
    try:
        return _run(invocation, terminal, made)
    except KeyboardInterrupt:
        return failures.report(failures.interrupted(), invocation, terminal)
    except Exception as error:
        return failures.report(error, invocation, terminal, made[0].scope if made else Scope())


def _interrupted(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(invocation: Invocation, terminal: Terminal, made: list[Call]) -> int:
    """made: gets the call, once its words were understood."""
    if invocation.command not in COMMANDS:
        raise failures.unknown_command(invocation.command)
    from mlship.cli.command import UsageError, execute, load

    def make_call(common: Common, name: str) -> Call:
        made.append(_call(invocation.command, common, terminal, name))
        return made[0]

    try:
        answer = execute(invocation.command, load(invocation.command), invocation.rest, make_call)
    except UsageError as error:
        raise failures.usage(error, invocation.command) from None
    finally:
        terminal.step_aside()
    if isinstance(answer, int):  # only the help was asked for
        return answer
    _print(answer if answer.is_verbatim else completed(answer, made[0].scope), made[0], terminal)
    return answer.exit


def completed(answer: Answer, scope: Scope) -> Answer:
    """The same with commands that work as they stand."""
    return replace(answer, text=scope.completed(answer.text), payload=scope.completed_plain(answer.payload))


def _print(answer: Answer, call: Call, terminal: Terminal) -> None:
    if not call.common.quiet:
        terminal.say(answer.text)
    elif answer.brief and not call.common.json:
        terminal.answer(answer.brief)
    if call.common.json:
        terminal.document(envelope(call.command, answer))
    leave(os.environ, call.command, answer.payload, answer.text, int(answer.exit))


def _call(command: str, common: Common, terminal: Terminal, name: str) -> Call:
    now = time.time()
    context = Context(
        home=Home.from_environment(os.environ),
        runner=LocalRunner(),
        progress=Silent() if common.quiet else start_progress(terminal),
        environ=os.environ,
        cwd=_folder(common.directory),
        clock=time.time,
        who=_who(),
    )
    return Call(command, common, context, terminal, now, name if command in NAMED else "")


def _folder(said: str) -> Path:
    folder = (Path.cwd() / Path(said).expanduser()).absolute() if said else Path.cwd()
    if not folder.is_dir():
        raise MlshipError(f"-C {said} is not a folder", code="no-folder", fix="name an existing folder")
    return folder


def _who() -> str:
    """`user@host pid 1234`, for lease and history."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user number has no name
        user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()} pid {os.getpid()}"


def envelope(command: str, answer: Answer) -> str:
    """One line of JSON; floats that JSON cannot write are an error, never `NaN`."""
    ok = answer.exit in (Exit.OK, Exit.CHANGES)
    document = {"schema": "mlship/v1", "command": command, "ok": ok, "exit": int(answer.exit), **answer.payload}
    return json.dumps(masks.masked_plain(document), ensure_ascii=False, allow_nan=False)
