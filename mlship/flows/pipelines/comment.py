"""The report of a pull request: one comment that each run writes anew, told by a marker in its first line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlship.errors import Exit, MlshipError
from mlship.masks import masked
from mlship.oci.registry.connection import Answer, Call, Connection, Cut
from mlship.units import Secret

LIMIT = 60_000  # characters: GitHub refuses comments of more than 65,536
PER_PAGE = 100
_PAGES = 50


@dataclass(frozen=True)
class Thread:
    """Where the comments of one pull request are read and written.

    listed: without its page. item: a comment's own address, `{id}` in it. update: its method. header and token: who writes.
    """

    system: str
    listed: str
    create: str
    item: str
    update: str
    header: tuple[str, Secret]


@dataclass(frozen=True)
class Commented:
    """created: False where the comment of a run before was replaced."""

    system: str
    created: bool


def marker(project: str) -> str:
    """What tells mlship's own comment for this project from all others."""
    return f"<!-- mlship: {project} -->"


def thread_of(system: str, environ: Mapping[str, str]) -> Thread:
    """The pull request that this job runs for, as the system's variables say. Raises MlshipError where it runs for none."""
    if system == "github":
        return _github(environ)
    if system == "gitlab":
        return _gitlab(environ)
    if system == "azure":
        return _azure(environ)
    raise MlshipError(
        "Jenkins has no pull requests of its own: the pipeline keeps the report with the build",
        fix="leave --comment out",
        code="no-comments",
    )


def put_comment(connection: Connection, thread: Thread, project: str, text: str) -> Commented:
    """Replaces the comment of the run before, or writes the first. Raises MlshipError when the system refuses."""
    first = marker(project)
    body = f"{first}\n{masked(text)}"
    if len(body) > LIMIT:
        body = f"{body[:LIMIT]}\n\n... cut off; the whole report is kept with the job"
    known = next((found for found in _comments(connection, thread) if _text(thread, found).startswith(first)), None)
    if known is None:
        _asked(connection, thread, "POST", thread.create, _new(thread, body))
    else:
        _asked(connection, thread, thread.update, thread.item.format(id=known["id"]), _changed(thread, body))
    return Commented(thread.system, created=known is None)


def _github(environ: Mapping[str, str]) -> Thread:
    repository, api = _said(environ, "GITHUB_REPOSITORY"), environ.get("GITHUB_API_URL", "https://api.github.com")
    number = _pull_request(Path(_said(environ, "GITHUB_EVENT_PATH")))
    issues = f"{api}/repos/{quote(repository)}/issues"
    token = Secret(f"Bearer {_said(environ, 'GITHUB_TOKEN')}")
    comments = f"{issues}/{number}/comments"
    return Thread("github", comments, comments, f"{issues}/comments/{{id}}", "PATCH", ("Authorization", token))


def _pull_request(event: Path) -> int:
    try:
        return int(json.loads(event.read_bytes())["pull_request"]["number"])
    except (OSError, ValueError, KeyError, TypeError):
        raise MlshipError(
            "this job does not run for a pull request",
            "GITHUB_EVENT_PATH",
            "let it run `on: pull_request`",
            code="no-pull-request",
        ) from None


def _gitlab(environ: Mapping[str, str]) -> Thread:
    names = ("CI_API_V4_URL", "CI_PROJECT_ID", "CI_MERGE_REQUEST_IID")
    api, project, number = (_said(environ, name) for name in names)
    notes = f"{api}/projects/{quote(project, safe='')}/merge_requests/{quote(number, safe='')}/notes"
    token = Secret(_said(environ, "MLSHIP_COMMENT_TOKEN"))
    return Thread("gitlab", notes, notes, f"{notes}/{{id}}", "PUT", ("PRIVATE-TOKEN", token))


def _azure(environ: Mapping[str, str]) -> Thread:
    names = ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECTID", "BUILD_REPOSITORY_ID", "SYSTEM_PULLREQUEST_PULLREQUESTID")
    collection, project, repository, number = (_said(environ, name) for name in names)
    place = "/".join(
        quote(part, safe="") for part in (project, "_apis", "git", "repositories", repository, "pullRequests", number)
    )
    threads, version = f"{collection.rstrip('/')}/{place}/threads", "?api-version=7.1"
    token = Secret(f"Bearer {_said(environ, 'SYSTEM_ACCESSTOKEN')}")
    item = f"{threads}/{{id}}/comments/1{version}"
    return Thread("azure", threads + version, threads + version, item, "PATCH", ("Authorization", token))


def _said(environ: Mapping[str, str], name: str) -> str:
    if not environ.get(name):
        raise MlshipError(
            f"the variable {name} is not set: this is no job of a pull request, or it was not handed its token",
            name,
            "docs/ci.md says which variables --comment needs",
            code="no-pull-request",
        )
    return environ[name]


def _comments(connection: Connection, thread: Thread) -> Iterator[Mapping[str, Any]]:
    """All of the pull request. Azure DevOps gives them at once."""
    for page in range(1, _PAGES + 1):
        address = thread.listed if thread.system == "azure" else f"{thread.listed}?per_page={PER_PAGE}&page={page}"
        found = json.loads(_asked(connection, thread, "GET", address).body)
        rows: list[Mapping[str, Any]] = found["value"] if thread.system == "azure" else found
        yield from (row for row in rows if _is_of_a_program(thread, row))
        if thread.system == "azure" or len(rows) < PER_PAGE:
            return


def _is_of_a_program(thread: Thread, comment: Mapping[str, Any]) -> bool:
    """On GitHub people may write the marker, too; what they wrote is not replaced."""
    return thread.system != "github" or (comment.get("user") or {}).get("type") == "Bot"


def _text(thread: Thread, comment: Mapping[str, Any]) -> str:
    if thread.system != "azure":
        return str(comment.get("body") or "")
    texts = [str(one.get("content") or "") for one in comment.get("comments") or ()]
    return texts[0] if texts else ""


def _new(thread: Thread, body: str) -> Mapping[str, Any]:
    if thread.system != "azure":
        return {"body": body}
    return {"comments": [{"parentCommentId": 0, "content": body, "commentType": 1}], "status": "closed"}


def _changed(thread: Thread, body: str) -> Mapping[str, Any]:
    return {"content": body} if thread.system == "azure" else {"body": body}


def _asked(connection: Connection, thread: Thread, method: str, url: str, document: Mapping[str, Any] | None = None) -> Answer:
    body = json.dumps(document).encode() if document is not None else b""
    name, token = thread.header
    headers = {"Accept": "application/json", name: token.reveal(), **({"Content-Type": "application/json"} if body else {})}
    call = Call(method, url, headers, (lambda: [body]) if body else None, len(body))
    try:
        answer = connection.send(call)
    except Cut as cut:
        raise MlshipError(
            f"{thread.system} cannot be reached: {cut.reason}",
            url,
            "run the job again",
            exit=Exit.UNREACHABLE,
            code="unreachable",
        ) from None
    if answer.status not in (200, 201):
        raise MlshipError(
            f"{thread.system} refuses the comment: status {answer.status}",
            url,
            "give the job's token the right to write comments (docs/ci.md)",
            exit=Exit.DENIED if answer.status in (401, 403, 404) else Exit.UNREACHABLE,
            code="comment-refused",
        )
    return answer
