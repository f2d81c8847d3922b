"""From the modules that a model imports to the packages that its image needs. Pure, but for a memo."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mlship.errors import Finding, need
from mlship.image.packages import unused
from mlship.image.packages.environment import Distribution, TrainingEnvironment, normalised
from mlship.image.packages.unused import UNUSED
from mlship.memo import FORGETFUL, Memo, sources_digest

# Import names whose package is called otherwise, for the hints in errors: the ones that models use most.
_PACKAGE_NAMES = {
    "sklearn": "scikit-learn", "cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "pyyaml", "skimage": "scikit-image",
    "bs4": "beautifulsoup4", "dateutil": "python-dateutil", "attr": "attrs", "Levenshtein": "levenshtein", "fitz": "pymupdf",
}  # fmt: skip

# In the standard library of some Python from 3.8 on, but no longer of this one.
_FORMER = frozenset(
    {
        "aifc", "asynchat", "asyncore", "audioop", "binhex", "cgi", "cgitb", "chunk", "crypt", "distutils", "formatter",
        "imghdr", "imp", "lib2to3", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "parser", "pipes", "smtpd",
        "sndhdr", "spwd", "sunau", "symbol", "telnetlib", "uu", "xdrlib", "_bootlocale", "compression",
    }
)  # fmt: skip
_STANDARD = sys.stdlib_module_names | frozenset(sys.builtin_module_names) | _FORMER | {"__main__", "__builtin__", "copy_reg"}

ALWAYS = "numpy"  # the server speaks it, whatever the model is


@dataclass(frozen=True)
class Closure:
    """What of an environment goes into an image.

    roots: the packages whose modules are imported; packages: the roots with all that they require, sorted by name.
    absent: names that are required here but not installed (on another system than this one they are not needed there).
    """

    roots: tuple[Distribution, ...]
    packages: tuple[Distribution, ...]
    absent: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def closure(
    environment: TrainingEnvironment,
    modules: Iterable[str],
    *,
    own: Iterable[str] = (),
    platform: str = "linux/amd64",
    memo: Memo = FORGETFUL,
) -> Closure:
    """The packages that the modules need on a platform, numpy always among them.

    own: import names of the user's own code, which travels in a layer of its own. A module that nothing provides is a
    finding, code `unknown-module`.
    """
    own_names = frozenset(own)
    wanted = [module for module in third_party(modules) if module not in own_names]
    owned = owners(environment)
    names = {name for module in wanted for name in owned.get(module, ())}
    if ALWAYS in environment.distributions:
        names.add(ALWAYS)
    marks = markers(environment.version, platform)
    reached, absent = _remembered_reach(environment, names, marks, memo)
    skipped = {name for name in reached if _is_own(environment.distributions[name], own_names)}
    return Closure(
        roots=_sorted(environment, names - skipped),
        packages=_sorted(environment, reached - skipped),
        absent=tuple(sorted(absent)),
        findings=tuple(_unknown(module, environment) for module in wanted if module not in owned),
    )


def owners(environment: TrainingEnvironment) -> dict[str, tuple[str, ...]]:
    """Import name -> normalised names of the packages that provide it; a namespace such as `google` has several."""
    found: dict[str, list[str]] = {}
    for name, distribution in environment.distributions.items():
        for module in distribution.modules:
            found.setdefault(module, []).append(name)
    return {module: tuple(sorted(names)) for module, names in found.items()}


def missing_modules(environment: TrainingEnvironment, modules: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the modules that nothing in the environment provides."""
    owned = owners(environment)
    return tuple(module for module in third_party(modules) if module not in owned)


def third_party(modules: Iterable[str]) -> tuple[str, ...]:
    """The top-level names that do not belong to the standard library, sorted."""
    return tuple(sorted({module.split(".")[0] for module in modules} - _STANDARD))


def package_name(module: str) -> str:
    """What one would ask an index for to get the module; a guess for hints, never used to resolve."""
    return _PACKAGE_NAMES.get(module, normalised(module))


def markers(python_version: str, platform: str) -> dict[str, str]:
    """The environment that markers are evaluated in (PEP 508) for CPython in an image of the platform."""
    minor = ".".join(python_version.split(".")[:2])
    full = python_version if python_version.count(".") == 2 else f"{minor}.0"
    machine = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}[platform]
    return {
        "implementation_name": "cpython", "implementation_version": full, "os_name": "posix", "platform_machine": machine,
        "platform_python_implementation": "CPython", "platform_release": "", "platform_system": "Linux",
        "platform_version": "", "python_full_version": full, "python_version": minor, "sys_platform": "linux",
    }  # fmt: skip


def version_findings(
    recorded: Mapping[str, str], found: Mapping[str, str], source: str, *, is_file: bool = False, reads_older: bool = False
) -> tuple[Finding, ...]:
    """Where the versions that the model recorded differ from those that the image will have.

    recorded: distribution name -> version, as the model wrote them. found: normalised name -> version, empty where it is not told.
    source: where the found ones come from, `.venv`; is_file: a file of requirements. Another major or minor version is an error (formats of
    models change there), another patch a warning; local tags such as `+cpu` do not count. reads_older: the library reads what every
    older version of itself wrote, so that only an older one than the model's differs.
    """
    findings = []
    for name, version in recorded.items():
        wish = f"{name}=={version}"
        remedy = f"require {wish} there" if is_file else f"pip install {wish} there"
        # xgboost-cpu is xgboost, onnxruntime-gpu is onnxruntime
        installed = next((found[one] for end in ("", "-cpu", "-gpu") if (one := f"{normalised(name)}{end}") in found), None)
        if installed == "" or (reads_older and installed and _is_older(version, installed)):
            continue
        findings.append(_version_finding(name, version, installed, source, remedy))
    return tuple(finding for finding in findings if finding)


def _is_older(version: str, than: str) -> bool:
    versions = need("packaging.version")
    try:
        return bool(versions.Version(version) <= versions.Version(than))
    except versions.InvalidVersion:
        return False


def _version_finding(name: str, recorded: str, found: str | None, source: str, remedy: str) -> Finding | None:
    if found is None:
        return Finding(
            f"the model was saved with {name} {recorded}; {source} has none",
            where=source,
            fix=f"{remedy}, or name the environment that trained the model with --python",
            code="missing-package",
        )
    if found == recorded:
        return None
    versions = need("packaging.version")
    try:
        before, now = versions.Version(recorded), versions.Version(found)
    except versions.InvalidVersion:
        before, now = None, None
    if before is None or now is None:
        return _differs(name, recorded, found, source, remedy, is_patch=False)
    if before.public == now.public:
        return None
    is_patch = (before.major, before.minor) == (now.major, now.minor)
    return _differs(name, recorded, found, source, remedy, is_patch=is_patch)


def _differs(name: str, recorded: str, found: str, source: str, remedy: str, *, is_patch: bool) -> Finding:
    return Finding(
        f"the model was saved with {name} {recorded}; {source} has {found}",
        where=source,
        fix=f"{remedy}, or save the model again with {found}",
        severity="warning" if is_patch else "error",
        code="version-differs",
    )


def _remembered_reach(
    environment: TrainingEnvironment, names: Collection[str], marks: Mapping[str, str], memo: Memo
) -> tuple[set[str], set[str]]:
    """`_reach`; reading hundreds of requirements, and importing what reads them, takes longer than a build with nothing to do."""
    requires = {name: distribution.requires for name, distribution in environment.distributions.items()}
    subject = f"{environment.prefix} {marks['platform_machine']} {' '.join(sorted(names))}"
    facts = [sources_digest(sys.modules[__name__], unused), need("packaging").__version__, dict(marks), sorted(names), requires]
    known = memo.recall("closure", subject, facts)
    if known is not None:
        return set(known[0]), set(known[1])
    reached, absent = _reach(environment.distributions, names, marks)
    memo.keep("closure", subject, facts, [sorted(reached), sorted(absent)])
    return reached, absent


def _reach(
    distributions: Mapping[str, Distribution], names: Iterable[str], marks: Mapping[str, str]
) -> tuple[set[str], set[str]]:
    """Installed and absent names that are reached over requirements; extras are followed where they are asked for."""
    seen: set[tuple[str, str]] = set()
    absent: set[str] = set()
    waiting = [(name, "") for name in names]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        if name not in distributions:
            absent.add(name)
            continue
        seen.add((name, extra))
        waiting.extend(_required(distributions[name], extra, marks))
    return {name for name, _ in seen}, absent


def _required(distribution: Distribution, extra: str, marks: Mapping[str, str]) -> list[tuple[str, str]]:
    parse = need("packaging.requirements")
    wanted: list[tuple[str, str]] = []
    for line in distribution.requires:
        try:
            requirement = parse.Requirement(line)
        except parse.InvalidRequirement:
            continue  # old metadata that pip itself passes over; what is really needed and absent is found at load
        if requirement.marker is not None and not requirement.marker.evaluate({**marks, "extra": extra}):
            continue
        name = normalised(requirement.name)
        if name in UNUSED.get(normalised(distribution.name), ()):
            continue
        wanted.append((name, ""))
        wanted.extend((name, asked) for asked in sorted(requirement.extras))
    return wanted


def _is_own(distribution: Distribution, own: frozenset[str]) -> bool:
    """The user's project itself, installed in place: its modules travel as code, what it requires as packages."""
    return bool(distribution.editable and distribution.modules and own & set(distribution.modules))


def _sorted(environment: TrainingEnvironment, names: Iterable[str]) -> tuple[Distribution, ...]:
    return tuple(environment.distributions[name] for name in sorted(names))


def _unknown(module: str, environment: TrainingEnvironment) -> Finding:
    return Finding(
        f"the module {module} is needed, and no package in {environment.source} provides it",
        where=environment.source,
        fix=f"if it is your own code, add it to model.code; else install it: pip install {package_name(module)}",
        code="unknown-module",
    )
