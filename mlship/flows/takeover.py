"""How a release takes over, what callers notice, and what it costs: lines for the plan. Pure."""

from __future__ import annotations

from mlship.config.gates import parse
from mlship.targets.base import Deployment, Strategy
from mlship.units import Duration, Memory


def takeover(deployment: Deployment, *, replaces: bool) -> tuple[str, ...]:
    """Lines for people. replaces: another release serves now."""
    lines = [_replicas(deployment)]
    if deployment.replicas[0] < deployment.replicas[1]:
        lines.append(_autoscaler(deployment))
    if replaces:
        lines += [
            *_mirror(deployment.strategy),
            _strategy(deployment.strategy),
            *_gates(deployment.strategy),
            _memory(deployment),
        ]
    if deployment.strategy.approve == "manual":
        lines.append("approval: it waits for mlship promote before all callers move (exit 12)")
    return tuple(lines)


def _replicas(deployment: Deployment) -> str:
    least, most = deployment.replicas
    served = deployment.release.served.resources
    each = Memory(served.get("memory", 0))
    count = f"{least} to {most} replicas" if least < most else f"{least} replica{'s' if least > 1 else ''}"
    return f"{count} of {each}"


def _autoscaler(deployment: Deployment) -> str:
    scale = deployment.operating.get("scale", {})
    each = f" ({scale['per_replica']:g} each)" if scale.get("per_replica") else ""
    quiet = Duration(scale.get("down_after_s", 300.0))
    return f"autoscaler: follows {scale.get('metric', 'concurrency')}{each}, fewer after {quiet} of quiet"


def _mirror(strategy: Strategy) -> list[str]:
    if not strategy.mirror:
        return []
    bake = Duration(strategy.bake_s)
    return [f"mirror: a copy of {strategy.mirror * 100:g} % of the requests for {bake} before the first callers move"]


def _strategy(strategy: Strategy) -> str:
    bake = Duration(strategy.bake_s)
    if strategy.name == "recreate":
        return "recreate: the old copies stop first; callers get 503 until the new ones are ready"
    if strategy.name == "canary":
        watched = f", {bake} each" if strategy.bake_s else ""
        steps = " -> ".join(f"{share * 100:g} %" for share in strategy.steps)
        return f"canary: {steps} of the callers{watched}; no request is lost"
    if strategy.name == "blue-green":
        warm = f"; the old ones stay warm for {bake}" if strategy.bake_s else ""
        return f"blue-green: all callers move at once, when every new copy has proved itself{warm}; no request is lost"
    return "rolling: all callers move at once, when every new copy has proved itself; no request is lost"


def _gates(strategy: Strategy) -> list[str]:
    if not strategy.gates:
        return []
    gates = [parse(text) for text in strategy.gates]
    least = f"; it pauses below {strategy.min_requests} requests (exit 12)" if any(gate.is_measured for gate in gates) else ""
    failed = "takes it back (exit 6)" if strategy.on_fail == "rollback" else "pauses it (exit 12)"
    return [f"gates: {', '.join(f'{gate.metric} {gate.wanted}' for gate in gates)}; a failed one {failed}{least}"]


def _memory(deployment: Deployment) -> str:
    """What both releases may take together while they run side by side."""
    each, count = deployment.release.served.resources.get("memory", 0), deployment.replicas[0]
    if deployment.strategy.name == "recreate":
        return f"memory: {Memory(each * count)}, as before: never both releases at once"
    return f"memory: {Memory(each * count)} more while both releases run"
