"""From a command's function to a parsed and running command line."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import typer

from mlship.cli import options
from mlship.cli.answer import Answer
from mlship.cli.call import Call, Common

Function = Callable[..., Answer]

# every usage error of the parser is one of these, in all versions of typer that pyproject.toml allows
UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def load(name: str) -> Function:
    """The function of a command, by the command's name."""
    function: Function = importlib.import_module(f"mlship.cli.commands.{name.replace('-', '_')}").command
    return function


def execute(name: str, function: Function, arguments: list[str], make_call: Callable[[Common, str], Call]) -> Answer | int:
    """Parses and runs. An exit code instead of an answer where only the help was asked for. Raises UsageError.

    make_call: of the shared options, and of the project's name where the command takes one.
    """
    parser = parser_of(name, function, make_call)
    try:
        with parser.make_context(f"mlship {name}", arguments) as context:
            answer: Answer = parser.invoke(context)
            return answer
    except typer.Exit as end:
        return end.exit_code


def parser_of(name: str, function: Function, make_call: Callable[[Common, str], Call]) -> Any:
    """Typer's command, which understands its words and those that every command has."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name, context_settings={"help_option_names": ["-h", "--help"]})(_with_shared_options(function, make_call))
    return typer.main.get_command(app)


def _with_shared_options(function: Function, make_call: Callable[[Common, str], Call]) -> Function:
    """The same command, taking the options that every command has in place of its first parameter, the Call.

    An option that the command has itself, such as the region of an estimate, is its own.
    """
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

    shared = [parameter for parameter in SHARED if parameter.name not in {mine.name for mine in own}]

    def called(**values: Any) -> Answer:
        common = Common(**{parameter.name: values.pop(parameter.name) for parameter in shared})
        return function(make_call(common, str(values.get("name", ""))), **values)

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *shared)]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    called.__doc__ = function.__doc__
    return called


def _shared(name: str, annotation: Any, default: str | bool) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


SHARED = (
    _shared("json", options.Json, False),
    _shared("env", options.Environment, ""),
    _shared("target", options.TargetOption, ""),
    _shared("region", options.Region, ""),
    _shared("file", options.File, ""),
    _shared("directory", options.Directory, ""),
    _shared("yes", options.Yes, False),
    _shared("quiet", options.Quiet, False),
)
