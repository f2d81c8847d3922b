"""What services of several targets have in common in honouring keys."""

from __future__ import annotations

from mlship.targets.base import Feature

NATIVE = Feature("native")
SLO = Feature("emulated", "bench and cost-estimate read it; nothing watches it while it serves")
COST = Feature("native", "cost-estimate and plan read it")
_SMALL_STEP = "a canary with a small first step, such as rollout.steps: [1%, 25%, 100%]"
NO_MIRROR = Feature("absent", "it copies no requests to a second release", _SMALL_STEP)
UNBUILT_MIRROR = Feature("absent", "mlship does not set up its copying of requests yet", _SMALL_STEP)
FIXED_SCHEDULE = Feature("absent", "schedules are not built yet", "a range of scale.replicas, which follows the load")
