"""A token service for docker-registry: signs what a user may do (distribution, "Token Authentication Specification")."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


class TokenService:
    """users: name -> password; tokens: refresh tokens that stand for a user. lifetime_s: of the tokens it gives.

    asked: (method, user, scopes) of each request; user is empty for nobody, who may pull and never push.
    """

    def __init__(self, folder: Path, lifetime_s: int = 300) -> None:
        self.users: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.asked: list[tuple[str, str, tuple[str, ...]]] = []
        self.lifetime_s = lifetime_s
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
                      "-subj", "/CN=tokens")  # fmt: skip
        pem = (folder / "cert.pem").read_text()
        self._certificate = "".join(pem.splitlines()[1:-1])
        service = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                scheme, _, packed = self.headers.get("Authorization", "").partition(" ")
                user, _, word = base64.b64decode(packed).decode().partition(":") if scheme else ("", "", "")
                known = not scheme or service.users.get(user) == word
                query = parse_qs(urlsplit(self.path).query)
                self._give("GET", user, known, query.get("scope", []), query.get("service", [""])[0])

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                user = service.tokens.get(form["refresh_token"][0], "")
                self._give("POST", user, bool(user), form["scope"][0].split(), form["service"][0])

            def _give(self, method: str, user: str, known: bool, scopes: list[str], audience: str) -> None:
                service.asked.append((method, user, tuple(scopes)))
                told = {"token": service.token(user, scopes, audience), "expires_in": service.lifetime_s} if known else {}
                body = json.dumps(told).encode()
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def settings(self) -> str:
        """For the registry's configuration."""
        return (
            f"auth: {{token: {{realm: 'http://127.0.0.1:{self.port}/token', service: test-registry, issuer: test-tokens,"
            f" rootcertbundle: '{self._folder}/cert.pem'}}}}\n"
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def token(self, user: str, scopes: list[str], audience: str) -> str:
        allowed = {"push", "pull"} if user else {"pull"}
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": sorted(allowed & set(actions.split(",")))})
        now = int(time.time())
        claims = {
            "iss": "test-tokens", "sub": user, "aud": audience, "exp": now + self.lifetime_s, "nbf": now - 5, "iat": now,
            "jti": str(len(self.asked)), "access": access,
        }  # fmt: skip
        head = {"typ": "JWT", "alg": "RS256", "x5c": [self._certificate]}
        signed = f"{_packed(json.dumps(head).encode())}.{_packed(json.dumps(claims).encode())}"
        signature = self._openssl("dgst", "-sha256", "-sign", "key.pem", stdin=signed.encode())
        return f"{signed}.{_packed(signature)}"

    def _openssl(self, *argv: str, stdin: bytes = b"") -> bytes:
        done = subprocess.run(["openssl", *argv], cwd=self._folder, input=stdin, check=True, capture_output=True)
        return done.stdout


def _packed(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
