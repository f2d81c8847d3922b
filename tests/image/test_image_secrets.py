"""What counts as a secret in a file, and what does not. No secret stands in this file: all are put together when it runs."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import pytest

from mlship.image.secrets import LARGEST, Leak, leaks, text_leaks

RANDOM = random.Random(4)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def letters(count: int) -> str:
    return "".join(RANDOM.choices(LETTERS, k=count))


def pem(kind: str) -> str:
    return f"-----BEGIN {kind}-----\n" + "\n".join(letters(64) for _ in range(8)) + f"\n-----END {kind}-----\n"


KEY = "PRIVATE" + " KEY"
SECRETS = {
    "rsa": (pem(f"RSA {KEY}"), "a private key"),
    "openssh": (pem(f"OPENSSH {KEY}"), "a private key"),
    "service account": ('{"private_key": "' + pem(KEY).replace("\n", "\\n") + '"}', "a private key"),
    "aws": (f"aws_secret_access_key = {letters(40)}", "an AWS secret key"),
    "github": (f"TOKEN = 'ghp_{letters(36)}'", "a GitHub token"),
    "slack": (f"xoxb-{RANDOM.randrange(10**11)}-{letters(24)}", "a Slack token"),
    "stripe": (f"sk_live_{letters(24)}", "a Stripe key"),
    "hugging face": (f"hf_{letters(34)}", "a Hugging Face token"),
    "google": (f"AIza{letters(35)}", "a Google API key"),
    "azure": (f"AccountKey={letters(86)}==", "an Azure storage key"),
    "url": (f"postgresql://shop:{letters(12)}@db.shop.internal:5432/x", "a password in an address"),
}
NO_SECRETS = {
    "certificate": pem("CERTIFICATE"),
    "public key": pem("PUBLIC KEY"),
    "a parser's words": f'if line.startswith("-----BEGIN {KEY}-----"):\n    return "key"\n',
    "aws documentation": "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "an id alone": "AKIA" + letters(16).upper(),
    "a digest by that name": f"secret_key = {'0123456789abcdef' * 2}01234567",
    "placeholders": "ghp_" + "x" * 36 + "\npostgres://user:password@db.internal/x\nhttps://me:${TOKEN}@git.internal/x",
    "this machine": f"redis://:{letters(10)}@localhost:6379 amqp://a:{letters(10)}@127.0.0.1",
    "an address": "https://index.internal:8443/simple?user=a@b",
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_found_by_its_line_and_never_told(name: str, tmp_path: Path):
    text, what = SECRETS[name]
    file = tmp_path / "settings.py"
    file.write_text(f"# settings\n\n{text}\n")
    assert leaks(file, "shop/settings.py", file.stat().st_size) == (Leak(3, what),)


@pytest.mark.parametrize("name", NO_SECRETS)
def test_what_is_public_is_no_secret(name: str):
    assert text_leaks(NO_SECRETS[name]) == ()


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("prod.env", f"API_TOKEN={letters(8)}\n", "variables with secrets"),
        ("id_ed25519", "anything", "an SSH private key"),
        ("netrc", f"machine shop.internal login me password {letters(9)}", "logins of a .netrc"),
        ("pypirc", f"[pypi]\npassword = {letters(9)}", "logins of a .pypirc"),
        ("kubeconfig", f"users:\n- user:\n    token: {letters(30)}", "logins of a kubeconfig"),
        ("client.p12", "\x00\x01", "a store of keys"),
        ("credentials", f"[default]\naws_secret_access_key={letters(40)}", "stored credentials"),
        ("prod.env", "REGION=eu\n", ""),
        ("env", "API_TOKEN=\n", ""),
        ("prod.env.example", "API_TOKEN=abcdefgh\n", ""),
        ("config.json", '{"hidden_size": 768, "author": "me"}', ""),
    ],
)
def test_files_of_credentials_are_known_by_name(name: str, content: str, what: str, tmp_path: Path):
    (tmp_path / name).write_text(content)
    found = leaks(tmp_path / name, f"shop/{name}", len(content))
    assert [leak.what for leak in found] == ([what] if what else [])


def test_tests_may_bring_keys_of_their_own_but_no_live_token(tmp_path: Path):
    file = tmp_path / "key.pem"
    file.write_text(pem(KEY))
    assert leaks(file, "shop/tests/key.pem", 600) == ()
    file.write_text(f"ghp_{letters(36)}")
    assert [leak.what for leak in leaks(file, "shop/tests/key.pem", 60)] == ["a GitHub token"]


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_no_secret(seed: int):
    noise = random.Random(seed).randbytes(20_000)
    for text in (base64.b64encode(noise), base64.urlsafe_b64encode(noise), base64.encodebytes(noise), noise.hex().encode()):
        assert text_leaks(text.decode()) == ()


def test_models_are_not_read_line_by_line(tmp_path: Path):
    file = tmp_path / "model.bin"
    for content in (b"\x80\x05" + pem(KEY).encode(), b"\0" + pem(KEY).encode()):
        file.write_bytes(content)
        assert leaks(file, "model.bin", len(content)) == ()
    assert leaks(tmp_path / "not there", "model.txt", LARGEST + 1) == ()
