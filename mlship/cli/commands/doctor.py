"""mlship doctor"""

from __future__ import annotations

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import Python
from mlship.errors import Exit


def command(call: Call, python: Python = "") -> Answer:
    """Can this machine build and deploy? With remedies; exit 2 when build could not work."""
    from mlship.cli.views.doctor import doctor_text
    from mlship.flows import doctor

    result = doctor.doctor(call.context, call.where(), python=python)
    has_errors = any(finding.severity == "error" for finding in result.findings)
    return Answer(
        doctor_text(result),
        {"findings": payloads.findings_payload(result.findings)},
        exit=Exit.USAGE if has_errors else Exit.OK,
    )
