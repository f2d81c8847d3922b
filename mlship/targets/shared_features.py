"""What services of several targets have in common in honouring keys."""

from __future__ import annotations

from mlship.targets.base import Feature

NATIVE = Feature("native")
SLO = Feature("emulated", "bench and cost-estimate read it; nothing watches it while it serves")
COST = Feature("native", "cost-estimate and plan read it")
FIXED_SCHEDULE = Feature("absent", "schedules are not built yet", "a range of scale.replicas, which follows the load")
