"""Options and arguments that several commands share, as annotations."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; text for people goes to stderr.")]
Environment = Annotated[str, typer.Option("--env", metavar="NAME", help="An environment of mlship.yaml.", show_default=False)]
TargetOption = Annotated[
    str, typer.Option("--target", metavar="NAME", help="local, docker or a cloud, instead of the file's.", show_default=False)
]
Region = Annotated[
    str, typer.Option("--region", metavar="NAME", help="Of a cloud, where mlship.yaml says none.", show_default=False)
]
File = Annotated[str, typer.Option("--file", "-f", metavar="FILE", help="Another mlship.yaml.", show_default=False)]
Directory = Annotated[str, typer.Option("--directory", "-C", metavar="DIR", help="As if started in DIR.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the answer: no progress, no explanations.")]

ProjectName = Annotated[
    str, typer.Argument(metavar="[NAME]", help="The project, where there is no mlship.yaml.", show_default=False)
]
Python = Annotated[
    str,
    typer.Option(
        "--python",
        metavar="PATH",
        help="The Python, or the virtual environment, that trained the model. "
        "Left out: VIRTUAL_ENV, .venv, conda, in this order.",
        show_default=False,
    ),
]
ImageOption = Annotated[
    str, typer.Option("--image", metavar="CONTENT", help="An image that was built before, by content id.", show_default=False)
]
FromOption = Annotated[
    str,
    typer.Option(
        "--from", metavar="ENV", help="What is live in that environment: the same models, the same image.", show_default=False
    ),
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Another service of the cloud may take over: what runs now goes first.")
]
RegistryOption = Annotated[
    str,
    typer.Option(
        "--registry",
        metavar="HOST/NAME",
        help="With --from: where the image can be fetched, if it is not on this machine.",
        show_default=False,
    ),
]
