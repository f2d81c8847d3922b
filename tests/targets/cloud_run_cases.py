"""Deployments to Cloud Run, one for each thing that its documents can say."""

from __future__ import annotations

from dataclasses import replace

from cloud_deployment import deployment

from mlship.targets.base import Deployment

COMPANY = {"service_account": "churn@acme-ml.iam.gserviceaccount.com", "vpc_connector": "ml", "project": "acme-ml"}


def with_secrets(made: Deployment) -> Deployment:
    served = replace(
        made.release.served,
        env={"LOG_LEVEL": "info", "PORT": "1", "ODD": "${Image}\n- no"},
        secrets={"CHURN_KEYS": "3", "SHARED": "7"},
        serving={"auth": {"api_keys": "CHURN_KEYS"}},
    )
    references = {"CHURN_KEYS": "churn-keys", "SHARED": "projects/other/secrets/shared"}
    return replace(made, release=replace(made.release, served=served), references=references)


CASES: dict[str, Deployment] = {
    "as it comes": deployment("gcp", "cloud-run"),
    "a company's": with_secrets(deployment("gcp", "cloud-run", **COMPANY)),
    "less than a processor": deployment("gcp", "cloud-run", cpu=0.25, gib=0.5, replicas=(0, 3)),
    "billed all the while": deployment("gcp", "cloud-run", cpu=3, gib=9, billing="instance", replicas=(2, 20)),
    "a GPU": deployment("gcp", "cloud-run", gpu=1, billing="instance", accelerator="nvidia-rtx-pro-6000"),
    "open to the internet": replace(deployment("gcp", "cloud-run"), operating={"public": True}, labels={"team": "growth"}),
    "in a subnet": deployment("gcp", "cloud-run", network="prod", subnet="serving"),
    "for a load balancer": deployment("gcp", "cloud-run", ingress="load-balancer"),
}
