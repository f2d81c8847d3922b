"""Trust no status, ask the server: its release id, and the build's own answers again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlship.releases.release import Proof, Release
from mlship.targets.base import Answer, Request

Ask = Callable[[Request], Answer]
WAY_S = 5.0


@dataclass(frozen=True)
class Verification:
    """What the server said. cause: one line when not ok; evidence: the answer that disagreed. predictions: rows compared.

    fault: whose it is when not ok, as in targets.base.Outcome. unasked: why nobody here asked it, where the platform's own word is
    all there is.
    """

    ok: bool
    release: str = ""
    predictions: int = 0
    cause: str = ""
    evidence: tuple[str, ...] = ()
    fault: Literal["release", "target"] = "release"
    unasked: str = ""

    @property
    def text(self) -> str:
        if not self.ok:
            return self.cause
        if self.unasked:
            return f"by the platform's own checks alone, not asked from here ({self.unasked})"
        if not self.predictions:
            return "release id and readiness only"
        return f"release id + {self.predictions} prediction{'s' if self.predictions > 1 else ''} ok"


def verify(
    ask: Ask, release: Release, of: Literal["live", "staged"], timeout_s: float = 10.0, replica: str = ""
) -> Verification:
    """Asks the copy that `of` or `replica` names which release it is, whether it is ready, and the sample of each model.

    Where it cannot be reached from here, and the platform vouches for the release, that is said and nothing more is asked.
    """
    said = ask(Request("GET", "/mlship/release", of=of, replica=replica, timeout_s=timeout_s))
    if said.vouched == release.id:
        return Verification(True, release.id, unasked=said.body.decode(errors="replace"))
    wrong = _wrong_release(said, release.id)
    if wrong:
        fault: Literal["release", "target"] = "target" if said.is_unreached else "release"
        return Verification(False, said_release(said), cause=wrong, evidence=_shown(said), fault=fault)
    ready = ask(Request("GET", "/readyz", of=of, replica=replica, timeout_s=timeout_s))
    if ready.status != 200:
        return Verification(False, release.id, cause=f"GET /readyz answers {_status(ready)}", evidence=_shown(ready))
    rows = 0
    for model, proof in sorted(release.proofs.items()):
        if not proof.instances:
            continue
        answer = ask(sample_request(proof, of, max(timeout_s, answers_s(release)), replica, predict_path(release, model)))
        wrong = difference(answer, proof)
        if wrong:
            return Verification(False, release.id, rows, f"model {model} answers otherwise: {wrong}", _shown(answer))
        served_by = answer.headers.get("x-mlship-release", release.id)
        if served_by != release.id:
            return Verification(False, served_by, rows, f"the prediction came from {served_by}, not from {release.id}")
        rows += len(proof.instances)
    return Verification(True, release.id, rows)


def answers_s(release: Release) -> float:
    """How long a prediction of it may take: serve.request_timeout, and the way there and back."""
    return float(release.served.serving.get("request_timeout_s") or 0.0) + WAY_S


def predict_path(release: Release, model: str) -> str:
    """Where a model of a release is asked; releases of one model may be of a server that knows no other path than /predict."""
    return f"/predict/{model}" if len(release.proofs) > 1 else "/predict"


def sample_request(
    proof: Proof, of: Literal["live", "staged"], timeout_s: float = 10.0, replica: str = "", path: str = "/predict"
) -> Request:
    """The build's sample, asked of one copy."""
    body = json.dumps({"instances": list(proof.instances)}, ensure_ascii=False).encode()
    return Request("POST", path, body, of, timeout_s=timeout_s, replica=replica)


def said_release(answer: Answer) -> str:
    """The release id in an answer of /mlship/release, or empty."""
    try:
        document = json.loads(answer.body)
    except ValueError:
        return ""
    release = document.get("release") if isinstance(document, Mapping) else None
    return release if isinstance(release, str) else ""


def difference(answer: Answer, proof: Proof, truth: str = "the build's own answer") -> str:
    """Where the answer differs from the build's own, or empty. truth: what the proof is called. Raises nothing.

    Of a partial one what it tells is compared, and has to be something.
    """
    if answer.status != 200:
        return f"POST /predict answers {_status(answer)}"
    try:
        body = json.loads(answer.body)
    except ValueError:
        return "the answer is not JSON"
    if not isinstance(body, Mapping):
        return "the answer is not an object"
    rtol = float(proof.tolerance.get("rtol", 0.0))
    atol = float(proof.tolerance.get("atol", 0.0))
    told = [name for name in proof.answers if name in body]
    for name, expected in proof.answers.items():
        if name not in body and answer.is_partial and told:
            continue
        if name not in body:
            return f"{name} is missing"
        wrong = _differs(body[name], expected, (rtol, atol), name, truth)
        if wrong:
            return wrong
    return ""


def _wrong_release(answer: Answer, wanted: str) -> str:
    if answer.status == 0:
        return f"nothing answers: {answer.body.decode(errors='replace')}"
    if answer.status != 200:
        return f"GET /mlship/release answers {answer.status}"
    said = said_release(answer)
    if said != wanted:
        return f"the server says it is {said or 'no release'}, not {wanted}"
    return ""


def _differs(got: Any, expected: Any, near: tuple[float, float], at: str, truth: str) -> str:
    if isinstance(expected, list | tuple):
        if not isinstance(got, list) or len(got) != len(expected):
            return f"{at} has another shape"
        pairs = enumerate(zip(got, expected, strict=True))
        found = (_differs(one, other, near, f"{at}[{index}]", truth) for index, (one, other) in pairs)
        return next((wrong for wrong in found if wrong), "")
    if isinstance(expected, Mapping):
        if not isinstance(got, Mapping) or set(got) != set(expected):
            return f"{at} has other keys"
        found = (_differs(got[key], expected[key], near, f"{at}.{key}", truth) for key in sorted(expected))
        return next((wrong for wrong in found if wrong), "")
    if isinstance(expected, float) and isinstance(got, float | int) and not isinstance(got, bool):
        return "" if _close(float(got), expected, *near) else f"{at} is {got!r}, {truth} is {expected!r}"
    same = type(got) is type(expected) and got == expected
    return "" if same else f"{at} is {got!r}, {truth} is {expected!r}"


def _close(got: float, expected: float, rtol: float, atol: float) -> bool:
    """numpy.isclose's rule; infinities and NaN only equal themselves."""
    if math.isfinite(got) and math.isfinite(expected):
        return abs(got - expected) <= atol + rtol * abs(expected)
    return got == expected or (math.isnan(got) and math.isnan(expected))


def _status(answer: Answer) -> str:
    return str(answer.status) if answer.status else f"nothing ({answer.body.decode(errors='replace')})"


def _shown(answer: Answer) -> tuple[str, ...]:
    text = answer.body.decode(errors="replace").strip()
    return (text[:400],) if text else ()
