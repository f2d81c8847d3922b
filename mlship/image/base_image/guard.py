"""Whether an image can be the base of this model's image, and what is to be said of one that can. Pure."""

from __future__ import annotations

from mlship.errors import Finding
from mlship.image.base_image.facts import BaseFacts
from mlship.image.plan import ROOT

_SHOWN = 4


def misfits(facts: BaseFacts, reference: str, *, python_minor: str, platform: str, where: str) -> tuple[Finding, ...]:
    """Errors only: why nothing that mlship builds for this Python and platform would run on it. where: of build.base."""
    found = (_c_library(facts, reference), _python(facts, reference, python_minor), _machine(facts, reference, platform),
             _room(facts, reference))  # fmt: skip
    return tuple(Finding(what, where, fix, code=code) for what, fix, code in filter(None, found))


def risks(facts: BaseFacts, reference: str, where: str) -> tuple[Finding, ...]:
    """What mlship's own base does not have."""
    has = []
    if facts.shell:
        has.append(f"a shell ({facts.shell})")
    if facts.setuid:
        more = f" and {len(facts.setuid) - _SHOWN} more" if len(facts.setuid) > _SHOWN else ""
        programs = "program" if len(facts.setuid) == 1 else "programs"
        has.append(f"{len(facts.setuid)} {programs} that gain rights ({', '.join(facts.setuid[:_SHOWN])}{more})")
    unknown = Finding(
        f"{reference} has no status of dpkg: which packages it has is unknown, to scanners and to --sbom",
        where,
        severity="note",
        code="unknown-packages",
    )
    notes = () if facts.has_dpkg else (unknown,)
    if not has:
        return notes
    return (
        *notes,
        Finding(
            f"{reference} has {' and '.join(has)}; all of it is in the image",
            where,
            "take a base without them, or build.base: debian; containers drop all capabilities and cannot gain others",
            "warning",
            "risky-base",
        ),
    )


_Problem = tuple[str, str, str] | None


def _c_library(facts: BaseFacts, reference: str) -> _Problem:
    if facts.is_musl and not facts.glibc:
        return (
            f"{reference} has the C library musl, and wheels for Linux are built for glibc: none of them runs there",
            "take a tag of it with glibc (-slim or -bookworm instead of -alpine), or write build: {base: debian}",
            "musl-base",
        )
    if not facts.glibc:
        return (
            f"{reference} has no C library that mlship finds (libc.so.6)",
            "take an image with glibc and Python, or write build: {base: debian}",
            "no-glibc",
        )
    return None


def _python(facts: BaseFacts, reference: str, minor: str) -> _Problem:
    if minor in facts.pythons:
        return None
    if minor in facts.closed:
        return (
            f"{facts.closed[minor]} of {reference} is not for every user, and the server runs as 65532",
            "install Python where every user may read and run it (chmod a+rX), or take another image",
            "closed-python",
        )
    if not facts.pythons:
        return (
            f"{reference} has no Python that mlship finds; the model needs {minor}",
            f"take an image with Python {minor} in its PATH, in /usr/bin, /usr/local/bin or /opt/*/bin, "
            "or write build: {base: debian}",
            "no-python",
        )
    has = ", ".join(f"{minor} ({path})" for minor, path in sorted(facts.pythons.items()))
    one = max(facts.pythons, key=lambda text: int(text.partition(".")[2]))
    return (
        f"{reference} has Python {has}, and the model needs {minor}",
        f'take a tag of it with Python {minor}, or train with Python {one} and write python: "{one}", or write '
        "build: {base: debian}",
        "base-python",
    )


def _machine(facts: BaseFacts, reference: str, platform: str) -> _Problem:
    others = [machine for machine in facts.machines if machine != platform]
    if not others or not facts.pythons:
        return None
    return (
        f"the Python of {reference} is for {', '.join(others)}, not for {platform}",
        f"push the image for {platform}, or name another",
        "other-platform-base",
    )


def _room(facts: BaseFacts, reference: str) -> _Problem:
    if not facts.taken:
        return None
    return (
        f"{reference} has something at {ROOT} already, or a link instead of the folder /opt",
        "take the image below it: one that mlship built cannot be built upon",
        "taken-base",
    )
