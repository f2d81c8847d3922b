"""Google's JSON API: one object or all below a prefix, pinned to its generation, and refusals in words."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from mlship.errors import Exit, MlshipError
from mlship.runner import LocalRunner
from mlship.sources.base import Opening
from mlship.sources.gs import GsSource

OBJECT = {"name": "iris/m.joblib", "size": "9", "generation": "17", "etag": "x", "md5Hash": "JfnnlDI7RTiF9RgfG2JNCw=="}


class Google:
    """pages: of a listing, by page token; status: of every answer, where it is not 200."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.asked: list[httpx.Request] = []
        self.pages = {
            "": {"items": [OBJECT, {**OBJECT, "name": "iris/", "size": "0"}], "nextPageToken": "2"},
            "2": {"items": [{**OBJECT, "name": "iris/data/x", "md5Hash": None}]},
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.status != 200:
            return httpx.Response(self.status)
        if request.url.params.get("alt") == "media":
            return httpx.Response(206, content=iter([b"456789"]), headers={"Content-Range": "bytes 3-8/9"})
        if request.url.path.endswith("/o"):
            return httpx.Response(200, json=self.pages[request.url.params.get("pageToken", "")], stream=None)
        known = request.url.path.endswith("/iris/m.joblib") and request.url.params.get("generation", "17") == "17"
        return httpx.Response(200, json=OBJECT) if known else httpx.Response(404)


def source(google: Google, address: str) -> GsSource:
    def answer(request: httpx.Request) -> httpx.Response:
        said = google(request)
        if not hasattr(said, "_content"):
            return said
        return httpx.Response(said.status_code, headers=said.headers, content=iter([said.content]))  # one can be read once

    opening = Opening(address, Path(), {"STORAGE_EMULATOR_HOST": "127.0.0.1:9"}, LocalRunner(), "mlship.yaml:2")
    return GsSource(opening, httpx.MockTransport(answer))


def test_an_object_is_pinned_to_its_generation_and_read_from_the_middle() -> None:
    opened = source(google := Google(), "gs://models/iris/m.joblib")
    found = opened.snapshot()
    assert (found.title, found.version, found.items[0].digests) == (
        "m.joblib", "generation 17", {"md5": "25f9e794323b453885f5181f1b624d0b"},
    )  # fmt: skip
    with opened.read(found.items[0], 3) as body:
        assert (body.start, b"".join(body.pieces)) == (3, b"456789")
    assert google.asked[-1].url.params["generation"] == "17" and google.asked[-1].headers["accept-encoding"] == "gzip"
    assert opened.snapshot("generation 17").version == "generation 17"
    with pytest.raises(MlshipError, match="has the locked generation 16 no more") as raised:
        opened.snapshot("generation 16")
    assert raised.value.exit is Exit.BUILD_FAILED


def test_a_folder_is_all_that_lies_below_it() -> None:
    found = source(Google(), "gs://models/iris").snapshot()
    assert ([item.name for item in found.items], found.title, found.is_file) == (["m.joblib", "data/x"], "iris", False)
    assert found.version.startswith("listing ")


@pytest.mark.parametrize(("status", "exit", "fix"), [(403, Exit.DENIED, "gcloud auth"), (401, Exit.DENIED, "gcloud auth")])
def test_what_may_not_be_read_says_how_to_log_in(status: int, exit: Exit, fix: str) -> None:
    with pytest.raises(MlshipError, match="may not be read with these credentials") as raised:
        source(Google(status), "gs://models/iris").snapshot()
    assert raised.value.exit is exit and fix in raised.value.fix
