"""mlship check"""

from __future__ import annotations

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import Python
from mlship.errors import Exit


def command(call: Call, python: Python = "") -> Answer:
    """Find what is wrong before anything is built.

    Reads mlship.yaml, the model file and the training environment, and loads the model there in a locked-down process of its
    own. Writes nothing. Exit 2 when something is wrong.
    """
    from mlship.cli.views.check import check_text
    from mlship.flows import check

    result = check.check(call.context, call.where(), python=python)
    has_errors = any(finding.severity == "error" for finding in result.findings)
    return Answer(check_text(result, call.hint("build")), payloads.checked(result), exit=Exit.USAGE if has_errors else Exit.OK)
