"""Every project of mlship in one region: what `mlship list` asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from mlship.targets.base import Observed, Opening, ServiceRow, Target
from mlship.targets.gcp.door import Door
from mlship.targets.gcp.records import bucket_name
from mlship.targets.listed import row_of

ROOT = "mlship/"  # Scope.records begins so


def rows(opening: Opening, door: Door, opener: Callable[[Opening, Door], Target]) -> Iterator[ServiceRow]:
    """One a project and environment, by the records in the bucket that is said, else in mlship's own."""
    said = str(opening.settings.get("bucket") or "")
    bucket = said or bucket_name(door)
    if not said and not door.find_bucket(bucket):
        return

    def seen(one: Opening) -> Observed:
        return opener(one, door).observe()

    kept = {key: value for key, value in opening.settings.items() if key in ("bucket", "project", "region")}
    for project, environment in sorted(_recorded(door, bucket)):
        opening.progress.step("list", " ".join(filter(None, (project, environment))))
        one = replace(opening, project=project, environment=environment, settings=kept)
        yield row_of(one, "gcp", seen)


def _recorded(door: Door, bucket: str) -> set[tuple[str, str]]:
    found = set()
    for name in door.list_objects(bucket, ROOT):
        project, _, rest = name.removeprefix(ROOT).partition("/")
        environment, _, file = rest.partition("/")
        if file == "history.json":
            found.add((project, "" if environment == "-" else environment))
    return found
