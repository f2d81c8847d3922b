"""/docs: one page to try the model, without anything from outside."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path

import orjson

from mlship.server.messages import Request, Response, Route
from mlship.server.pages import schema_page
from mlship.server.service import Service

PAGE = Path(__file__).with_name("docs_page.html")


def routes(service: Service) -> list[Route]:
    """/docs."""
    page = rendered(service)
    headers = (
        ("content-security-policy", policy(page)),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    )

    def docs(request: Request) -> Response:
        return Response(200, page.encode(), "text/html; charset=utf-8", headers)

    return [Route("/docs", {"GET": docs})]


def rendered(service: Service) -> str:
    """The page with this model's schema in it. Whatever names and categories hold, it stays text."""
    schema = {**schema_page.schema(service, service.model), "release": service.settings.release}
    inside = orjson.dumps(schema, default=str).decode()
    for character in "<>&\u2028\u2029":
        inside = inside.replace(character, f"\\u{ord(character):04x}")
    page = PAGE.read_text(encoding="utf-8").replace("__TITLE__", html.escape(service.manifest.project))
    return page.replace("__SCHEMA__", inside)


def policy(page: str) -> str:
    """A content security policy that lets exactly the page's own script and style run and talk to this server."""
    scripts = " ".join(f"'{_hash(text)}'" for text in re.findall(r"<script>(.*?)</script>", page, re.DOTALL))
    styles = " ".join(f"'{_hash(text)}'" for text in re.findall(r"<style>(.*?)</style>", page, re.DOTALL))
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
