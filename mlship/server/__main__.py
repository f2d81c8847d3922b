"""`python -m mlship.server [serve]` serves, from a socket, or as a function of Lambda where that names its runtime API; `python -m
mlship.server probe [path] [-]` asks a server that runs; `python -m mlship.server health` says by its exit status whether that is well;
`python -m mlship.server batch` answers the parts of a file.

Each file in the folder that MLSHIP_SECRETS names becomes a variable of that name for the model's code (secrets.py).
"""

from __future__ import annotations

import os
import sys


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    command, rest = (arguments[0], arguments[1:]) if arguments else ("serve", [])
    if command == "serve" and not rest and "AWS_LAMBDA_RUNTIME_API" in os.environ:
        from mlship.server.events.start import serve_events

        return serve_events(os.environ)
    if command == "serve" and not rest:
        from mlship.server.life.start import serve

        return serve(os.environ)
    if command == "probe":
        from mlship.server.probe import probe

        return probe(rest, os.environ)
    if command == "health" and not rest:
        from mlship.server.health_check import health

        return health(os.environ)
    if command == "batch" and not rest:
        from mlship.server.batch import answer_parts

        return answer_parts(os.environ)
    sys.stderr.write(
        f"unknown: {' '.join(arguments)}; usage: python -m mlship.server [serve | batch | health | probe [path] [-]]\n"
    )
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
