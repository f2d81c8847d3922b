"""A door to an AWS that is a dictionary: what is asked is written down, what is answered is said beforehand."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mlship.targets.aws.door import refusal

Said = dict[str, Any]

# The account's root user, who has no policies that could be asked for.
_USUAL: dict[str, Any] = {"sts get_caller_identity": {"Arn": "arn:aws:iam::123456789012:root", "Account": "123456789012"}}


@dataclass
class FakeDoor:
    """answers: `ecs describe_services` -> what it says, an error code, or a function of the request."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, Said]] = field(default_factory=list)
    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    region: str = "us-east-1"
    account: str = "123456789012"
    has_bucket: bool = True

    def call(self, service: str, operation: str, /, **said: Any) -> Said:
        name = f"{service} {operation}"
        self.asked.append((name, said))
        own: Callable[..., Said] | None = getattr(self, f"_{operation}", None) if service == "s3" else None
        answer = own(**said) if own else (self.answers[name] if name in self.answers else _USUAL[name])
        if callable(answer):
            answer = answer(**said)
        if isinstance(answer, str):
            raise refusal(name, {"Code": answer, "Message": "as the test says"})
        return answer

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        return list(self.call(service, operation, **said)[key])

    def _head_bucket(self, **said: Any) -> Any:
        return {} if self.has_bucket else "404"

    def _create_bucket(self, **said: Any) -> Any:
        self.has_bucket = True
        return {}

    def _put_public_access_block(self, **said: Any) -> Any:
        return {}

    def _get_object(self, **said: Any) -> Any:
        if said["Key"] not in self.objects:
            return "NoSuchKey"
        raw, tag = self.objects[said["Key"]]
        return {"Body": io.BytesIO(raw), "ETag": tag}

    def _put_object(self, **said: Any) -> Any:
        present = self.objects.get(said["Key"])
        if ("IfNoneMatch" in said and present) or ("IfMatch" in said and (present or (b"", ""))[1] != said["IfMatch"]):
            return "PreconditionFailed"
        tag = hashlib.sha256(said["Body"]).hexdigest()
        self.objects[said["Key"]] = (said["Body"], tag)
        return {"ETag": tag}

    def _delete_object(self, **said: Any) -> Any:
        del self.objects[said["Key"]]
        return {}
