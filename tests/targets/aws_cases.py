"""What a company's account has already, as `targets.aws` names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FULL: Mapping[str, Any] = {
    "subnets": ("subnet-0123456789abcdef0", "subnet-0123456789abcdef1"),
    "security_groups": ("sg-0123456789abcdef0",),
    "roles": {"task": "churn-task", "execution": "arn:aws:iam::123456789012:role/churn-start"},
    "cluster": "ml",
    "listener": "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/ml/50dc6c495c0c9188/f2f7dc8efc522ab2",
    "hosts": ("churn.internal.example",),
    "repository": "churn",
    "bucket": "acme-mlship",
    "kms_key": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "permissions_boundary": "ml-boundary",
}
