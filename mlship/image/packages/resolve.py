"""From requirements to exact wheels with hashes, for one platform. uv decides; nothing is installed here."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from mlship.disk import make_folder, scratch_folder
from mlship.errors import Exit, Finding, FindingsError, MlshipError
from mlship.home import Home
from mlship.image.packages.closure import ALWAYS
from mlship.image.packages.cpu_builds import for_cpus, is_for_cpus
from mlship.image.packages.cpu_builds import told as told_of_cpus
from mlship.image.packages.environment import normalised
from mlship.image.packages.gpu_builds import for_cards, is_for_cards
from mlship.image.packages.gpu_builds import told as told_of_cards
from mlship.image.packages.indexes import Indexes
from mlship.image.packages.interpreter import folder_modules
from mlship.image.packages.requirements_files import Requirements
from mlship.image.packages.source_wheels import Workshop, wheel_from_source
from mlship.image.packages.unreachable import refuse_unreachable
from mlship.image.packages.uv_program import uv_command, uv_platform, wheel_tags
from mlship.image.packages.wheel_choice import Resolved, fits, resolved_packages
from mlship.image.packages.wheels import server_pins
from mlship.image.plan import Wheel
from mlship.progress import Progress
from mlship.runner import Command, Result, Runner

_NO_SOURCES = ("--only-binary", ":all:")


@dataclass(frozen=True)
class Resolution:
    """What goes into an image, sorted by name, and what the user should know about it. size: bytes of the wheels, as far as told."""

    wheels: tuple[Wheel, ...]
    findings: tuple[Finding, ...] = ()
    size: int = 0


@dataclass(frozen=True)
class _Question:
    """One run of uv, as files in a temporary folder."""

    requirements: Requirements
    platform: str
    folder: Path
    workshop: Workshop
    glibc: str

    def command(self, *extra: str, inputs: Iterable[str]) -> Command:
        arguments = ("pip", "compile", *inputs, "--format", "pylock.toml", "--no-header", "--no-annotate", "--quiet",
                     "--python-version", self.workshop.python_minor,
                     "--python-platform", uv_platform(self.platform, self.glibc), *extra)  # fmt: skip
        # where nothing may be built any Python will do: to look for one, uv starts each that is on the PATH
        any_python = Path(sys.executable) if _NO_SOURCES[0] in extra else None
        used = self.workshop.python or any_python
        python = ("--python", str(used)) if used else ()
        return uv_command((*arguments, *python), self.workshop.indexes, self.workshop.root)

    def ask(self, *extra: str, inputs: Iterable[str]) -> Result:
        """What uv says. Raises MlshipError, exit 13, where an index cannot be reached: that nobody has a package is another thing."""
        result = self.workshop.runner.run(self.command(*extra, inputs=inputs))
        refuse_unreachable(result)
        return result

    def file(self, name: str, lines: Iterable[str]) -> str:
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines))
        path.chmod(0o600)
        return str(path)


def lock(
    requirements: Requirements,
    *,
    python_minor: str,
    platform: str,
    glibc: str,
    indexes: Indexes,
    runner: Runner,
    home: Home,
    progress: Progress,
    python: Path | None = None,
    has_gpu: bool = False,
) -> Resolution:
    """The wheels of a platform for CPython `python_minor`, each with the hash of the one file that will be installed.

    platform: `linux/amd64`. glibc: of the base, `2.36`. python: the training environment's interpreter, in which packages
    without a wheel are built. has_gpu: builds with CUDA are taken, else those for CPUs. Asks the indexes; raises MlshipError
    with exit 5 where they have no answer, naming the packages,
    and with exit 13 where one of them cannot be reached.
    """
    errors = [finding for finding in requirements.findings if finding.severity == "error"]
    if errors:
        raise FindingsError(f"{requirements.source} has {_problems(len(errors))}", errors)
    workshop = Workshop(requirements.root, python, python_minor, indexes, runner, home, progress)
    make_folder(home.cache)
    with scratch_folder() as folder:
        question = _Question(requirements, platform, folder, workshop, glibc)
        made = {normalised(p.name): wheel_from_source(p.name, p.version, p.origin, workshop) for p in requirements.unindexed}
        progress.step("packages", f"resolving for Python {python_minor} on {platform}")
        resolved, findings = _resolve(question, made)
        resolved, others = (_for_cards if has_gpu else _for_cpus)(question, made, resolved)
        _refuse_ambiguous(question, made, resolved)
        tags = wheel_tags(python_minor, platform, glibc)
        wheels = [
            made.get(package.name) or _wheel(package, question) for package in resolved if not _is_own(package, requirements)
        ]
        problems = [finding for wheel in wheels if (finding := _misfit(wheel, tags, platform))]
    if problems:
        raise FindingsError(f"{_problems(len(problems))} with packages for {platform}", problems, exit=Exit.BUILD_FAILED)
    found = tuple(sorted(wheels, key=lambda wheel: wheel.name))
    heavy = () if has_gpu else _gpu_findings(found, requirements.source)
    size = sum(package.size for package in resolved)
    told = dict.fromkeys((*requirements.findings, *findings, *others, *heavy))  # two questions often have the same notes
    return Resolution(found, tuple(told), size)


def lock_server(
    *,
    python_minor: str,
    platform: str,
    glibc: str,
    indexes: Indexes,
    runner: Runner,
    home: Home,
    progress: Progress,
    root: Path,
    keys: Collection[str] = (),
) -> tuple[Wheel, ...]:
    """The wheels of the server's own packages, as `lock` gives them: the versions are mlship's, the hashes of the index.

    root: the project's folder. keys: as `server_keys` gives them. Raises as `lock` does.
    """
    wanted = Requirements("mlship's server", root, lines=server_pins(python_minor, keys=keys), is_mlships=True)
    found = lock(
        wanted,
        python_minor=python_minor,
        platform=platform,
        glibc=glibc,
        indexes=indexes,
        runner=runner,
        home=home,
        progress=progress,
    )
    return found.wheels


def _resolve(question: _Question, made: Mapping[str, Wheel]) -> tuple[tuple[Resolved, ...], tuple[Finding, ...]]:
    """Wheels only at first; then sources too; then without the local tags that no index here has."""
    wanted = question.requirements
    inputs = _inputs(question, wanted, made)
    result = question.ask(*_NO_SOURCES, inputs=inputs)
    if not result.ok:
        result = question.ask(inputs=inputs)
    findings: tuple[Finding, ...] = ()
    if not result.ok and _may_go_on(question):
        later, findings = _of_later_indexes(question, made)
        result = later or result
    if not result.ok:
        absent = _absent_pins(question, made)
        plain, findings = _without_local_tags(wanted, absent)
        if not findings:
            raise _unresolved(question, result, absent)
        result = question.ask(inputs=_inputs(question, plain, made))
        if not result.ok:
            raise _unresolved(question, result, _absent_pins(replace(question, requirements=plain), made))
    tags = wheel_tags(question.workshop.python_minor, question.platform, question.glibc)
    return resolved_packages(result.text, tags, question.workshop.root), findings


def _for_cpus(
    question: _Question, made: Mapping[str, Wheel], resolved: tuple[Resolved, ...]
) -> tuple[tuple[Resolved, ...], tuple[Finding, ...]]:
    """The resolution with builds for CPUs where the indexes have them in the same version, and what to tell of it."""
    wanted = for_cpus(question.requirements, resolved)
    if wanted is None:
        return resolved, ()
    try:
        leaner, _ = _resolve(replace(question, requirements=wanted), made)
    except MlshipError as error:
        if error.exit is not Exit.BUILD_FAILED:
            raise
        return resolved, ()
    return (leaner, told_of_cpus(resolved, question.requirements)) if is_for_cpus(leaner) else (resolved, ())


def _for_cards(
    question: _Question, made: Mapping[str, Wheel], resolved: tuple[Resolved, ...]
) -> tuple[tuple[Resolved, ...], tuple[Finding, ...]]:
    """The resolution with builds for cards. Raises MlshipError with exit 5 where the indexes have none: a model that is to have a
    card is never served without."""
    wanted = for_cards(question.requirements, resolved)
    if wanted is None:
        return resolved, told_of_cards(resolved, resolved, question.requirements)
    try:
        heavier, findings = _resolve(replace(question, requirements=wanted), made)
    except MlshipError as error:
        if error.exit is not Exit.BUILD_FAILED:
            raise
        raise _without_cards(question, wanted, error.details or (str(error),)) from None
    if not is_for_cards(heavier):
        raise _without_cards(question, wanted, ())
    return heavier, (*findings, *told_of_cards(resolved, heavier, question.requirements))


def _without_cards(question: _Question, wanted: Requirements, details: tuple[str, ...]) -> MlshipError:
    asked = [line for line in wanted.lines if line not in question.requirements.lines]
    return MlshipError(
        f"resources.gpu needs builds with CUDA, and no index has {', '.join(asked)} for Python {question.workshop.python_minor} "
        f"on {question.platform}",
        where=question.requirements.source,
        fix="mlship doctor shows the indexes; add the one that has them, or leave resources.gpu out",
        exit=Exit.BUILD_FAILED,
        details=details,
        code="no-gpu-build",
    )


def _may_go_on(question: _Question) -> bool:
    """Whether all is asked for in exact versions, those that the model was trained with, and there is a later index to ask."""
    indexes, wanted = question.workshop.indexes, question.requirements
    pinned = {_name(line) for line in (*wanted.lines, *wanted.overrides, *wanted.constraints) if "==" in line}
    exact = wanted.exported or all(_name(line) in {*pinned, ALWAYS} for line in wanted.lines)
    return bool(indexes.extra and not indexes.strategy and not wanted.files and exact)


def _of_later_indexes(question: _Question, made: Mapping[str, Wheel]) -> tuple[Result | None, tuple[Finding, ...]]:
    """Versions that the first index with the name lacks, as where an extra index has builds of its own of a few releases."""
    workshop = replace(question.workshop, indexes=question.workshop.indexes.exhausted())
    later = replace(question, workshop=workshop)
    inputs = _inputs(later, question.requirements, made)
    result = later.ask(*_NO_SOURCES, inputs=inputs)
    if not result.ok:
        result = later.ask(inputs=inputs)
    if not result.ok:
        return None, ()
    pins = () if question.requirements.is_mlships else _absent_pins(question, made)
    return result, _told_of_later_index(pins, question.requirements.source)


def _told_of_later_index(pins: tuple[str, ...], where: str) -> tuple[Finding, ...]:
    """One note for all of them: they came the same way."""
    if not pins:
        return ()
    are, versions = ("is", "this version") if len(pins) == 1 else ("are", "these versions")
    note = Finding(
        f"{', '.join(pins)} {are} taken from a later index: an earlier one knows the name, and not {versions} for the platform",
        where=where,
        fix="nothing to do, if that is where it was installed from; mlship doctor shows the indexes",
        severity="note",
        code="later-index",
    )
    return (note,)


def _refuse_ambiguous(question: _Question, made: Mapping[str, Wheel], resolved: tuple[Resolved, ...]) -> None:
    """A name that index-url and an extra index give differently: one of them may be a stranger's (dependency confusion)."""
    other = question.workshop.indexes.other_order()
    if other is None:
        return
    try:
        again, _ = _resolve(replace(question, workshop=replace(question.workshop, indexes=other)), made)
    except MlshipError:
        return  # in that order there is no answer, so nothing else can have been meant
    found = {package.name: package for package in again}
    findings = [
        Finding(
            f"{one.name} is {_said(one, found[one.name])} on one index, and {_said(found[one.name], one)} on another",
            where=question.requirements.source,
            fix="use one index that proxies the others; or say that extra indexes go before index-url: UV_INDEX_STRATEGY=first-index",
            code="ambiguous-index",
        )
        for one in resolved
        if one.name in found and _file(one) != _file(found[one.name])
    ]
    if findings:
        raise FindingsError(f"{_problems(len(findings))} with indexes", findings, exit=Exit.BUILD_FAILED)


def _file(package: Resolved) -> tuple[str, str, str]:
    return package.version, package.sha256, package.origin


def _said(package: Resolved, other: Resolved) -> str:
    """`1.0`, or with the beginning of the hash where the versions are the same."""
    return package.version if package.version != other.version else f"{package.version} ({package.sha256[:12] or 'a source'})"


def _inputs(question: _Question, wanted: Requirements, made: Mapping[str, Wheel]) -> list[str]:
    files = [str(path) for path in wanted.files]
    if wanted.exported:
        files.append(_export(question, wanted.exported))
    local = {name: f"{name} @ {wheel.built.as_uri()}" for name, wheel in made.items() if wheel.built}
    lines = [local.get(_name(line), line) for line in wanted.lines]
    overrides = [local.get(_name(line), line) for line in wanted.overrides]
    if not wanted.overrides:
        overrides = list(local.values())
    inputs = [*files, question.file("requirements.in", lines)]
    inputs += ["--overrides", question.file("overrides.txt", overrides)] if overrides else []
    inputs += ["--constraints", question.file("constraints.txt", wanted.constraints)] if wanted.constraints else []
    return inputs


def _export(question: _Question, uv_lock: Path) -> str:
    """What uv.lock says, as requirements, without the project itself and its development groups."""
    path = question.folder / "exported.txt"
    arguments = ("export", "--frozen", "--no-default-groups", "--no-emit-project", "--no-header", "--no-annotate", "--quiet",
                 "--project", str(uv_lock.parent), "--format", "requirements.txt", "--output-file", str(path))  # fmt: skip
    result = question.workshop.runner.run(uv_command(arguments, question.workshop.indexes, uv_lock.parent))
    if result.ok:
        return str(path)
    raise MlshipError(
        "uv.lock cannot be read by uv",
        where=str(uv_lock),
        fix="uv lock, then mlship build",
        exit=Exit.BUILD_FAILED,
        details=result.last_lines(),
        code="bad-uv-lock",
    )


def _wheel(package: Resolved, question: _Question) -> Wheel:
    if package.sha256 and not package.origin:
        return Wheel(package.name, package.version, package.sha256)
    if package.origin:
        return wheel_from_source(package.name, package.version, package.origin, question.workshop)
    python, platform = question.workshop.python_minor, question.platform
    raise MlshipError(
        f"{package.name} {package.version} has no wheel for Python {python} on {platform}, and no source",
        where=question.requirements.source,
        fix=f"take a version of {package.name} that has one, or another build.python",
        exit=Exit.BUILD_FAILED,
        code="no-wheel",
    )


def _is_own(package: Resolved, requirements: Requirements) -> bool:
    """The user's own project, asked for by its folder: it travels as model.code."""
    if not package.origin.startswith("file:") or not Path(package.origin[5:]).is_dir():
        return False
    return bool(set(folder_modules(Path(package.origin[5:]))) & set(requirements.own))


def _misfit(wheel: Wheel, tags: Mapping[str, int], platform: str) -> Finding | None:
    """A wheel that was compiled here runs only on machines like this one."""
    if wheel.built is None or fits(wheel.built.name, tags):
        return None
    return Finding(
        f"{wheel.name} {wheel.version} was built here as {wheel.built.name}, which does not run on {platform}",
        where=wheel.origin,
        fix=f"publish a wheel of it for {platform}, or build on such a machine",
        code="no-wheel",
    )


def _gpu_findings(wheels: tuple[Wheel, ...], source: str) -> tuple[Finding, ...]:
    """Builds for graphics cards bring gigabytes of libraries that nothing uses where there is no card."""
    names = [wheel.name for wheel in wheels if wheel.name.startswith("nvidia-")]
    if not names:
        return ()
    what = f"{names[0]} is" if len(names) == 1 else f"{names[0]} and {len(names) - 1} more packages are"
    return (
        Finding(
            f"{what} needed by a build for graphics cards, and make the image much larger",
            where=source,
            fix="to serve on CPUs install the CPU build, such as torch from its CPU index",
            severity="warning",
            code="gpu-packages",
        ),
    )


def _absent_pins(question: _Question, made: Mapping[str, Wheel]) -> tuple[str, ...]:
    """Those of the exact pins that no index here can give for the platform, each asked alone."""
    wanted = question.requirements
    pins = sorted({line for line in (*wanted.lines, *wanted.overrides) if "==" in line and _name(line) not in made})

    def is_absent(numbered: tuple[int, str]) -> bool:
        number, pin = numbered
        path = question.file(f"pin-{number}.in", [pin])
        return not question.ask("--no-deps", inputs=[path]).ok

    with ThreadPoolExecutor(max_workers=8) as threads:
        answers = threads.map(is_absent, enumerate(pins))
        return tuple(pin for pin, absent in zip(pins, answers, strict=True) if absent)


def _without_local_tags(wanted: Requirements, absent: tuple[str, ...]) -> tuple[Requirements, tuple[Finding, ...]]:
    """`torch==2.13.0+cu128` came from an index that is not configured here: the same version without the tag is tried."""
    tagged = {pin for pin in absent if "+" in pin}
    if not tagged or tagged != set(absent):
        return wanted, ()

    def plain(lines: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(line.partition("+")[0] if line in tagged else line for line in lines)

    findings = tuple(
        Finding(
            f"{pin} is on no index that is configured here; {pin.partition('+')[0]} is taken",
            where=wanted.source,
            fix="add the index that it came from to pip's or uv's settings to get exactly that build",
            severity="warning",
            code="other-build",
        )
        for pin in sorted(tagged)
    )
    return replace(wanted, lines=plain(wanted.lines), overrides=plain(wanted.overrides)), findings


def _unresolved(question: _Question, result: Result, absent: tuple[str, ...]) -> MlshipError:
    minor, platform = question.workshop.python_minor, question.platform
    if absent:
        findings = [
            Finding(
                f"{pin} is on no index that is configured here for Python {minor} on {platform}",
                where=question.requirements.source,
                fix="mlship doctor shows the indexes; add the one that has it, or install another version and train again"
                + _trust(question),
                code="not-on-index",
            )
            for pin in absent
        ]
        return FindingsError(f"{_problems(len(absent))} with packages", findings, exit=Exit.BUILD_FAILED)
    return MlshipError(
        f"the requirements of {question.requirements.source} have no solution for Python {minor} on {platform}",
        where=question.requirements.source,
        fix="the last lines of uv say which packages disagree; mlship doctor shows the indexes" + _trust(question),
        exit=Exit.BUILD_FAILED,
        details=result.last_lines(12),
        code="unresolved",
    )


def _trust(question: _Question) -> str:
    """The way out where an index has a part of the versions only."""
    indexes = question.workshop.indexes
    if not indexes.extra or indexes.strategy:
        return ""
    return (
        "; the first index that knows a name is the only one for it: where you trust all of them, "
        "set UV_INDEX_STRATEGY=unsafe-best-match"
    )


def _name(line: str) -> str:
    return normalised(line.split("==")[0].split("[")[0].split("@")[0].strip())


def _problems(count: int) -> str:
    return "1 problem" if count == 1 else f"{count} problems"
