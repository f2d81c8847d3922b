"""Records beside images in ECR: what they are called and show, whose they are, and what happens where they cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aws_door import FakeDoor

from mlship.errors import Exit, MlshipError
from mlship.home import Home
from mlship.oci.image import Descriptor
from mlship.oci.referrers import Document
from mlship.oci.registry.artifact import Artifact
from mlship.releases.history import Entry, History
from mlship.releases.records import LeaseLost
from mlship.releases.release import Release, Served, ServedModel
from mlship.releases.release_record import ARTIFACT_TYPE, ReleaseRecord, record_of, record_to_json
from mlship.runner import LocalRunner
from mlship.targets.aws.artifacts import ReleaseArtifacts, shown
from mlship.targets.aws.caller_lambda import PUSH
from mlship.targets.aws.delivery import VARIANT, tag_of
from mlship.targets.aws.records import LostRecords, S3Records, records_of
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Opening, Outcome

SCOPE = Scope("churn", "prod")
CONTENT = f"sha256:{1:064x}"
RELEASE = Release(1, Served(CONTENT, (ServedModel("churn", f"{1:064x}"),)), 0.0, mlship="0.1.0")
HISTORY = History("churn", "prod", "aws").deployed(RELEASE, Entry(1, RELEASE.id, "deploy", "anna@here pid 7", 0.0), {})
TAG = f"mlship-churn--prod_{RELEASE.id}"
GIVEN = "team/models"
PLACE_OF_HISTORY = "mlship/churn/prod/history.json"
PLACE = {"repositories": [{"repositoryUri": f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{GIVEN}"}]}


def listed(**tags: str) -> dict[str, Any]:
    return {"ecr list_images": {"imageIds": [{"imageTag": tag, "imageDigest": digest} for tag, digest in tags.items()]}}


def artifacts(door: FakeDoor, repository: str = GIVEN) -> ReleaseArtifacts:
    return ReleaseArtifacts(door, SCOPE, {}, lambda: repository, VARIANT)


def records(door: FakeDoor) -> S3Records:
    return S3Records(door, lambda: "acme", SCOPE, makes_bucket=False, artifacts=artifacts(door))


def test_an_artifact_shows_without_being_fetched_who_put_out_which_release_when() -> None:
    record = record_of(HISTORY, RELEASE)
    assert shown(record) == {
        "mlship.project": "churn",
        "mlship.env": "prod",
        "mlship.release": RELEASE.id,
        "mlship.content": CONTENT,
        "mlship.by": "anna@here",
        "mlship.action": "deploy",
        "org.opencontainers.image.created": "1970-01-01T00:00:00Z",
    }
    subject = Descriptor("application/vnd.docker.distribution.manifest.v2+json", f"sha256:{2:064x}", 500)
    artifact = Artifact(Document(f"{TAG}.json", ARTIFACT_TYPE, record_to_json(record)), subject, shown(record))
    assert artifact.manifest == replace(artifact).manifest
    for said in (b'"artifactType":"application/vnd.mlship.release.v1+json"', b'"mlship.release"', subject.digest.encode()):
        assert said in artifact.manifest


def test_a_tag_is_of_one_project_in_one_environment() -> None:
    door = FakeDoor(
        listed(**{TAG: "sha256:a", "mlship-churn_r1-aaaaaa": "sha256:b", tag_of(CONTENT): "sha256:c", "v1": "sha256:d"})
    )
    assert artifacts(door).there() == {RELEASE.id: f"{GIVEN}:{TAG}"}
    longest = Scope("p" * 40, "e" * 20).family("r123456-abcdef")
    assert len(longest) <= 128, "a tag is no longer (distribution-spec 1.1)"


def test_a_release_without_its_record_is_noticed_where_its_image_is() -> None:
    images = {tag_of(CONTENT): "sha256:c"}
    assert artifacts(FakeDoor(listed(**images))).lack(HISTORY)
    assert not artifacts(FakeDoor(listed(**images, **{TAG: "sha256:a"}))).lack(HISTORY)
    assert not artifacts(FakeDoor(listed(v1="sha256:d"))).lack(HISTORY), "its image is gone"
    assert not artifacts(FakeDoor(), "").lack(HISTORY), "there is no repository yet"
    other_form = ReleaseArtifacts(FakeDoor(listed(**images)), SCOPE, {}, lambda: GIVEN, PUSH)
    assert not other_form.lack(HISTORY), "the image is another service's"


def test_a_registry_that_refuses_fails_nothing_that_is_committed() -> None:
    door = FakeDoor({**listed(**{tag_of(CONTENT): "sha256:c"}), "ecr describe_repositories": "AccessDeniedException"})
    (note,) = artifacts(door).attach(HISTORY)
    assert note.startswith(
        "the records of the releases are not all beside their images in ECR: AWS refuses ecr describe_repositories"
    )
    assert note.endswith("the history in S3 has them, and the next command tries again")


@pytest.mark.parametrize(("exit", "tried"), [(Exit.DENIED, [2, 1]), (Exit.UNREACHABLE, [2])])
def test_one_that_cannot_be_written_keeps_no_other_back(exit: Exit, tried: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest comes first: it is the one that has none yet."""
    second = replace(RELEASE, sequence=2)
    history = HISTORY.deployed(second, Entry(2, second.id, "deploy", "anna@here pid 7", 1.0), {})
    asked: list[int] = []

    def refuses(registry: Any, place: Any, repository: str, tags: Any, record: ReleaseRecord) -> None:
        asked.append(record.release.sequence)
        raise MlshipError(f"r{record.release.sequence} was refused", exit=exit)

    door = FakeDoor(listed(**{tag_of(CONTENT): "sha256:c"}) | {"ecr describe_repositories": PLACE})
    made = artifacts(door)
    monkeypatch.setattr(ReleaseArtifacts, "_attach_one", staticmethod(refuses))
    (note,) = made.attach(history)
    assert asked == tried and "r2 was refused" in note


def test_a_disk_that_is_full_fails_nothing_that_is_committed_either() -> None:
    def full(**_: Any) -> dict[str, Any]:
        raise OSError(28, "No space left on device")

    door = FakeDoor({**listed(**{tag_of(CONTENT): "sha256:c"}), "ecr describe_repositories": full})
    (note,) = artifacts(door).attach(HISTORY)
    assert "No space left on device; the history in S3 has them" in note


def test_the_record_of_a_release_that_was_let_go_goes_and_those_of_others_stay() -> None:
    let_go = "mlship-churn--prod_r9-bbbbbb"
    door = FakeDoor(listed(**{let_go: "sha256:e", "mlship-churn_r1-aaaaaa": "sha256:b"}) | {"ecr batch_delete_image": {}})
    assert artifacts(door).attach(HISTORY) == ()
    assert door.asked[-1] == ("ecr batch_delete_image", {"repositoryName": GIVEN, "imageIds": [{"imageDigest": "sha256:e"}]})


def test_what_may_not_be_deleted_is_said_to_stay_and_not_to_be_missing() -> None:
    door = FakeDoor(
        listed(**{"mlship-churn--prod_r9-bbbbbb": "sha256:e"}) | {"ecr batch_delete_image": "AccessDeniedException"}
    )
    (note,) = artifacts(door).attach(HISTORY)
    assert note.startswith("records of releases that are let go stay in ECR: AWS refuses ecr batch_delete_image")
    assert note.endswith("they are of nothing now")


def test_destroy_takes_them_out_of_a_company_s_repository_alone() -> None:
    door = FakeDoor(listed(**{TAG: "sha256:a", "v1": "sha256:d"}) | {"ecr batch_delete_image": {}})
    assert artifacts(FakeDoor({"ecr list_images": "RepositoryNotFoundException"})).tagged() == {}, (
        "mlship's own goes with its stack"
    )
    kept = records(door)
    kept.commit(HISTORY, 0)
    assert kept.taken_away(Outcome).notes == () and door.objects == {}
    assert dict(door.asked)["ecr batch_delete_image"]["imageIds"] == [{"imageDigest": "sha256:a"}]


DENIED = listed(**{TAG: "sha256:a"}) | {"ecr batch_delete_image": "AccessDeniedException"}


def test_whoever_may_not_delete_them_destroys_all_the_same_is_told_and_deploys_again() -> None:
    door = FakeDoor(DENIED)
    kept = records(door)
    kept.acquire("anna", 100.0, 30)
    kept.commit(HISTORY, 0)
    for _ in range(2):  # a command that was killed is run again
        said = kept.taken_away(lambda: Outcome(notes=("the stack",)))
        assert said.ok and said.notes[0] == "the stack"
        assert said.notes[1].startswith("not the records of its releases in ECR, which a later deploy passes over: AWS refuses")
        assert list(door.objects) == [PLACE_OF_HISTORY], "a tombstone, and no lease"
        assert (kept.read(), kept.attached(), kept.beside_images()) == (None, {}, ())
    kept.commit(HISTORY, 0)
    assert kept.read() == HISTORY and kept.attached() == {RELEASE.id: f"{GIVEN}:{TAG}"}


def test_a_tombstone_hides_nothing_that_came_after_it() -> None:
    door = FakeDoor(DENIED)
    kept = records(door)
    assert kept.taken_away(Outcome).ok and kept.read() is None
    buried = door.objects.pop(PLACE_OF_HISTORY)
    with pytest.raises(LostRecords, match="of its releases have a record beside their image"):  # the bucket was emptied
        kept.read()
    door.objects[PLACE_OF_HISTORY] = buried
    for changed in (listed(**{TAG: "sha256:f"}), listed(**{TAG: "sha256:a", TAG.replace("r1-", "r2-"): "sha256:b"})):
        door.answers |= changed  # written anew, or another one, by whoever deployed with another bucket
        with pytest.raises(LostRecords, match="1 of its releases"):
            kept.read()


def test_a_tombstone_is_written_over_what_was_seen_alone() -> None:
    class Overtaken(FakeDoor):
        def _put_object(self, **said: Any) -> Any:
            self.objects[said["Key"]] = (b"{}", "theirs")
            return super()._put_object(**said)

    with pytest.raises(LeaseLost):
        records(Overtaken(DENIED)).taken_away(Outcome)
    failed = FakeDoor(DENIED)
    assert not records(failed).taken_away(lambda: Outcome(False, "the stack stays")).ok and failed.objects == {}


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (b'{"destroyed": true, "schema": 9, "mlship": "7.0", "left": {}}', "the records were written by mlship 7.0"),
        (b'{"destroyed": true, "schema": 1', "the records cannot be read"),
        (b'{"destroyed": true, "schema": 1, "left": []}', "the records cannot be read"),
    ],
)
def test_a_tombstone_that_cannot_be_read_is_no_leave_to_begin_anew(said: bytes, what: str) -> None:
    door = FakeDoor(listed(), objects={PLACE_OF_HISTORY: (said, "1")})
    with pytest.raises(MlshipError, match=what):
        records(door).read()


def test_a_killed_destroy_without_a_yaml_finds_the_repository_in_the_history() -> None:
    """The stack, which told it, is gone by then, and the records have to go or to be told of."""
    there = {"cloudformation describe_stacks": "ValidationError", "ecr batch_delete_image": {}}
    door = FakeDoor(listed(**{TAG: "sha256:a"}) | there)
    opening = Opening("churn", "prod", Home(Path("/nonexistent")), LocalRunner(), lambda: 0.0, "anna", {})
    kept = records_of(opening, door)
    kept.commit(replace(HISTORY, operating={"settings": {"repository": GIVEN}}), 0)
    assert kept.taken_away(Outcome).ok and door.objects == {}
    assert dict(door.asked)["ecr batch_delete_image"]["repositoryName"] == GIVEN


def test_a_history_that_is_gone_is_told_from_one_that_never_was() -> None:
    assert records(FakeDoor(listed(v1="sha256:d"))).read() is None
    with pytest.raises(LostRecords) as lost:
        records(FakeDoor(listed(**{TAG: "sha256:a"}))).read()
    assert (
        "the history of churn prod is gone: nothing is at s3://acme/mlship/churn/prod/history.json, and 1 of" in lost.value.what
    )
    assert "mlship history churn --target aws --env prod --region us-east-1 --recover makes it again of these" in lost.value.fix
    assert lost.value.code == "lost-records" and lost.value.where == GIVEN


def test_a_later_release_without_any_record_is_no_first_deploy() -> None:
    kept = records(FakeDoor(listed(v1="sha256:d")))
    kept.must_know(None, ["r1-aaaaaa"])  # a first deploy that was killed before its commit
    kept.must_know(HISTORY, ["r12-aaaaaa"])
    with pytest.raises(LostRecords, match=r"r12-aaaaaa came after a release that was recorded; no record lies beside") as lost:
        kept.must_know(None, ["r1-aaaaaa", "r12-aaaaaa"])
    assert "targets.aws.bucket" in str(lost.value.fix) and "mlship destroy churn --target aws --env prod" in str(lost.value.fix)


def test_what_was_recovered_is_never_written_over_a_history_that_is_there() -> None:
    door = FakeDoor(listed(v1="sha256:d"))
    records(door).commit(HISTORY, 0)
    with pytest.raises(MlshipError, match="somebody else changed this project meanwhile"):
        records(door).commit(HISTORY, 0)
    (put,) = [said for name, said in door.asked if name == "s3 put_object"]
    assert put["IfNoneMatch"] == "*"
