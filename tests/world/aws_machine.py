"""Machines with the unmodified command and credentials of one account of AWS, which stands behind a gateway."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from aws_account import ACCOUNT, REGION, Account, balancer
from aws_gateway import Gateway, gateway
from registry_images import image_of
from story import Story

from mlship.home import Home
from mlship.image.record import BuildRecord, BuildRecords, RecordedModel
from mlship.oci.layout import Layout

YAML = f"""\
name: churn
model: model.joblib
target: aws
resources: {{cpu: 1, memory: 2GB}}
targets: {{aws: {{region: {REGION}, account: "123456789012"}}}}
environments:
  prod: {{}}
  elsewhere: {{targets: {{aws: {{account: "999999999999"}}}}}}
  changed: {{rollout: {{strategy: canary, steps: [50%, 100%]}}}}
  asked: {{rollout: {{strategy: canary, steps: [50%, 100%], approve: manual}}}}
"""


@contextmanager
def fronted(account: Account) -> Iterator[tuple[Gateway, Mapping[str, str]]]:
    """What the account hears, and the environment that leads a command there."""
    with gateway(account) as (found, url), balancer(account) as proxy:
        yield found, {"AWS_ENDPOINT_URL": url, "HTTP_PROXY": proxy, "NO_PROXY": "127.0.0.1"}


def machine(folder: Path, account: Account, front: Mapping[str, str]) -> Story:
    """With a home of its own, and credentials; what it has besides stands in its folder."""
    folder.mkdir()
    said = {name: text for name, text in account.environ.items() if not name.startswith(("AWS_ENDPOINT", "ECR"))}
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return Story(folder, Path(sys.executable), {**kept, **said, **front, "MLSHIP_HOME": str(folder / "home")})


def built(there: Story, account: Account, version: int) -> str:
    """The content id of an image of churn, as a build would have left it."""
    home = Home(there.folder / "home")
    image = image_of(Layout(home.images), (100,), seed=version)
    account.versions[image.content], account.broken[image.content] = version, ""
    model = RecordedModel(
        *("churn", "sklearn", "Pipeline", "model.joblib", 13, f"{version:064x}"),
        sample=({"age": 30},),
        answers={"predictions": [version]},
        tolerance={"rtol": 1e-6, "atol": 1e-9},
    )
    record = BuildRecord(f"inputs-{version}", image.content, "churn", "linux/amd64", 0.0, "0.1.0", (model,))
    BuildRecords(home.images).write(record)
    return image.content


def give_lease_back(account: Account, environment: str) -> None:
    """As if its time were over."""
    place = {"Bucket": f"mlship-{ACCOUNT}-{REGION}", "Key": f"mlship/churn/{environment}/lease.json"}
    lease = json.loads(account.client("s3").get_object(**place)["Body"].read())
    account.client("s3").put_object(**place, Body=json.dumps({**lease, "expires": 0.0}).encode())
