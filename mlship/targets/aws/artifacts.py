"""Records of releases beside their images in ECR: a copy of what the history says, for whoever looks at an image, and for the day on
which the history is gone.

The history in S3 decides; what lies here follows it after each commit, and is never read while that is there. ECR keeps artifacts whose
subject is an image since 2024-06 (AWS, What's New of 2024-06-27: OCI 1.1). Its lifecycle policies take artifacts away within 24 hours
of their subject (Amazon ECR user guide, "Lifecycle policy evaluation rules", read 2026-11); these have a tag, too, so that the rule
about what is untagged (parts.py) means none of them. A repository was seen to refuse manifests with a subject by 405
(aws/containers-roadmap, issue 2783 of 2026-03, open): that is told, and fails nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mlship.errors import Exit, MlshipError
from mlship.oci.referrers import Document
from mlship.oci.registry.artifact import Artifact, fetch_artifact, push_artifact
from mlship.oci.registry.client import Registry
from mlship.oci.registry.pull import read_document
from mlship.oci.registry.push_variant import PushVariant
from mlship.oci.registry.reference import Reference
from mlship.releases.history import History
from mlship.releases.release_record import ARTIFACT_TYPE, ReleaseRecord, record_from_json, record_of, record_to_json
from mlship.targets.aws.delivery import MOST_REMOVED, credentials, place_of, tag_of, tags_of, trusting
from mlship.targets.aws.door import Door
from mlship.targets.aws.scope import CONTENT, ENV, PROJECT, RELEASE, Scope

CREATED = "org.opencontainers.image.created"
BY, ACTION = "mlship.by", "mlship.action"
NONE: Mapping[str, str] = {}
_TRIED_AGAIN = "the history in S3 has them, and the next command tries again"


@dataclass(frozen=True)
class ReleaseArtifacts:
    """Of one project in one environment. repository: its name, empty where there is none yet. variant: of the images there."""

    door: Door
    scope: Scope
    environ: Mapping[str, str]
    repository: Callable[[], str]
    variant: PushVariant

    def there(self, but: Mapping[str, str] = NONE) -> dict[str, str]:
        """release id -> reference by tag, of those that have a record beside their image. One question, and none to the registry.

        but: tag -> digest of those that do not count.
        """
        repository = self.repository()
        return {
            self.scope.release_of(tag): f"{repository}:{tag}"
            for tag, digest in sorted(self._tagged(repository).items())
            if but.get(tag) != digest
        }

    def lack(self, history: History) -> bool:
        """Whether a release whose image is there has no record beside it: a command was killed right after its commit."""
        repository = self.repository()
        tags = tags_of(self.door, repository) if repository else {}
        contents = {release.id: tag_of(release.served.content, self.variant) for release in history.releases}
        return any(content in tags and self.scope.family(release) not in tags for release, content in contents.items())

    def attach(self, history: History) -> tuple[str, ...]:
        """Beside each image lies what the history says of its releases, and nothing of releases that it let go. Can be repeated.

        Gives what to tell the user of what could not be written: it never fails what was committed.
        """
        tags: dict[str, str] = {}

        def write() -> None:
            repository = self.repository()
            tags.update(tags_of(self.door, repository) if repository else {})
            wanted = [one for one in history.releases if tag_of(one.served.content, self.variant) in tags]
            if wanted:
                self._attach(repository, tags, [record_of(history, release) for release in wanted])

        def let_go() -> None:
            known = {release.id for release in history.releases}
            released = {tag: self.scope.release_of(tag) for tag in tags}
            going = [tags[tag] for tag, release in released.items() if release and release not in known]
            if going:
                self._remove(self.repository(), going)

        written = _told(write, "the records of the releases are not all beside their images in ECR", _TRIED_AGAIN)
        return (*written, *_told(let_go, "records of releases that are let go stay in ECR", "they are of nothing now"))

    def records(self, but: Mapping[str, str] = NONE) -> tuple[ReleaseRecord, ...]:
        """All that lie there and count, in the order of their releases. Raises MlshipError for what cannot be read, or is another's."""
        found = self.there(but)
        if not found:
            return ()
        read = []
        with self._registry(self.repository()) as (registry, place):
            for release, named in found.items():
                raw = fetch_artifact(registry, replace(place, tag=named.rpartition(":")[2]), ARTIFACT_TYPE)
                record = record_from_json(raw, named)
                told = (record.project, record.environment, record.release.id)
                if told != (self.scope.project, self.scope.environment, release):
                    what = f"the record under this tag is of {' '.join(filter(None, told))}"
                    raise MlshipError(what, named, "delete this tag", code="damaged-records")
                read.append(record)
        return tuple(sorted(read, key=lambda record: record.release.sequence))

    def fixed(self) -> ReleaseArtifacts:
        """The same once what tells the repository is gone."""
        repository = self.repository()
        return replace(self, repository=lambda: repository)

    def tagged(self) -> dict[str, str]:
        """tag -> digest of all of them. Raises Refused."""
        return self._tagged(self.repository())

    def remove(self, tagged: Mapping[str, str]) -> None:
        """tagged: some of them. Raises Refused."""
        self._remove(self.repository(), list(tagged.values()))

    def _tagged(self, repository: str) -> dict[str, str]:
        tags = tags_of(self.door, repository) if repository else {}
        return {tag: digest for tag, digest in tags.items() if self.scope.release_of(tag)}

    def _attach(self, repository: str, tags: Mapping[str, str], records: Sequence[ReleaseRecord]) -> None:
        """The newest first. One that cannot be written keeps none of the others back, unless nobody answers. Raises what the first met."""
        failed: list[MlshipError] = []
        with self._registry(repository) as (registry, place):
            for record in reversed(records):
                try:
                    self._attach_one(registry, place, repository, tags, record)
                except MlshipError as error:
                    failed.append(error)
                    if error.exit is Exit.UNREACHABLE:
                        break
        if failed:
            raise failed[0]

    def _attach_one(
        self, registry: Registry, place: Reference, repository: str, tags: Mapping[str, str], record: ReleaseRecord
    ) -> None:
        release = record.release
        tag, subject = self.scope.family(release.id), tags[tag_of(release.served.content, self.variant)]
        document = Document(f"{tag}.json", ARTIFACT_TYPE, record_to_json(record))
        before = tags.get(tag, "")
        if before and _says(registry, place.at(before), document, subject):
            return
        artifact = Artifact(document, read_document(registry, place.at(subject)).described, shown(record))
        if before and not self._moves_tags(repository):
            self._remove(repository, [before])
        push_artifact(registry, replace(place, tag=tag), artifact)
        if before and self._moves_tags(repository):
            with suppress(MlshipError):  # without a tag it goes by the repository's rule
                self._remove(repository, [before])

    @contextmanager
    def _registry(self, repository: str) -> Iterator[tuple[Registry, Reference]]:
        place = place_of(self.door, repository)
        with Registry(place.registry, trusting(self.environ, self.door), lambda _: credentials(self.door)) as registry:
            yield registry, place

    def _moves_tags(self, repository: str) -> bool:
        """A repository of a company may have immutable tags: there the old record goes before the new one comes."""
        (told,) = self.door.call("ecr", "describe_repositories", repositoryNames=[repository])["repositories"]
        return not str(told.get("imageTagMutability", "")).startswith("IMMUTABLE")

    def _remove(self, repository: str, digests: Sequence[str]) -> None:
        ids = [{"imageDigest": digest} for digest in sorted(set(digests))]
        for start in range(0, len(ids), MOST_REMOVED):
            several = ids[start : start + MOST_REMOVED]
            self.door.call("ecr", "batch_delete_image", repositoryName=repository, imageIds=several)


def _told(act: Callable[[], None], what: str, then: str) -> tuple[str, ...]:
    """What the registry, or a disk of this machine that is full, has against it."""
    try:
        act()
    except (MlshipError, OSError) as error:
        why = error.what if isinstance(error, MlshipError) else str(error)
        return (f"{what}: {why}; {then}",)
    return ()


def shown(record: ReleaseRecord) -> dict[str, str]:
    """What is seen of it without fetching it: which release of what, and who put it out, and when. Pure."""
    release = record.release
    told = {PROJECT: record.project, ENV: record.environment, RELEASE: release.id, CONTENT: release.served.content}
    last = next((one for one in reversed(record.entries) if one.action in ("deploy", "rollback")), None)
    if last is not None:
        when = datetime.fromtimestamp(last.when, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        told |= {BY: last.by.split(" pid ")[0], ACTION: last.action, CREATED: when}
    return {name: text for name, text in told.items() if text}


def _says(registry: Registry, place: Reference, document: Document, subject: str) -> bool:
    """Whether the artifact at `place` is this document about this image."""
    told = json.loads(read_document(registry, place).content)
    layers = [entry.get("digest") for entry in told.get("layers") or ()]
    wanted = "sha256:" + hashlib.sha256(document.content).hexdigest()
    return layers == [wanted] and (told.get("subject") or {}).get("digest") == subject
