"""One call of a command: what its function is handed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlship.cli.hints import Scope
from mlship.cli.terminal import Terminal
from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context, Where


@dataclass(frozen=True)
class Common:
    """The options that every command takes, as they were said."""

    json: bool = False
    env: str = ""
    target: str = ""
    region: str = ""
    file: str = ""
    directory: str = ""
    yes: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Call:
    """command: its name. now: seconds since the epoch, when the call began. name: of the project, where it was said."""

    command: str
    common: Common
    context: Context
    terminal: Terminal
    now: float
    name: str = ""

    def where(self, name: str = "") -> Where:
        file = self.path(self.common.file) if self.common.file else None
        return Where(file=file, name=name, environment=self.common.env, target=self.common.target, region=self.common.region)

    def path(self, said: str) -> Path:
        """A path of the command line; relative ones start at -C."""
        return self.context.cwd / Path(said).expanduser()

    @property
    def scope(self) -> Scope:
        said = self.common
        return Scope(self.name, said.env, said.target, said.region, said.file, said.directory)

    def hint(self, command: str) -> str:
        """A command line for the same project: `mlship deploy --env prod -C shop`."""
        return self.scope.command(command)

    def show(self, text: str) -> None:
        """Text for people before the command's end; the plan before the question."""
        if not self.common.quiet:
            self.terminal.say(self.scope.completed(text))

    def need_consent(self) -> None:
        """Raises MlshipError where the question could not be asked, before any work is done."""
        if not self.common.yes and not self.terminal.can_ask:
            raise MlshipError(
                f"{self.command} changes what is live, and there is no terminal to ask on",
                fix=f"{self.hint(self.command)} --yes",
                code="consent-needed",
            )

    def agree(self, question: str) -> None:
        """Asks, unless --yes was said. Raises MlshipError when the answer is not yes."""
        if self.common.yes:
            return
        self.need_consent()
        if self.terminal.ask(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise MlshipError("not applied; nothing was changed", exit=Exit.INTERRUPTED, code="declined")
