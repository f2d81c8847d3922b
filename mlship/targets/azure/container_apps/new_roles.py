"""What Container Apps refuses only because a role was just given, and takes a few minutes later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mlship.progress import Progress
from mlship.targets.azure.refusal import Refused
from mlship.targets.azure.waiting import Waiting

# "It can take up to 10 minutes" (learn.microsoft.com/azure/role-based-access-control/troubleshooting); for most a minute or two.
KNOWN_S, POLLS = 600.0, 5
# What it says of an image or a secret that the identity may not read (github.com/microsoft/azure-container-apps, issues 646, 733,
# 1159; read 2026-11).
CLOSED = ("InvalidParameterValueInContainerTemplate", "ContainerAppSecretKeyVaultUrlInvalid", "ContainerAppOperationError")


def sent(send: Callable[[], None], newest_role: float, waiting: Waiting, progress: Progress) -> None:
    """newest_role: when the last one was given, in seconds since the epoch; 0 for long ago. Raises Refused for all other noes."""

    def done() -> bool | None:
        try:
            send()
        except Refused as no:
            if no.said not in CLOSED or waiting.clock() >= newest_role + KNOWN_S:
                raise
            progress.step("wait", "the roles of the app's identity are new, and not known everywhere at Azure yet")
            return None
        return True

    if replace(waiting, every_s=POLLS * waiting.every_s).until(done, KNOWN_S) is None:
        send()
