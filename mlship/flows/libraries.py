"""Shared libraries that the packages need and the base lacks: added where that is certain and small, else said with the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mlship.errors import Exit, Finding, FindingsError
from mlship.flows.base import base_layers, interpreter_of
from mlship.flows.gather import Gathered, own_modules
from mlship.flows.packages import packages_folder
from mlship.image.lock import Lock
from mlship.image.packages.abi import abi_findings
from mlship.image.packages.wheel_files import InstalledWheel, installed_wheels, owner
from mlship.image.plan import BasePlan
from mlship.image.smoke import Smoke, smoke
from mlship.image.system.apt import Archive
from mlship.image.system.base import base_plan, glibc, runs_here
from mlship.image.system.needs import Installed, Missing, installed, missing, missing_to
from mlship.image.system.providers import Provider, providers
from mlship.image.workplace import Workplace
from mlship.oci.driver import of_the_driver
from mlship.parallel import side_by_side
from mlship.units import size_text

# What is added without asking, all packages together: a larger image is the user's decision.
ADDED_UP_TO = 5 * 2**20
# Wheels that need a display's libraries -> the ones of the same project that do not
_HEADLESS = {
    "opencv-python": "opencv-python-headless",
    "opencv-contrib-python": "opencv-contrib-python-headless",
}


@dataclass(frozen=True)
class Lacking:
    """needed: the model's modules cannot be imported without these. passed_over: something asked for them, and did without.

    unused: parts of the wheels that importing the modules does not touch.
    """

    needed: tuple[Missing, ...] = ()
    passed_over: tuple[Missing, ...] = ()
    unused: tuple[Missing, ...] = ()


def with_libraries(
    workplace: Workplace, gathered: Gathered, lock: Lock, base: BasePlan, archive: Archive | None
) -> tuple[Lock, tuple[Finding, ...]]:
    """The lock, with packages for the libraries that the model needs; and what else was found. Installs the wheels.

    archive: None for a base that is an image, to which nothing is added.
    Raises FindingsError with exit 5 for wheels that the base cannot run, and for libraries that are needed and not added.
    """
    folder, layers = side_by_side(
        lambda: packages_folder(workplace, gathered, lock, base), lambda: base_layers(workplace, base, lambda: archive)
    )
    root = interpreter_of(base, layers).root(workplace)
    tree, wheels = installed(folder, root), installed_wheels(folder)
    _refuse(_abi(tree, wheels, base, lock.python))
    everything = missing(tree)
    if not everything:
        return lock, ()
    workplace.progress.step("packages", "looking for shared libraries that the base lacks")
    seen = smoke(workplace, root, base.python, tree, _modules(gathered)) if runs_here(base.platform) else None
    lacking = without_driver(judged(tree, everything, seen))
    if archive is None:
        return lock, _on_image(gathered, lacking, wheels, base, is_tried=seen is not None)
    known = providers(workplace, archive, base, {each.library for each in (*lacking.needed, *lacking.passed_over)})
    added = to_add(lacking.needed, known, must=seen is not None)
    if seen is not None and not added:
        _refuse(needed_findings(lacking.needed, wheels, known, base.suite, gathered.project.at("build.packages")))
    findings = (
        *added_findings(lacking.needed, wheels, added),
        *unneeded_findings(lacking, wheels, known),
        *(unjudged_findings(lacking.needed, wheels, known, added) if seen is None else ()),
    )
    return _extended(workplace, gathered, lock, base, archive, added), findings


def in_the_image(findings: tuple[Finding, ...], reference: str) -> tuple[Finding, ...]:
    """The findings of a base that mlship does not assemble: what is missing is added there. Pure."""
    return tuple(
        replace(
            finding,
            fix=f"{finding.fix.partition('find the package')[0]}install its package in {reference}, or write "
            "build: {base: debian}, which mlship completes",
        )
        for finding in findings
    )


def _on_image(
    gathered: Gathered, lacking: Lacking, wheels: tuple[InstalledWheel, ...], base: BasePlan, *, is_tried: bool
) -> tuple[Finding, ...]:
    """Raises FindingsError with exit 5 where the model needs a library."""
    if is_tried:
        needed = needed_findings(lacking.needed, wheels, {}, base.suite, gathered.project.at("build.base"))
        _refuse(in_the_image(needed, base.suite))
    unjudged = () if is_tried else unjudged_findings(lacking.needed, wheels, {}, ())
    notes = unneeded_findings(lacking, wheels, {})
    return in_the_image((*unjudged, *(note for note in notes if note.severity == "warning")), base.suite)


def judged(tree: Installed, everything: tuple[Missing, ...], seen: Smoke | None) -> Lacking:
    """Pure. seen: None where nothing could be run, for another platform: then everything may be needed."""
    if seen is None:
        return Lacking(needed=everything)
    asked = [name for names in seen.tried.values() for name in names]
    asked_in_vain = [name for module in seen.failed for name in seen.tried[module]]
    needed = {*missing_to(tree, asked_in_vain), *_by_name(tree, seen)}
    passed_over = set(missing_to(tree, asked)) - needed
    return Lacking(tuple(sorted(needed)), tuple(sorted(passed_over)), tuple(sorted(set(everything) - needed - passed_over)))


def without_driver(lacking: Lacking) -> Lacking:
    """Pure. Without what comes with the driver of a GPU: a container gets it, and where there is no GPU nothing asks for it."""

    def others(found: tuple[Missing, ...]) -> tuple[Missing, ...]:
        return tuple(one for one in found if not of_the_driver(one.library))

    return Lacking(others(lacking.needed), others(lacking.passed_over), others(lacking.unused))


def to_add(needed: tuple[Missing, ...], known: Mapping[str, Provider], *, must: bool) -> tuple[Provider, ...]:
    """Pure. The packages that are added without asking: all that are needed, or none. must: a library that no package brings
    stands in the way of all."""
    found = {known[each.library].package: known[each.library] for each in needed if each.library in known}
    whole = not must or all(each.library in known for each in needed)
    small = sum(provider.size for provider in found.values()) <= ADDED_UP_TO
    return tuple(found[name] for name in sorted(found)) if whole and small else ()


def needed_findings(
    needed: tuple[Missing, ...], wheels: tuple[InstalledWheel, ...], known: Mapping[str, Provider], suite: str, where: str
) -> tuple[Finding, ...]:
    """Pure. One error a wheel."""
    return tuple(
        Finding(
            f"{title} needs {_libraries(lacks)} ({lacks[0].file}), which the base {suite} does not have",
            where,
            _remedy(title, lacks, known),
            code="missing-library",
        )
        for title, lacks in _by_wheel(needed, wheels).items()
    )


def added_findings(
    needed: tuple[Missing, ...], wheels: tuple[InstalledWheel, ...], added: tuple[Provider, ...]
) -> tuple[Finding, ...]:
    """Pure."""
    if not added:
        return ()
    names = ", ".join(provider.package for provider in added)
    size = size_text(sum(provider.size for provider in added))
    whose = ", ".join(_by_wheel(needed, wheels))
    return (
        Finding(
            f"{names} ({size}) is added to the image: {whose} needs {_libraries(needed)}",
            "mlship.lock",
            f"nothing to do; to say so yourself, write build: {{packages: [{names}]}}",
            "note",
            "library-added",
        ),
    )


def unneeded_findings(
    lacking: Lacking, wheels: tuple[InstalledWheel, ...], known: Mapping[str, Provider]
) -> tuple[Finding, ...]:
    """Pure. Warnings for what went on without a library; one note for all that nothing loads."""
    warnings = tuple(
        Finding(
            f"{title} looks for {_libraries(lacks)} ({lacks[0].file}) and goes on without",
            fix=_remedy(title, lacks, known),
            severity="warning",
            code="optional-library",
        )
        for title, lacks in _by_wheel(lacking.passed_over, wheels).items()
    )
    if not lacking.unused:
        return warnings
    parts = ", ".join(_by_wheel(lacking.unused, wheels))
    note = Finding(
        f"parts of {parts} need {_libraries(lacking.unused)}, which the image does not have; the model's modules load none "
        "of these parts when they are imported",
        fix="add their packages to build.packages only if predictions use them",
        severity="note",
        code="unused-library",
    )
    return (*warnings, note)


def unjudged_findings(
    needed: tuple[Missing, ...],
    wheels: tuple[InstalledWheel, ...],
    known: Mapping[str, Provider],
    added: tuple[Provider, ...],
) -> tuple[Finding, ...]:
    """Pure. What was not added for a platform whose programs do not run here."""
    left = tuple(each for each in needed if known.get(each.library) not in added)
    return tuple(
        Finding(
            f"{title} may need {_libraries(lacks)} ({lacks[0].file}); its imports cannot be tried on this machine",
            fix=_remedy(title, lacks, known),
            severity="warning",
            code="perhaps-missing-library",
        )
        for title, lacks in _by_wheel(left, wheels).items()
    )


def _modules(gathered: Gathered) -> list[str]:
    return sorted({module for spec in gathered.specs for module in spec.modules} - set(own_modules(gathered.specs)))


def _by_name(tree: Installed, seen: Smoke) -> set[Missing]:
    """Libraries that modules asked for by name, not by path, and that neither the base nor a wheel has."""
    own = {known.soname for known in tree.files.values()}
    return {
        Missing(name, f"import {module}")
        for module in seen.failed
        for name in seen.tried[module]
        if "/" not in name and ".so" in name and name not in tree.base_names and name not in own
    }


def _abi(tree: Installed, wheels: tuple[InstalledWheel, ...], base: BasePlan, minor: str) -> tuple[Finding, ...]:
    return abi_findings(wheels, tree.files, python_minor=minor, platform=base.platform, glibc=glibc(base), suite=base.suite)


def _refuse(findings: tuple[Finding, ...]) -> None:
    if findings:
        count = "a package does" if len(findings) == 1 else f"{len(findings)} packages do"
        raise FindingsError(f"{count} not run in the image", findings, exit=Exit.BUILD_FAILED)


def _remedy(title: str, lacks: tuple[Missing, ...], known: Mapping[str, Provider]) -> str:
    found = {known[each.library].package: known[each.library] for each in lacks if each.library in known}
    nowhere = [each.library for each in lacks if each.library not in known]
    name = title.partition(" ")[0]
    other = f"take {_HEADLESS[name]} instead, which needs no display; or " if name in _HEADLESS else ""
    if not found:
        return f"{other}find the package of {', '.join(nowhere)} and name it in build.packages"
    size = size_text(sum(provider.size for provider in found.values()))
    rest = f", and find the package of {', '.join(nowhere)}" if nowhere else ""
    return f"{other}write build: {{packages: [{', '.join(sorted(found))}]}} ({size}){rest}"


def _by_wheel(lacks: tuple[Missing, ...], wheels: tuple[InstalledWheel, ...]) -> dict[str, tuple[Missing, ...]]:
    found: dict[str, tuple[Missing, ...]] = {}
    for each in lacks:
        title = owner(wheels, each.file)
        found[title] = (*found.get(title, ()), each)
    return found


def _libraries(lacks: tuple[Missing, ...]) -> str:
    names = list(dict.fromkeys(each.library for each in lacks))
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _extended(
    workplace: Workplace, gathered: Gathered, lock: Lock, base: BasePlan, archive: Archive, added: tuple[Provider, ...]
) -> Lock:
    if not added:
        return lock
    names = (*gathered.project.build.packages, *(provider.package for provider in added))
    return replace(lock, system=base_plan(workplace, archive, lock.python, platform=base.platform, packages=names).packages)
