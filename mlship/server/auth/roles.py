"""Which route needs which role where the service has serve.auth. What is not named here needs `predict`."""

from __future__ import annotations

PREDICT, METRICS = "predict", "metrics"
ROLES = frozenset((PREDICT, METRICS))
OPEN = ""

# Orchestrators, load balancers and mlship itself ask these without a key. They tell that the server lives and which release it
# is, nothing of the model and nothing of its callers.
HEALTH = frozenset(
    (
        *("/livez", "/readyz", "/mlship/release"),
        *("/ping", "/health", "/version", "/", "/vertex/health"),  # SageMaker, MLflow, Azure ML, Vertex AI
        *("/v2/health/live", "/v2/health/ready"),
    )
)
READING = ("GET", "HEAD")


def role_for(route: str, method: str, path: str = "") -> str:
    """route: as it is counted, empty for a path that is not there: without a key nobody learns which are.

    path: where it is; the environment may put a platform's predict route on another's path (AIP_PREDICT_ROUTE). Pure.
    """
    if route in HEALTH and method in READING:
        return OPEN
    return METRICS if "/metrics" in (route, path) else PREDICT
