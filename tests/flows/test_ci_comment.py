"""The report on a pull request: one comment, written anew by each run. The network's place is taken by what a forge would answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlship import masks
from mlship.errors import MlshipError
from mlship.flows.pipelines.comment import LIMIT, marker, put_comment, thread_of
from mlship.oci.registry.connection import Connection

BOT, PERSON = {"type": "Bot"}, {"type": "User"}


def answered(status: int, document: object) -> httpx.Response:
    return httpx.Response(status, stream=httpx.ByteStream(json.dumps(document).encode()))


class Forge:
    """Comments of one pull request; page: how many a page has."""

    def __init__(self, *comments: dict[str, Any], page: int = 100, status: int = 200) -> None:
        self.comments, self.page, self.status = list(comments), page, status
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, str(request.url), dict(request.headers), body))
        if request.method != "GET":
            return answered(self.status, {})
        if "threads" in request.url.path:
            return answered(self.status, {"value": self.comments})
        first = (int(request.url.params["page"]) - 1) * self.page
        return answered(self.status, self.comments[first : first + self.page])

    def connection(self) -> Connection:
        return Connection({}, httpx.MockTransport(self))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    event = tmp_path / "event.json"
    event.write_text('{"pull_request": {"number": 7}}')
    return {
        "GITHUB_REPOSITORY": "acme/churn",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_TOKEN": "ghs_x",
        "CI_API_V4_URL": "https://gitlab.example/api/v4",
        "CI_PROJECT_ID": "12",
        "CI_MERGE_REQUEST_IID": "7",
        "MLSHIP_COMMENT_TOKEN": "glpat_x",
        "SYSTEM_COLLECTIONURI": "https://azure.example/acme/",
        "SYSTEM_TEAMPROJECTID": "p",
        "BUILD_REPOSITORY_ID": "r",
        "SYSTEM_PULLREQUEST_PULLREQUESTID": "7",
        "SYSTEM_ACCESSTOKEN": "az_x",
    }


def own(system: str, text: str = "old") -> dict[str, Any]:
    body = f"{marker('churn')}\n{text}"
    return {"id": 3, "comments": [{"content": body}]} if system == "azure" else {"id": 3, "body": body, "user": BOT}


WHERE = {
    "github": ("https://api.github.com/repos/acme/churn/issues/7/comments", "PATCH", "https://api.github.com/repos/acme/churn/issues/comments/3"),
    "gitlab": ("https://gitlab.example/api/v4/projects/12/merge_requests/7/notes", "PUT", "https://gitlab.example/api/v4/projects/12/merge_requests/7/notes/3"),
    "azure": (
        "https://azure.example/acme/p/_apis/git/repositories/r/pullRequests/7/threads?api-version=7.1",
        "PATCH",
        "https://azure.example/acme/p/_apis/git/repositories/r/pullRequests/7/threads/3/comments/1?api-version=7.1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("system", WHERE)
def test_the_first_run_writes_a_comment_and_the_next_one_replaces_it(system: str, environ: dict[str, str]) -> None:
    thread, (create, update, item) = thread_of(system, environ), WHERE[system]
    first = Forge()
    assert put_comment(first.connection(), thread, "churn", "new").created
    method, url, headers, body = first.asked[-1]
    assert (method, url) == ("POST", create)
    assert f"{marker('churn')}\nnew" in json.dumps(body, ensure_ascii=False).replace("\\n", "\n")
    assert headers["private-token" if system == "gitlab" else "authorization"].endswith("_x")

    second = Forge(own(system))
    assert not put_comment(second.connection(), thread, "churn", "newer").created
    method, url, _, body = second.asked[-1]
    assert (method, url) == (update, item)
    assert body == {"content" if system == "azure" else "body": f"{marker('churn')}\nnewer"}


def test_the_comment_is_found_on_a_later_page_and_others_are_left_alone(environ: dict[str, str]) -> None:
    others = [{"id": number, "body": "hello", "user": PERSON} for number in range(100)]
    forged = {"id": 900, "body": f"{marker('churn')}\nforged", "user": PERSON}
    other = {"id": 901, "body": f"{marker('fraud')}\nanother project", "user": BOT}
    forge = Forge(*others, forged, other, own("github"))
    assert not put_comment(forge.connection(), thread_of("github", environ), "churn", "new").created
    assert forge.asked[-1][1].endswith("/issues/comments/3")


def test_a_long_report_is_cut_off_where_forges_would_refuse_it(environ: dict[str, str]) -> None:
    forge = Forge()
    put_comment(forge.connection(), thread_of("github", environ), "churn", "x" * 100_000)
    body = forge.asked[-1][3]["body"]
    assert LIMIT < len(body) < 65_536 and body.endswith("cut off; the whole report is kept with the job")


def test_a_refused_token_is_exit_8_and_is_not_shown(environ: dict[str, str]) -> None:
    thread = thread_of("github", environ)
    with pytest.raises(MlshipError, match="github refuses the comment: status 403") as raised:
        put_comment(Forge(status=403).connection(), thread, "churn", "new")
    assert raised.value.exit == 8
    assert "ghs_x" not in f"{raised.value} {thread!r}"


TOKENS = {"github": "GITHUB_TOKEN", "gitlab": "MLSHIP_COMMENT_TOKEN", "azure": "SYSTEM_ACCESSTOKEN"}


@pytest.mark.parametrize("system", TOKENS)
def test_a_job_without_its_token_is_told_so(system: str, environ: dict[str, str]) -> None:
    with pytest.raises(MlshipError, match="no job of a pull request, or it was not handed its token") as raised:
        thread_of(system, {**environ, TOKENS[system]: ""})
    assert raised.value.where == TOKENS[system]


def test_a_job_of_no_pull_request_is_told_so(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text("{}")
    with pytest.raises(MlshipError, match="this job does not run for a pull request"):
        thread_of("github", environ)


def test_a_secret_in_the_report_is_covered_before_it_is_sent(environ: dict[str, str]) -> None:
    masks.learn("hunter-two-9000")
    forge = Forge()
    put_comment(forge.connection(), thread_of("github", environ), "churn", "cannot log in with hunter-two-9000")
    masks.forget()
    assert forge.asked[-1][3]["body"] == f"{marker('churn')}\ncannot log in with ***"
