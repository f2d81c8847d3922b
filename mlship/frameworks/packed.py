"""Models that another tool packed: the folder or archive is opened, and what lies in it is served by its own runtime."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from mlship.archives import unpack
from mlship.disk import used
from mlship.errors import Finding, MlshipError
from mlship.frameworks.base import Packed
from mlship.frameworks.detect import PACKAGES, Detected, detect
from mlship.frameworks.digest import FileDigests
from mlship.memo import Memo

Unpacked = Callable[[Path, str], Path]  # an archive, and the key that names it -> the folder of what was in it


def inner(path: Path, where: str, asked: str, unpacked: Unpacked) -> tuple[Detected, Packed]:
    """What of the path is served, and what that is; the path itself where no other tool packed it.

    asked: `model.framework`, or "". where: the key that names the model. Loads nothing. Raises MlshipError for a package that
    cannot be read, or that holds what is not served.
    """
    detected = detect(path, where)
    if detected.framework not in PACKAGES:
        return detected, Packed(path)
    module, _, name = PACKAGES[detected.framework].partition(":")
    opener: Callable[[Path, str, str, Unpacked], Packed] = getattr(importlib.import_module(module), name)
    packed = opener(path, where, asked, unpacked)
    if packed.framework:
        return Detected(packed.framework, "folder", packed.what), packed
    within = detect(packed.path, where)
    if within.framework in PACKAGES:  # nobody agreed to what such a one may do
        raise MlshipError(
            f"{path.name} is {packed.what} with {within.what} in it", where, "name the inner one", code="packed-twice"
        )
    return within, packed


def unpacker(memo: Memo, digests: FileDigests) -> Unpacked:
    """Each archive is unpacked once, beside what mlship remembers. Raises MlshipError for one that is hostile or damaged."""

    def unpacked(archive: Path, where: str) -> Path:
        if memo.folder is None:
            raise ValueError(f"there is no place where {archive} could be unpacked")
        folder = memo.folder.parent / "archives" / digests.of(archive).sha256
        used(folder)
        return unpack(archive, folder, where)

    return unpacked


def vouched(findings: Iterable[Finding], packed: Packed) -> tuple[Finding, ...]:
    """With what the package says, where the user's word is missing: names that whoever saved it trusts, the class that it brings."""
    return tuple(_vouched(finding, packed) for finding in findings)


def _vouched(finding: Finding, packed: Packed) -> Finding:
    if finding.code in packed.remedies:
        return replace(finding, fix=packed.remedies[finding.code])
    if finding.code == "unknown-name" and any(name in finding.what for name in packed.vouched):
        return replace(finding, what=f"{finding.what}; whoever saved it vouches for {', '.join(packed.vouched)}")
    if finding.code == "missing-loader" and packed.loader:
        said = f"loader: {packed.loader}"
        fix = f"it brings that code: if you trust whoever packed it, write {said}; here: mlship init --loader {packed.loader}"
        return replace(finding, fix=fix)
    return finding
