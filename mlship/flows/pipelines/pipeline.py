"""What a pipeline does, whatever system runs it: the stages that a release goes through, and what each needs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mlship.config.project import Project
from mlship.config.secrets import WITH_SECRETS, source_of
from mlship.errors import MlshipError

SSH = ("MLSHIP_SSH_KEY", "MLSHIP_SSH_KNOWN_HOSTS")
AUDIENCES = {
    "aws": "sts.amazonaws.com",
    "gcp": "mlship",
    "azure": "api://AzureADTokenExchange",
}  # whom an identity token is for
ACTIONS = ("rollback", "promote", "abort")
HOSTED = "ubuntu-24.04"
CLOUDS = ("aws", "gcp", "azure")
BARE = "live"  # what CI systems call the stage of a project without environments
# What a path or an address may hold in a pipeline: nothing that a shell, YAML, Groovy or a system's own expressions read.
_HARMLESS = re.compile(r"[A-Za-z0-9._/@:+-]*", re.ASCII)


@dataclass(frozen=True)
class Source:
    """A project as its file says it. folder: from the top of the repository, empty for the top. requirements: from there."""

    folder: str
    projects: tuple[Project, ...]
    requirements: str = ""
    is_locked: bool = True


@dataclass(frozen=True)
class Stage:
    """One place where the image is deployed.

    environment: of mlship.yaml, empty where it has none. title: what CI systems call it. after: the stage before, if any.
    source: the stage before, where a job of this one reaches it, too: what is live there goes on. cloud: whose keyless login is
    needed, empty for none. over_ssh: engines of targets.docker.hosts. on_own_runner: the target is
    the machine that the job runs on. variables: name -> the system's secret that it is taken from.
    """

    project: str
    environment: str
    title: str
    target: str
    after: tuple[str, ...]
    source: str
    cloud: str
    region: str
    over_ssh: bool
    on_own_runner: bool
    needs_approval: bool
    variables: tuple[str, ...]

    @property
    def job(self) -> str:
        return f"deploy-{self.title}"

    @property
    def hand_job(self) -> str:
        return f"by-hand-{self.title}"

    @property
    def deploy_title(self) -> str:
        return f"Deploy to {self.title}"

    @property
    def hand_title(self) -> str:
        return f"By hand on {self.title}"

    @property
    def plan_job(self) -> str:
        return f"plan-{self.title}"

    @property
    def plan_title(self) -> str:
        return f"Plan for {self.title}"

    @property
    def plan_file(self) -> str:
        """What somebody approves; empty where nobody is asked."""
        return f"plan-{self.title}.json" if self.needs_approval else ""

    @property
    def plan_path(self) -> str:
        """From the top of the workspace."""
        return f".mlship-ci/out/{self.plan_file}"

    @property
    def plan_artifact(self) -> str:
        return f"mlship-plan-{self.title}"

    @property
    def plan_environment(self) -> str:
        """Where the plan's secrets lie: those of the stage itself are given only once somebody has approved."""
        return f"{self.title}-plan" if self.secrets or self.cloud else ""

    @property
    def question(self) -> str:
        return f"Deploy to {self.title}?"

    @property
    def lock(self) -> str:
        """One job at a time deploys, or takes back, in one place."""
        return f"mlship-{self.project}-{self.title}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Jobs that come first."""
        return ("build", self.plan_job) if self.needs_approval else ("build",)

    @property
    def plan_needs(self) -> tuple[str, ...]:
        return ("build", *(f"deploy-{title}" for title in self.after))

    @property
    def audience(self) -> str:
        return AUDIENCES[self.cloud]

    @property
    def logs_in(self) -> bool:
        return bool(self.cloud)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What steps that talk to the target are handed as variables."""
        return (*self.variables, *self.files)

    @property
    def files(self) -> tuple[str, ...]:
        """Secrets that CI systems keep as files."""
        return SSH if self.over_ssh else ()

    @property
    def texts(self) -> tuple[str, ...]:
        return (
            *self.variables,
            *(("MLSHIP_ID_TOKEN",) if self.cloud else ()),
            *(("GCP_CREDENTIALS",) if self.cloud == "gcp" else ()),
        )

    def hand(self, action: str) -> str:
        return f"{action}-{self.title}"

    # -- words of single systems: expressions, of names that mlship.yaml's schema has checked ----------------------------------

    @property
    def runner(self) -> str | list[str]:
        """GitHub: where the job runs."""
        return ["self-hosted", "linux"] if self.on_own_runner else HOSTED

    @property
    def github_asked(self) -> str:
        on_main = "github.event_name == 'workflow_dispatch' && github.ref == 'refs/heads/main'"
        return f"${{{{ {on_main} && inputs.stage == '{self.title}' }}}}"

    def github_secret(self, name: str) -> str:
        return f"${{{{ secrets.{name} }}}}"

    @property
    def azure_pool(self) -> Mapping[str, str]:
        return {"name": "Default"} if self.on_own_runner else {"vmImage": HOSTED}

    @property
    def azure_job(self) -> str:
        return _underscored(self.job)

    @property
    def azure_needs(self) -> list[str]:
        return [_underscored(name) for name in self.needs]

    @property
    def azure_plan(self) -> str:
        return _underscored(self.plan_job)

    @property
    def azure_plan_needs(self) -> list[str]:
        return [_underscored(name) for name in self.plan_needs]

    @property
    def azure_plan_path(self) -> str:
        return f"$(MLSHIP_OUT)/{self.plan_file}"

    @property
    def azure_plan_file(self) -> str:
        """From MLSHIP_OUT: each artifact has a folder of its own."""
        return f"../{self.plan_artifact}/{self.plan_file}"

    @property
    def azure_hand(self) -> str:
        return _underscored(self.hand_job)

    @property
    def azure_asked(self) -> str:
        on_main = "eq(variables['Build.SourceBranch'], 'refs/heads/main')"
        by_hand = f"ne('${{{{ parameters.action }}}}', 'release'), eq('${{{{ parameters.stage }}}}', '{self.title}')"
        return f"and({on_main}, {by_hand})"

    def azure_secret(self, name: str) -> str:
        return f"$({name})"

    @property
    def jenkins_label(self) -> str:
        return "mlship" if self.on_own_runner else "linux"


@dataclass(frozen=True)
class Pipeline:
    """folder: from the top of the repository. requirements: from there. python: minor version that trained the model.

    is_locked: mlship.lock is there. package: what pip installs mlship from. has_test: this mlship has the command test.
    has_bench: there are rows to ask with.
    """

    project: str
    package: str
    folder: str
    python: str
    requirements: str
    is_locked: bool
    stages: tuple[Stage, ...]
    has_test: bool
    has_bench: bool

    @property
    def first(self) -> Stage:
        """Where a change arrives first: the plan and the cost on a pull request are of it."""
        return self.stages[0]

    @property
    def actions(self) -> tuple[str, ...]:
        return ACTIONS

    @property
    def image(self) -> str:
        """GitLab: the container that jobs run in."""
        return f"python:{self.python}-bookworm"

    @property
    def gitlab_stages(self) -> list[str]:
        of_stages = [
            name for stage in self.stages for name in ((stage.plan_job, stage.job) if stage.needs_approval else (stage.job,))
        ]
        return ["build", "report", *of_stages, "by-hand"]

    @property
    def lock_path(self) -> str:
        return "mlship.lock" if self.folder == "." else f"{self.folder}/mlship.lock"

    @property
    def azure_key(self) -> str:
        return f'mlship | "$(Agent.OS)" | {self.lock_path}'

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(stage.title for stage in self.stages)

    @property
    def has_environments(self) -> bool:
        return bool(self.first.environment)


def _underscored(name: str) -> str:
    return name.replace("-", "_")


def in_order(environments: Sequence[str]) -> tuple[str, ...]:
    """As they stand in the file, production last: `prod` before `staging` in a file is no order of deployment."""
    return tuple(sorted(environments, key=lambda name: name.startswith("prod")))


def pipeline(source: Source, version: str, commands: Sequence[str]) -> Pipeline:
    """Raises MlshipError when a path cannot be written into a pipeline safely."""
    project = source.projects[0]
    _refuse_odd(source)
    stages: list[Stage] = []
    for one in source.projects:
        stages.append(_stage(one, stages[-1] if stages else None))
    return Pipeline(
        project=project.name,
        package=_package(stages, version),
        folder=source.folder or ".",
        python=project.build.python or "3.11",
        requirements=source.requirements,
        is_locked=source.is_locked,
        stages=tuple(stages),
        has_test="test" in commands,
        has_bench=bool(project.models[0][1].sample),
    )


def _package(stages: Sequence[Stage], version: str) -> str:
    """What pip installs: with what talks to the clouds that are used."""
    extras = ",".join(sorted({stage.cloud for stage in stages if stage.cloud}))
    return f"mlship[{extras}]=={version}" if extras else f"mlship=={version}"


def _refuse_odd(source: Source) -> None:
    regions = [(f"targets.{project.target}.region", _region(project)) for project in source.projects]
    for what, text in (("the folder", source.folder), ("build.requirements", source.requirements), *regions):
        if not _HARMLESS.fullmatch(text) or text.startswith("-"):
            raise MlshipError(
                f"{what} {text!r} holds characters that a pipeline would read as its own",
                source.projects[0].file.name,
                "rename it: letters, digits and . _ / @ : + - are safe",
                code="odd-path",
            )


def _stage(project: Project, before: Stage | None) -> Stage:
    docker = project.targets.docker
    over_ssh = project.target == "docker" and bool(docker.hosts)
    on_own_runner = project.target == "local" or (project.target == "docker" and not docker.hosts)
    reaches = before is not None and ((before.over_ssh and over_ssh) or (before.on_own_runner and on_own_runner))
    return Stage(
        project=project.name,
        environment=project.environment,
        title=project.environment or BARE,
        target=project.target,
        after=(before.title,) if before else (),
        source=before.environment if before and reaches else "",
        cloud=project.target if project.target in CLOUDS else "",
        region=_region(project),
        over_ssh=over_ssh,
        on_own_runner=on_own_runner,
        needs_approval=before is not None,
        variables=_variables(project.secrets, project.target),
    )


def _region(project: Project) -> str:
    return (getattr(project.targets, project.target).region or "") if project.target in CLOUDS else ""


def _variables(secrets: Mapping[str, Mapping[str, str]], target: str) -> tuple[str, ...]:
    """Of the environment, that a deploy to this target reads secrets from."""
    if target not in WITH_SECRETS:
        return ()
    sources = (source_of(name, places[target]) for name, places in secrets.items() if target in places)
    return tuple(sorted({source.at for source in sources if source.kind == "env"}))


def requirements_of(project: Project, files: Sequence[str]) -> str:
    """What pip installs the training environment from; empty where the project names none that pip reads."""
    named = project.build.requirements or ("requirements.txt" if "requirements.txt" in files else "")
    return named if PurePosixPath(named).suffix == ".txt" else ""
