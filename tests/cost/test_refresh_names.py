"""What targets are billed for and what refresh reads has the same names: a refreshed price is found."""

from __future__ import annotations

from cloud_deployment import deployment

from mlship.cost.refresh import aws_rows, azure_items, gcp_skus
from mlship.targets.priced import priced

ASKED = (
    *(deployment("aws", "ecs", arch=arch, subnets=subnets) for arch in ("x86_64", "arm64") for subnets in ((), ("subnet-1",))),
    deployment("aws", "ecs", ephemeral_gb=100, image_gb=1),
    *(deployment("aws", "lambda", arch=arch) for arch in ("x86_64", "arm64")),
    *(deployment("gcp", "cloud-run", billing=billing) for billing in ("request", "instance")),
    deployment("gcp", "cloud-run", places=["scale.replicas"]),
    deployment("gcp", "cloud-run", gpu=1),
    deployment("gcp", "vertex", instance="n1-standard-4"),
    deployment("azure", "container-apps"),
    deployment("azure", "azureml", instance="Standard_D2s_v5"),
)
NOT_LISTED = {
    ("azure", "azure_ml_online_endpoint surcharge"),  # nobody bills it
    ("gcp", "cloud_run gpu_l4"),  # under which name, is not known
    ("gcp", "egress_internet out_default"),  # the catalog has destinations, and no default
}


def test_every_item_that_targets_are_billed_for_can_be_refreshed():
    billed = {
        (key.cloud, f"{key.service} {key.item}", resource.unit)
        for asked in ASKED
        for resource in priced(asked.target).resources(asked)
        if (key := resource.price) is not None and key.service
    }
    unknown = {(cloud, name) for cloud, name, unit in billed if (cloud, name, unit) not in LISTED}
    assert len(billed) > 25 and unknown == NOT_LISTED


LISTED = {
    *(("aws", f"{rule.service} {rule.item}", rule.unit) for rule in aws_rows.RULES),
    *(("azure", f"{rule.service} {rule.item}", rule.unit) for rule in azure_items.RULES),
    *(("gcp", f"cloud_run {item}", unit) for _, item, unit, _ in gcp_skus.RUN_ITEMS),
    ("gcp", "cloud_run requests", "million requests"),
    ("gcp", "vertex_ai online_prediction n1-standard-4", "node-hour"),
    ("gcp", "vertex_ai online_prediction_spot n1-standard-4", "node-hour"),
    ("gcp", "cloud_logging ingestion", "GB"),
}
