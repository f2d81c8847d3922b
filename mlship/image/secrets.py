"""Secrets in what would go into an image: private keys, cloud keys, tokens, passwords in addresses, files of credentials.

What is found names file, line and kind; the secret itself is in no value of this module. Only text is read line by line, and only
small files: a key inside a model's own bytes is not looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

RULES = 1  # raise it when other files are found: what is remembered of a file counts for these rules only
LARGEST = 2**20  # bytes of a file that is read; data and models are larger, and credentials are not
_BINARY = (b"\x80", b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ", b"\x93NUMPY", b"\x89HDF")


@dataclass(frozen=True)
class Leak:
    """line: counted from 1; 0 where the file as a whole is meant. what: `a private key`."""

    line: int
    what: str


def leaks(path: Path, name: str, size: int) -> tuple[Leak, ...]:
    """What looks like a secret in one file. name: its path as it would be in the image. Raises OSError."""
    if size > LARGEST or not size:
        return ()
    content = path.read_bytes()
    told = _by_name(PurePosixPath(name), content)
    if told:
        return (Leak(0, told),)
    text = _text(content)
    return tuple(_in_text(text, _is_example(PurePosixPath(name)))) if text else ()


def text_leaks(text: str) -> tuple[Leak, ...]:
    """As `leaks`, of text that is no file of the image."""
    return tuple(_in_text(text, is_example=False))


def _text(content: bytes) -> str:
    if content.startswith(_BINARY) or b"\0" in content:
        return ""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return ""


# Files that hold nothing but credentials, by name. The function looks whether this one does.
def _always(content: bytes) -> bool:
    return bool(content.strip())


def _assigns(*words: str) -> Callable[[bytes], bool]:
    pattern = r"(?im)^\s*[\"']?(WORDS)[\"']?\s*[=: ]\s*[\"']?[^\s\"'<${]{4,}".replace("WORDS", "|".join(words))
    return lambda content: re.search(pattern.encode(), content) is not None


_VARIABLES = _assigns(r"(export )?\w*(SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIALS?)\w*")
_FILES: Mapping[str, tuple[Callable[[bytes], bool], str]] = {
    r"(.+\.)?env(\.(?!example|sample|template|dist|test)\w+)?": (_VARIABLES, "variables with secrets"),
    r"id_(rsa|dsa|ecdsa|ed25519)": (_always, "an SSH private key"),
    r"[._]?netrc": (_assigns("password", r"machine\s.*password", r".*\bpassword"), "logins of a .netrc"),
    r"\.?pypirc": (_assigns("password"), "logins of a .pypirc"),
    r"\.?npmrc": (_assigns(r".*_authToken", r".*_password"), "logins of an .npmrc"),
    r"\.?git-credentials": (_always, "git's stored logins"),
    r"\.?pgpass": (_always, "logins of a .pgpass"),
    r"\.?dockercfg|(docker-?)?config\.json": (_assigns(r"auth", r".*\"auth\""), "docker's stored logins"),
    r"kubeconfig(\.ya?ml)?|.+\.kubeconfig": (
        _assigns("client-key-data", "token", "password", "id-token"),
        "logins of a kubeconfig",
    ),
    r"credentials(\.(ini|cfg|csv|txt))?": (_VARIABLES, "stored credentials"),
    r".+\.(p12|pfx|jks|keystore|kdbx)": (_always, "a store of keys"),
}


def _by_name(name: PurePosixPath, content: bytes) -> str:
    if _is_example(name):
        return ""
    return next(
        (
            what
            for pattern, (holds, what) in _FILES.items()
            if re.fullmatch(pattern, name.name, re.IGNORECASE) and holds(content)
        ),
        "",
    )


def _is_example(name: PurePosixPath) -> bool:
    """Tests bring keys and passwords of their own that open nothing; a live provider's token is a secret there as well."""
    folders = {part.lower() for part in name.parts[:-1]}
    file = name.name.lower()
    return bool(folders & {"test", "tests", "testing", "testdata", "test_data", "fixtures"}) or bool(
        re.fullmatch(r"(test_.*|.*_test|conftest)\.py|.*\.(example|sample|template|dist)", file)
    )


# Tokens that say themselves whose they are; sources: the providers' own pages on their formats, 2024 to 2026.
_TOKENS: tuple[tuple[str, str], ...] = (
    ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})\b"),
    ("a GitLab token", r"\bgl(?:pat|dt|rt|ptt)-[A-Za-z0-9_-]{20,}"),
    ("a Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{20,}"),
    ("a Slack webhook", r"https://hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20,}"),
    ("a Stripe key", r"\b[rs]k_live_[A-Za-z0-9]{20,}\b"),
    ("an OpenAI key", r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}"),
    ("an Anthropic key", r"\bsk-ant-[a-z]+\d\d-[A-Za-z0-9_-]{60,}"),
    ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{34}\b"),
    ("a PyPI token", r"\bpypi-AgE[A-Za-z0-9_-]{50,}"),
    ("an npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("a Google API key", r"\bAIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    ("a Google OAuth secret", r"\bGOCSPX-[A-Za-z0-9_-]{28}\b"),
    ("a SendGrid key", r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    ("a Databricks token", r"\bdapi[0-9a-f]{32}\b"),
    ("an Azure storage key", r"(?i:AccountKey)=[A-Za-z0-9+/]{86}=="),
    (
        "an AWS secret key",
        r"(?i:aws_?)?(?i:secret_?(?:access_?)?key)[\"']?\s*[=:]\s*[\"']?(?![0-9a-f]{40})[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
    ),
)
_PRIVATE_KEY = (
    "a private key",
    r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----(?:\\r|\\n|[\s\"'+,]|[A-Z][A-Za-z-]+: [^\n]*\n){1,20}[A-Za-z0-9+/]{32,}",
)
_URL_PASSWORD = (
    "a password in an address",
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>{}$]{1,100}:(?P<password>[^\s/@\"'<>{}$%*]{4,200})@(?P<host>[A-Za-z0-9.-]{1,200})",
)
# The words without which no rule can match: most files are done after one search for these.
_HINT = (
    r"(?i)PRIVATE KEY|gh[pousr]_|github_pat_|gl(?:pat|dt|rt|ptt)-|xox[abeoprs]-|hooks\.slack|k_live_|T3Blbk|sk-ant-|hf_|pypi-AgE"
    r"|npm_|AIza|GOCSPX|SG\.|dapi|AccountKey|secret_?(?:access_?)?key|://"
)
_PLACEHOLDER = (
    r"(?i)example|sample|dummy|fake|placeholder|change-?me|redacted|xxxx|\.\.\."
    r"|^(?:password|passwd|pass|secret|user|token|test|postgres|guest|admin|root)\d*$"
)
_NOWHERE = (
    r"localhost|127\.[\d.]+|0\.0\.0\.0|host|hostname|db"
    r"|(?:.*\.)?example(?:\.\w+)?|.*\.(?:test|invalid|local|localhost)"
)
_FEWEST = 8  # different characters of a token: `xxxxxxxx` and `00000000` are none


def _in_text(text: str, is_example: bool) -> Iterator[Leak]:
    if not re.search(_HINT, text):
        return
    rules = _TOKENS if is_example else (*_TOKENS, _PRIVATE_KEY, _URL_PASSWORD)
    found = [(match.start(), what) for what, rule in rules for match in re.finditer(rule, text) if _is_real(match)]
    for start, what in sorted(found):
        yield Leak(text.count("\n", 0, start) + 1, what)


def _is_real(match: re.Match[str]) -> bool:
    """Not a placeholder, and not an address that leads nowhere else."""
    parts = match.groupdict()
    if "password" in parts:
        return not (re.search(_PLACEHOLDER, parts["password"]) or re.fullmatch(_NOWHERE, parts["host"].lower()))
    return len(set(match[0])) >= _FEWEST and not re.search(_PLACEHOLDER, match[0])
