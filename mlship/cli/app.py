"""The way in: finds the command, runs it, and turns whatever happens into text and an exit code.

Nothing heavy is imported here: `mlship --version` and `mlship --help` cost little more than starting Python.
"""

import gc
import os
import sys

from mlship import __version__

# Net new objects after which the collector of cycles looks. Python's own 700 costs a command that builds a twentieth of its time:
# nearly all that imports make stays.
COLLECT_SELDOM = 50_000
VERSION = ("--version", "-V", "version")
INTERRUPTED = 130  # errors.Exit.INTERRUPTED, without loading it


def main() -> None:
    """The console script."""
    # what is kept under mlship's home is run later: whatever the user's mask, nobody else may write there
    os.umask(os.umask(0o022) | 0o022)
    gc.set_threshold(COLLECT_SELDOM)
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while the command was being loaded, or after its end
        sys.stderr.write("interrupted; run the same command again: it converges\n")
        code = INTERRUPTED
    if code == INTERRUPTED:
        # sys.exit would end by SIGINT where the interrupt met an exec, as in the making of a dataclass, though it was caught
        sys.stdout.flush()
        sys.stderr.flush()
        if "mlship.runner" in sys.modules:
            sys.modules["mlship.runner"].end_followed()
        os._exit(code)
    gc.freeze()  # else the interpreter looks through all of it again, several times, while it ends
    sys.exit(code)


def run(argv: list[str]) -> int:
    """The exit code of one command line."""
    if [word for word in argv if word not in ("--json", "-q", "--quiet")] in [[word] for word in VERSION]:
        sys.stdout.write(_version("--json" in argv))
        return 0
    from mlship.cli.arguments import Invocation

    invocation = Invocation.from_argv(argv)
    if invocation.asks_for_help and not invocation.lacks_command:
        from mlship.cli.table import overview

        sys.stdout.write(overview())
        return 0
    from mlship.cli.session import run_command

    return run_command(invocation)


def _version(as_json: bool) -> str:
    if not as_json:
        return f"mlship {__version__}\n"
    return f'{{"schema": "mlship/v1", "command": "version", "ok": true, "exit": 0, "version": "{__version__}"}}\n'
