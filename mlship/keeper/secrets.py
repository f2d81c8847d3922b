"""Versions of secrets, and the only places where their values lie: a volume for each set, and the front's certificates.

`secrets.json` has no value in it: {"schema", "key", "versions": {name: {version: mac}}, "sets": [id]}. A MAC knows a value again
and gives none away; the key never leaves this file. Versions are decimal numbers from 1; none ever means a second value.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlship.keeper import state
from mlship.keeper.records import Records, Refused, Reply
from mlship.keeper.state import Damaged

SERVER = 65532  # the user of replicas and front, who alone reads a value
LONGEST = 64 * 2**10
OPERATOR = "MLSHIP_OPERATOR_KEY"  # its value is the keeper's own, whatever is sent: the same for all releases of a project
SET = Path("/secrets")  # where the volume of one set is mounted while it is written
MARKER = ".whole"  # written last; what stands in it only this keeper can compute

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
SET_ID = re.compile(r"[0-9a-f]{12}", re.ASCII)
CERTIFICATE = re.compile(r"[0-9a-f]{64}", re.ASCII)

Own = Callable[[int], None]
"""Gives an open file to the server's user."""


def give_to_server(handle: int) -> None:
    """Needs the capability CHOWN, which only the one-off keeper has that writes values."""
    os.fchown(handle, SERVER, SERVER)


class Secrets:
    """The versions in one folder. records: whose lease counts. place: where the set's volume is mounted."""

    def __init__(self, folder: Path, records: Records, place: Path = SET, own: Own = give_to_server) -> None:
        self._folder = folder
        self._records = records
        self._place = place
        self._own = own
        self._document = folder / "secrets.json"
        self._front = folder / "front"
        self._certificates = self._front / "tls"

    def versions(self, values: Mapping[str, str], floor: Mapping[str, str] | None = None) -> Reply:
        """{"versions": {name: version}}: the one whose value this is, else the next one. Changes nothing.

        floor: the highest version of each name that the history knows, so that a lost document gives none a second time.
        """
        _judge_values(values)
        document = self._read()
        values = _with_own(values, document["key"]) if document["key"] else values
        return {"versions": {name: _version(document, name, value, floor or {}) for name, value in sorted(values.items())}}

    def sets(self) -> Reply:
        """{"sets": [id]}: those that were written whole and not forgotten since."""
        return {"sets": self._read()["sets"]}

    def write(self, values: Mapping[str, str], versions: Mapping[str, str], set_id: str, token: str = "") -> Reply:
        """Writes the set into the mounted volume, once. Killed at any instant and called again it ends the same.

        Raises Refused lease-lost when a version means another value by now.
        """
        _judge_values(values)
        if values.keys() != versions.keys() or not all(map(_is_version, versions.values())) or not SET_ID.fullmatch(set_id):
            raise Refused("invalid", "the set, its versions and its values do not fit together")
        if not self._place.is_dir():
            raise Refused("invalid", f"no volume is mounted at {self._place}")
        with self._records.alone(token):
            values = _with_own(values, self._keyed()["key"])
            document = self._remembered(values, versions)
            mark = _mac(document["key"], "set", json.dumps(sorted(versions.items())), json.dumps(sorted(values.items())))
            if not self._is_whole(mark):
                self._fill(values, mark)
            self._write({**document, "sets": sorted({*document["sets"], set_id})})
        return {}

    def operator(self) -> Reply:
        """{"key": text}: with which mlship asks a release whose callers are judged; empty before the first secret was written."""
        key = self._read()["key"]
        return {"key": _operator(key) if key else ""}

    def forget(self, keep: list[str], token: str = "") -> Reply:
        """Sets that are not in `keep` do not count as written any more; their volumes may go then."""
        with self._records.alone(token):
            document = self._read()
            kept = [set_id for set_id in document["sets"] if set_id in keep]
            if kept != document["sets"]:
                self._write({**document, "sets": kept})
        return {}

    def write_certificate(self, pem: str, chain: str, token: str = "") -> Reply:
        """{"certificate": sha256 of pem}. pem: certificates and key, for the front alone; chain: the certificates, for all."""
        if not 0 < len(pem) <= 4 * LONGEST or "PRIVATE KEY" in chain:
            raise Refused("invalid", "this is no certificate with its key")
        name = hashlib.sha256(pem.encode()).hexdigest()
        with self._records.alone(token):
            for folder in (self._front, self._certificates):
                _make_folder(folder)
            present = self._certificates / f"{name}.pem"
            if not _is_file(present):
                self._put(self._certificates / f"{name}.crt", chain, 0o444)
                self._put(present, pem, 0o400, self._own)
        return {"certificate": name}

    def read_certificate(self, certificate: str) -> Reply:
        """{"chain": text or None}: the certificates without the key, None where they are not kept."""
        if not CERTIFICATE.fullmatch(certificate):
            raise Refused("invalid", "this names no certificate")
        if not _is_file(self._certificates / f"{certificate}.pem"):
            return {"chain": None}
        return {"chain": state.read_text(self._certificates / f"{certificate}.crt")}

    def sweep_certificates(self, token: str = "") -> Reply:
        """Removes those that the front does not name, and what a killed keeper left half-written."""
        with self._records.alone(token):
            text = state.read_text(self._front / "front.json")
            if text is not None and self._certificates.is_dir():
                used = (state.parse("front.json", text).get("tls") or {}).get("certificate")
                for entry in sorted(self._certificates.iterdir()):
                    if entry.name.partition(".")[0] != used:
                        entry.unlink(missing_ok=True)
                state.sync(self._certificates)
        return {}

    def _remembered(self, values: Mapping[str, str], versions: Mapping[str, str]) -> dict[str, Any]:
        """The document with the MACs of these versions, which is on disk before any value is: a number means one value for good."""
        document = self._keyed()
        known = {name: dict(macs) for name, macs in document["versions"].items()}
        for name, value in values.items():
            macs = known.setdefault(name, {})
            version, mac = versions[name], _mac(document["key"], "value", name, value)
            elsewhere = any(hmac.compare_digest(mac, other) for number, other in macs.items() if number != version)
            if elsewhere or not hmac.compare_digest(macs.setdefault(version, mac), mac):
                raise Refused("lease-lost", f"the secret {name} got another version meanwhile")
        changed = {**document, "versions": known}
        self._write(changed)
        return changed

    def _keyed(self) -> dict[str, Any]:
        """The document with a key, which is on disk when this returns."""
        document = self._read()
        if not document["key"]:
            document["key"] = os.urandom(32).hex()
            self._write(document)
        return document

    def _is_whole(self, mark: str) -> bool:
        return hmac.compare_digest(state.read_text(self._place / MARKER) or "", mark)

    def _fill(self, values: Mapping[str, str], mark: str) -> None:
        """The marker goes first and comes last. What was here is of an interrupted writing, or of records that are lost."""
        self._clear(self._place / MARKER)
        for entry in self._place.iterdir():
            self._clear(entry)
        for name, value in sorted(values.items()):
            self._put(self._place / name, value, 0o400, self._own)
        self._put(self._place / MARKER, mark, 0o400)

    def _clear(self, entry: Path) -> None:
        entry.unlink(missing_ok=True)
        state.sync(self._place)

    def _put(self, path: Path, text: str, mode: int, own: Own = lambda handle: None) -> None:
        """Whole or absent. Its mode is right from the first byte on, and it is given away when it cannot be changed any more."""
        temporary = path.parent / f".{path.name}.new"
        temporary.unlink(missing_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(text.encode())
            file.flush()
            own(handle)
            os.fsync(handle)
        temporary.replace(path)
        state.sync(path.parent)

    def _read(self) -> dict[str, Any]:
        """Raises Damaged for what cannot be believed, Newer for a later version's."""
        text = state.read_text(self._document)
        if text is None:
            return {"schema": state.SCHEMA, "key": "", "versions": {}, "sets": []}
        document = state.parse(self._document.name, text)
        state.refuse_newer(self._document.name, document)
        if not _is_document(document):
            raise Damaged("secrets.json has no versions")
        return document

    def _write(self, document: Mapping[str, Any]) -> None:
        state.write_text(self._document, json.dumps(document, sort_keys=True) + "\n")


def _version(document: Mapping[str, Any], name: str, value: str, floor: Mapping[str, str]) -> str:
    known: Mapping[str, str] = document["versions"].get(name, {})
    mac = _mac(document["key"], "value", name, value)
    for version, other in known.items():
        if hmac.compare_digest(mac, other):
            return version
    return str(max([int(version) for version in (*known, floor.get(name, "0"))], default=0) + 1)


def _with_own(values: Mapping[str, str], key: str) -> dict[str, str]:
    """The values, of which one is not the sender's to say."""
    return {**values, OPERATOR: _operator(key)} if OPERATOR in values else dict(values)


def _operator(key: str) -> str:
    return _mac(key, "operator")


def _mac(key: str, *parts: str) -> str:
    return hmac.new(bytes.fromhex(key), json.dumps(parts).encode(), hashlib.sha256).hexdigest()


def _judge_values(values: Mapping[str, str]) -> None:
    """Says which name is wrong, never with what value."""
    for name, value in values.items():
        if not NAME.fullmatch(name):
            raise Refused("invalid", "a secret has a name that no variable can have")
        if not isinstance(value, str) or not value or "\0" in value or len(value.encode()) > LONGEST:
            raise Refused("invalid", f"the value of {name} is empty, longer than {LONGEST} bytes, or has a NUL in it")


def _is_version(version: Any) -> bool:
    return isinstance(version, str) and VERSION.fullmatch(version) is not None


def _is_document(document: Mapping[str, Any]) -> bool:
    key, versions, sets = document.get("key"), document.get("versions"), document.get("sets")
    return (
        isinstance(key, str)
        and re.fullmatch(r"([0-9a-f]{64})?", key) is not None
        and isinstance(versions, dict)
        and all(isinstance(macs, dict) and all(map(_is_version, macs)) for macs in versions.values())
        and all(isinstance(mac, str) and mac.isascii() for macs in versions.values() for mac in macs.values())
        and isinstance(sets, list)
        and all(isinstance(set_id, str) for set_id in sets)
    )


def _make_folder(folder: Path) -> None:
    """Raises Damaged where something else stands in its place: a link is not followed."""
    with suppress(FileExistsError):
        folder.mkdir(0o755)
        state.sync(folder.parent)
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise Damaged(f"{folder.name} is not a folder")


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False
