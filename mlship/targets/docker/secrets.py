"""Secrets at one engine: a volume for each set of versions that some release needs, and the certificates of the front.

Values go through one door: the standard input of a keeper that exists for this one message (root, no network, no capability
but CHOWN). They are in no label, environment, argument, log or record; versions and names of volumes tell nothing of them.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.releases.history import History
from mlship.releases.release import Release
from mlship.targets.base import Deployment
from mlship.targets.docker.bodies import keeper_body
from mlship.targets.docker.engine import Engine, EngineImage, EngineRefused
from mlship.targets.docker.holder import origin
from mlship.targets.docker.keeping import ANSWER_TIMEOUT_S, KeeperFailed
from mlship.targets.docker.records import DockerRecords
from mlship.targets.docker.spec import PROJECT, Scope
from mlship.targets.docker.stream import Broken

SET = "mlship.secrets"  # label of a volume: which set it is for
PLACE = "/secrets"  # mlship/keeper/secrets.py


def set_id(versions: Mapping[str, str]) -> str:
    """Names a set by what is in it. versions: name -> version. Pure."""
    text = "\n".join(f"{name}={version}" for name, version in sorted(versions.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def volume_name(scope: Scope, versions: Mapping[str, str]) -> str:
    """Empty for a release without secrets. Pure."""
    return f"{scope.volume}_secrets_{set_id(versions)}" if versions else ""


def volume_body(scope: Scope, versions: Mapping[str, str]) -> dict[str, Any]:
    return {"Name": volume_name(scope, versions), "Labels": {**scope.object_labels, SET: set_id(versions)}}


def writer_body(scope: Scope, image: str, python: str, versions: Mapping[str, str]) -> dict[str, Any]:
    """The one-off keeper that writes values. versions: of the set that is mounted, empty for a certificate."""
    body = keeper_body(scope, image, python, origin())
    host = {**body["HostConfig"], "CapAdd": ["CHOWN"]}
    if versions:
        volume = {"Type": "volume", "Source": volume_name(scope, versions), "Target": PLACE, "VolumeOptions": {"NoCopy": True}}
        host["Mounts"] = [*host["Mounts"], volume]
    return {**body, "HostConfig": host}


def kept_sets(history: History | None) -> set[str]:
    """Sets that a release of the records needs, the one under way too. Pure."""
    if history is None:
        return set()
    releases = [*history.releases, *([history.underway.release] if history.underway else ())]
    return {set_id(release.served.secrets) for release in releases if release.served.secrets}


@dataclass
class SecretStore:
    """What one project in one environment has at one engine. image: of a front, to run the writing keeper from.

    Every method raises what the engine and the records raise. One object remembers what it made sure of.
    """

    engine: Callable[[], Engine]
    scope: Scope
    records: DockerRecords
    image: Callable[[], EngineImage]
    _sure: set[str] = field(default_factory=set)
    _chains: dict[str, str] = field(default_factory=dict)

    def versions(self, values: Mapping[str, str], history: History | None) -> dict[str, str]:
        """name -> version: the one whose value this is, else the next one. Changes nothing."""
        if not values or not self.records.exist:
            return dict.fromkeys(sorted(values), "1")
        request = {"op": "secret_versions", "values": dict(values), "floor": _highest(history)}
        return dict(self.records.ask(request)["versions"])

    def volume(self, deployment: Deployment) -> str:
        """The volume with the secrets of the deployment's release, written now unless it is there; empty without secrets.

        Raises MlshipError when it is gone and the values are not at hand.
        """
        versions = deployment.release.served.secrets
        name = volume_name(self.scope, versions)
        if not versions or name in self._sure:
            return name
        if set_id(versions) not in self.whole():
            self._write(deployment.release.id, versions, deployment.secrets)
        self._sure.add(name)
        return name

    def whole(self) -> frozenset[str]:
        """Ids of the sets that are here, and were written to their end."""
        here = self._here()
        if not here or not self.records.exist:
            return frozenset()
        return frozenset(here.keys() & set(self.records.ask({"op": "secret_sets"})["sets"]))

    def restorable(self, releases: Iterable[Release]) -> frozenset[str]:
        """Ids of those that could be started again with their secrets; asks only where there are any."""
        wanted = {release.id: release.served.secrets for release in releases}
        whole = self.whole() if any(wanted.values()) else frozenset()
        return frozenset(name for name, versions in wanted.items() if not versions or set_id(versions) in whole)

    def tls(self, deployment: Deployment, present: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """The front document's `tls` for this deployment; the certificate is on the volume when this returns.

        present: what the front has now, kept where the wanted one can be had no more (a rollback of how it is operated).
        """
        wanted = deployment.settings.get("tls")
        if not wanted:
            return None
        name = str(wanted.get("certificate", ""))
        if name and (self.chain(name) or self._certified(deployment)):
            return {"certificate": name}
        if present:
            return present
        raise MlshipError(
            f"the certificate of {self.scope.name} is not at the engine any more",
            deployment.places.get("targets.docker.tls.cert", f"volume {self.scope.volume}"),
            "mlship deploy, from the folder with its mlship.yaml",
            code="no-certificate",
        )

    def chain(self, certificate: str) -> str:
        """The certificates that go by this name, as PEM without the key; empty where they are not kept."""
        if certificate not in self._chains:
            said = self.records.ask({"op": "certificate_read", "certificate": certificate}) if self.records.exist else {}
            if not said.get("chain"):
                return ""
            self._chains[certificate] = said["chain"]
        return self._chains[certificate]

    def operator_key(self) -> str:
        """With which mlship asks a release whose callers are judged; empty where no secret was ever written."""
        return str(self.records.ask({"op": "operator_key"})["key"]) if self.records.exist else ""

    def retire(self, history: History | None) -> None:
        """Removes the sets that no release of the records needs, and certificates that the front does not name.

        What a container still uses stays for the next time. Without records nothing is known, and nothing goes.
        """
        if history is None:
            return
        kept = kept_sets(history)
        gone = {set_id: name for set_id, name in self._here().items() if set_id not in kept}
        if gone:
            self.records.change({"op": "secrets_forget", "keep": sorted(kept)})
        for name in gone.values():
            self._remove(name)
        self.records.change({"op": "certificates_sweep"})

    def destroy(self) -> bool:
        """Removes every set; False while a container still has one. Works without records."""
        removed = [self._remove(name) for name in self._here().values()]
        return all(removed)

    def _here(self) -> dict[str, str]:
        """Set id -> volume, of all that carry the project's labels, whole or not."""
        ours = [labels for labels in self.engine().volumes(SET) if self.scope.owns_object(labels)]
        return {labels[SET]: f"{self.scope.volume}_secrets_{labels[SET]}" for labels in ours}

    def _remove(self, name: str) -> bool:
        self._sure.discard(name)
        try:
            self.engine().remove_volume(name)
        except EngineRefused as refused:
            if refused.status != 409:
                raise
            return False
        return True

    def _write(self, release: str, versions: Mapping[str, str], values: Mapping[str, str]) -> None:
        missing = sorted(versions.keys() - values.keys())
        if missing:
            raise MlshipError(
                f"{release} cannot be started: its secrets ({', '.join(missing)}) are not at the engine any more",
                where=f"volume {volume_name(self.scope, versions)}",
                fix="mlship deploy, where their values are",
                code="no-secrets",
            )
        self._refuse_foreign(volume_name(self.scope, versions))
        self.records.confirm()
        self.engine().create_volume(volume_body(self.scope, versions))
        self._tell(
            {
                "op": "secrets_write",
                "values": {name: values[name] for name in versions},
                "versions": dict(versions),
                "set_id": set_id(versions),
            },
            versions,
        )

    def _certified(self, deployment: Deployment) -> bool:
        certificate = deployment.certificate
        if certificate is None:
            return False
        self._tell({"op": "certificate_write", "pem": certificate.pem.reveal(), "chain": certificate.chain}, {})
        self._chains[certificate.name] = certificate.chain
        return True

    def _tell(self, request: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        """One message to a keeper of its own. Said once more when its connection is cut: it can be repeated."""
        try:
            self.records.change(request, lambda whole: self._told(whole, versions))
        except KeeperFailed:
            self.records.change(request, lambda whole: self._told(whole, versions))

    def _told(self, request: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, Any]:
        engine, image = self.engine(), self.image()
        body = writer_body(self.scope, image.id, image.python, versions)
        container = engine.create(self.scope.keeper(secrets.token_hex(4)), body)
        try:
            talk = engine.converse(container, ANSWER_TIMEOUT_S)
            try:
                return talk.ask(request)
            finally:
                talk.close()
        except Broken as broken:
            raise KeeperFailed(self.scope.volume, str(broken)) from None
        finally:
            engine.remove(container)

    def _refuse_foreign(self, name: str) -> None:
        labels = self.engine().volume_labels(name)
        if labels is not None and not (self.scope.owns_object(labels) and SET in labels):
            owner = labels.get(PROJECT)
            raise MlshipError(
                f"the volume {name} is " + (f"of the project {owner}" if owner else "not mlship's"),
                where=self.engine().address,
                fix=f"remove it if nothing needs it: docker volume rm {name}",
                exit=Exit.USAGE,
                code="foreign-volume",
            )


def _highest(history: History | None) -> dict[str, str]:
    """The highest version of each name that some release has: none is given twice, even if the keeper's document is lost."""
    highest: dict[str, int] = {}
    for release in history.releases if history else ():
        for name, version in release.served.secrets.items():
            highest[name] = max(highest.get(name, 0), int(version))
    return {name: str(version) for name, version in highest.items()}
