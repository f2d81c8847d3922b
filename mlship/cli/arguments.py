"""The command line before it is parsed: which command, and shared options written in front of it. Pure."""

FLAGS = {"--json", "--yes", "-y", "--quiet", "-q"}
TAKING_A_VALUE = {"--env", "--target", "--region", "-f", "--file", "-C", "--directory"}


class Invocation:
    """command is empty where none was named. rest: everything after it, shared options that stood in front included."""

    def __init__(self, command: str, rest: list[str], said: list[str]) -> None:
        self.command = command
        self.rest = rest
        self.said = said

    @classmethod
    def from_argv(cls, argv: list[str]) -> "Invocation":
        """`mlship -C shop --env prod status` means `mlship status -C shop --env prod`."""
        front = _shared_in_front(argv)
        if len(argv) > front and (argv[front] not in HELP or front == 0):
            command, rest = argv[front], argv[front + 1 :]
        else:
            command, rest = "", argv[front:]
        if command == "help" and rest:  # mlship help deploy
            return cls(rest[0], ["--help"], argv)
        return cls(command, [*argv[:front], *rest], argv)

    @property
    def asks_for_help(self) -> bool:
        return self.command in ("", *HELP)

    @property
    def lacks_command(self) -> bool:
        """Whether a machine asks, and says for nothing: a text for people is no answer to it."""
        return not self.command and self.wants_json and not any(word in HELP for word in self.rest)

    @property
    def wants_json(self) -> bool:
        """Asked before parsing, so that a usage error is JSON too."""
        said = self.said[: self.said.index("--")] if "--" in self.said else self.said
        return "--json" in said


HELP = ("--help", "-h", "help")


def _shared_in_front(argv: list[str]) -> int:
    """How many leading words are shared options and their values."""
    count = 0
    while count < len(argv):
        word = argv[count]
        if word in FLAGS or (
            word.partition("=")[0] in {"--env", "--target", "--region", "--file", "--directory"} and "=" in word
        ):
            count += 1
        elif word in TAKING_A_VALUE and count + 1 < len(argv):
            count += 2
        else:
            break
    return count
