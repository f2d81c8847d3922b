"""One registry as seen through a transport of our own: authorization, retries, and the words of what fails."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import httpx
import pytest

from mlship.errors import Exit, MlshipError
from mlship.oci.registry.client import Registry, Stopped
from mlship.oci.registry.connection import Call, Connection, Cut, certificates, proxy_for
from mlship.oci.registry.credentials import Credentials, nobody
from mlship.oci.registry.parallel import in_parallel
from mlship.units import Secret

WORD, TOKEN = "hunter2-is-the-word", "eyJ-a-token"
CALL = Call("HEAD", "/v2/team/churn/blobs/sha256:00")
BEARER = 'Bearer realm="https://auth.r.io/token",service="r.io",scope="repository:team/churn:pull"'


def eve(registry: str) -> Credentials:
    return Credentials("eve", Secret(WORD), "config.json")


def identity(registry: str) -> Credentials:
    return Credentials("", Secret(WORD), "config.json")


@dataclass
class World:
    """Answers requests as told, and remembers them. clock: seconds, moved by pauses."""

    answer: Callable[[httpx.Request], httpx.Response]
    requests: list[httpx.Request] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    clock: float = 0.0

    def registry(self, credentials: Callable[[str], Credentials | None] = nobody, name: str = "r.io") -> Registry:
        return Registry(
            name,
            {},
            credentials,
            pause=self.pauses.append,
            clock=lambda: self.clock,
            transport=httpx.MockTransport(self._handle),
        )

    def _handle(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        told = self.answer(request)
        return httpx.Response(told.status_code, headers=told.headers, content=iter([told.content]))  # one that can be streamed

    def to(self, host: str) -> list[httpx.Request]:
        return [request for request in self.requests if request.url.host == host]


def in_turn(*answers: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    left: Iterator[httpx.Response | Exception] = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        told = next(left)
        if isinstance(told, Exception):
            raise told
        return told

    return answer


def failure(world: World, credentials: Callable[[str], Credentials | None] = nobody, name: str = "r.io") -> MlshipError:
    with world.registry(credentials, name) as registry, pytest.raises(MlshipError) as refused:
        registry.ask(CALL, "pushing team/churn", (200,))
    return refused.value


def basic(request: httpx.Request) -> httpx.Response:
    wanted = "Basic " + base64.b64encode(f"eve:{WORD}".encode()).decode()
    if request.headers.get("authorization") == wanted:
        return httpx.Response(200)
    return httpx.Response(401, headers={"www-authenticate": 'Basic realm="r"'})


# --- Basic


def test_basic_credentials_are_sent_only_when_asked_for_and_then_each_time() -> None:
    world = World(basic)
    with world.registry(eve) as registry:
        for _ in range(3):
            registry.ask(CALL, "x", (200,))
    assert ["authorization" in request.headers for request in world.requests] == [False, True, True, True]


def test_wrong_credentials_name_the_user_and_the_login_command() -> None:
    error = failure(World(basic), lambda _: Credentials("eve", Secret("wrong"), "/home/eve/.docker/config.json"))
    assert error.exit is Exit.DENIED
    assert (
        error.what == "r.io does not accept the credentials of eve (/home/eve/.docker/config.json) for pushing team/churn (401)"
    )
    assert error.fix == "docker login r.io"


def test_no_credentials_are_told_as_such() -> None:
    error = failure(World(basic))
    assert (error.exit, error.fix) == (Exit.DENIED, "docker login r.io")
    assert error.what == "r.io wants credentials for pushing team/churn, and there are none (401)"


def test_what_is_forbidden_is_not_asked_again() -> None:
    denied = httpx.Response(403, json={"errors": [{"code": "DENIED", "message": "no push\x1b[31m for you"}]})
    world = World(in_turn(httpx.Response(401, headers={"www-authenticate": "Basic"}), denied))
    error = failure(world, eve)
    assert error.exit is Exit.DENIED
    assert error.what == "r.io does not allow pushing team/churn to eve (config.json) (403)"
    assert error.fix == "docker login r.io, or give this user the right"
    assert error.details == ("r.io says: DENIED no push [31m for you",)
    assert world.pauses == []


def test_credentials_that_a_target_renews_are_asked_for_again() -> None:
    words = iter(["old", WORD])
    world = World(basic)
    with world.registry(lambda _: Credentials("eve", Secret(next(words)))) as registry:
        with pytest.raises(MlshipError):
            registry.ask(CALL, "x", (200,))
        registry.ask(CALL, "x", (200,))


# --- Bearer


def bearer(world_tokens: list[str], lifetime: float = 300) -> Callable[[httpx.Request], httpx.Response]:
    """A registry that takes the newest of the tokens that its service gave."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.r.io":
            world_tokens.append(f"{TOKEN}-{len(world_tokens)}")
            return httpx.Response(200, json={"token": world_tokens[-1], "expires_in": lifetime})
        if world_tokens and request.headers.get("authorization") == f"Bearer {world_tokens[-1]}":
            return httpx.Response(200)
        return httpx.Response(401, headers={"www-authenticate": BEARER})

    return answer


def test_a_token_is_fetched_once_with_everything_that_is_wanted() -> None:
    world = World(bearer([]))
    with world.registry(eve) as registry:
        registry.want("repository:team/churn:pull,push", "repository:team/base:pull")
        for _ in range(3):
            registry.ask(CALL, "x", (200,))
    (fetched,) = world.to("auth.r.io")
    assert fetched.method == "GET"
    assert parse_qs(fetched.url.query.decode()) == {
        "service": ["r.io"],
        "scope": ["repository:team/churn:pull,push", "repository:team/base:pull", "repository:team/churn:pull"],
    }
    assert fetched.headers["authorization"].startswith("Basic ")
    assert len(world.to("r.io")) == 4


def test_nobody_gets_a_token_for_what_is_public() -> None:
    world = World(bearer([]))
    with world.registry() as registry:
        registry.ask(CALL, "x", (200,))
    assert "authorization" not in world.to("auth.r.io")[0].headers


def test_an_identity_token_is_posted_and_never_part_of_an_address() -> None:
    world = World(bearer([]))
    with world.registry(identity) as registry:
        registry.ask(CALL, "x", (200,))
    (fetched,) = world.to("auth.r.io")
    assert (fetched.method, fetched.url.query) == ("POST", b"")
    form = parse_qs(fetched.content.decode())
    assert form["grant_type"] == ["refresh_token"] and form["refresh_token"] == [WORD]
    assert "authorization" not in fetched.headers


def test_a_token_is_renewed_before_it_ends() -> None:
    world = World(bearer([], lifetime=300))
    with world.registry(eve) as registry:
        registry.ask(CALL, "x", (200,))
        world.clock = 285
        registry.ask(CALL, "x", (200,))
        assert len(world.to("auth.r.io")) == 1
        world.clock = 295
        registry.ask(CALL, "x", (200,))
    assert len(world.to("auth.r.io")) == 2
    assert len(world.to("r.io")) == 4


def test_a_token_that_is_refused_before_its_time_is_renewed_once() -> None:
    tokens: list[str] = []
    world = World(bearer(tokens))
    with world.registry(eve) as registry:
        registry.ask(CALL, "x", (200,))
        tokens.append("revoked the other")
        registry.ask(CALL, "x", (200,))
    assert len(world.to("auth.r.io")) == 2


def test_a_new_scope_needs_a_new_token() -> None:
    world = World(bearer([]))
    with world.registry(eve) as registry:
        registry.ask(CALL, "x", (200,))
        registry.want("repository:other:pull")
        registry.ask(CALL, "x", (200,))
    assert "repository:other:pull" in parse_qs(world.to("auth.r.io")[1].url.query.decode())["scope"]


def test_a_registry_that_never_accepts_its_own_tokens_is_given_up() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.r.io":
            return httpx.Response(200, json={"access_token": TOKEN})
        return httpx.Response(401, headers={"www-authenticate": BEARER})

    world = World(answer)
    assert failure(world, eve).exit is Exit.DENIED
    assert len(world.to("r.io")) == 2


def test_a_token_service_that_refuses_ends_in_the_same_words() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, headers={"www-authenticate": BEARER})

    error = failure(World(answer), eve)
    assert (error.exit, error.fix) == (Exit.DENIED, "docker login r.io")
    assert "does not accept the credentials of eve (config.json) for a token" in error.what


def test_credentials_are_not_carried_over_an_open_line() -> None:
    challenge = 'Bearer realm="http://auth.r.io/token"'
    world = World(lambda _: httpx.Response(401, headers={"www-authenticate": challenge}))
    error = failure(world, eve)
    assert "it sends credentials to http://auth.r.io/token, which is not https" in error.what
    assert world.to("auth.r.io") == []


@pytest.mark.parametrize("told", ["", "[]", "{}", '{"token": 7}', '{"token": "a\\nb"}', '{"token": "t", "expires_in": "soon"}'])
def test_a_token_service_that_gives_no_token_is_nonsense(told: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.r.io":
            return httpx.Response(200, text=told)
        return httpx.Response(401, headers={"www-authenticate": BEARER})

    error = failure(World(answer), eve)
    assert error.exit is Exit.BUILD_FAILED
    assert "https://auth.r.io/token gave no token" in error.what


def test_authorization_stays_with_the_registry() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "store.example.com":
            return httpx.Response(200)
        told = basic(request)
        if told.status_code == 401:
            return told
        return httpx.Response(307, headers={"location": "https://store.example.com/blob?signature=s"})

    world = World(answer)
    with world.registry(eve) as registry:
        registry.ask(CALL, "x", (200,))
        registry.ask(Call("PUT", "https://store.example.com/upload"), "x", (200,))
    assert all("authorization" not in request.headers for request in world.to("store.example.com"))
    assert len(world.to("store.example.com")) == 2


def test_a_redirect_to_an_open_line_is_not_followed() -> None:
    world = World(lambda _: httpx.Response(307, headers={"location": "http://store.example.com/blob"}))
    assert "a redirect that is not safe, to http://store.example.com" in failure(world).what


# --- what passes and what does not


def test_what_passes_is_waited_for_as_the_registry_says() -> None:
    busy = [httpx.Response(503), httpx.Response(429, headers={"retry-after": "7"}), httpx.ReadError("cut")]
    world = World(in_turn(*busy, httpx.Response(200)))
    with world.registry() as registry:
        registry.ask(CALL, "x", (200,))
    assert world.pauses == [0.5, 7, 2]


@pytest.mark.parametrize(
    ("status", "exit", "words", "tries"),
    [
        (429, Exit.UNREACHABLE, "r.io asks for fewer requests: it keeps answering 429 to pushing team/churn", 6),
        (500, Exit.UNREACHABLE, "r.io is in trouble: it keeps answering 500 to pushing team/churn", 6),
        (404, Exit.USAGE, "r.io does not know what pushing team/churn needs (404)", 1),
        (413, Exit.BUILD_FAILED, "r.io refuses the size of a request (413) while pushing team/churn", 1),
        (418, Exit.BUILD_FAILED, "r.io does not answer as a registry does: it answered 418 to pushing team/churn", 1),
        (301, Exit.BUILD_FAILED, "r.io does not answer as a registry does: it answered 301 to pushing team/churn", 1),
    ],
)
def test_each_refusal_has_its_words_and_its_exit(status: int, exit: Exit, words: str, tries: int) -> None:
    world = World(lambda _: httpx.Response(status))
    error = failure(world)
    assert (error.exit, error.what) == (exit, words)
    assert error.fix and error.where == "r.io"
    assert len(world.requests) == tries


def test_a_registry_that_never_answered_is_given_up_soon() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[Errno -2] Name or service not known")

    world = World(answer)
    error = failure(world)
    assert error.exit is Exit.UNREACHABLE
    assert error.what == "the registry r.io does not answer: ConnectError: [Errno -2] Name or service not known"
    assert "HTTPS_PROXY and SSL_CERT_FILE" in error.fix
    assert world.pauses == [0.5]


def test_a_registry_on_this_machine_that_never_answers_is_not_waited_for_as_long_as_an_upload() -> None:
    waited: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        waited.append(request.extensions["timeout"]["read"])
        raise httpx.ReadTimeout("nothing came")

    with World(answer).registry(eve, name="localhost:5000") as registry, pytest.raises(MlshipError):
        registry.ask(Call("GET", "/v2/", answer_s=5.0), "x", (200,))
    assert waited[0] == 20.0 and set(waited[1:]) == {5.0}


def test_docker_hub_by_its_short_name_is_not_yet_spoken_to() -> None:
    world = World(lambda _: httpx.Response(200))
    error = failure(world, name="docker.io")
    assert (error.exit, error.code) == (Exit.USAGE, "not-yet")
    assert "docker.io is a name and no address" in error.what
    assert "HOST/NAME:TAG" in error.fix
    assert world.requests == []


def test_a_registry_on_this_machine_is_asked_which_of_both_it_speaks() -> None:
    for status, scheme in ((401, "http"), (400, "https")):
        world = World(lambda request, status=status: httpx.Response(status if request.url.path == "/v2/" else 200))
        with world.registry(eve, name="localhost:5000") as registry:
            registry.ask(CALL, "x", (200,))
        assert [request.url.scheme for request in world.requests] == ["http", scheme]
        assert "authorization" not in world.requests[0].headers


def test_an_upload_is_not_led_into_the_open_by_a_proxy_that_ends_tls() -> None:
    with World(basic).registry(eve) as registry:
        assert registry.url("http://r.io/v2/x/blobs/uploads/1?_state=s") == "https://r.io/v2/x/blobs/uploads/1?_state=s"
        assert registry.url("/v2/x/blobs/uploads/1") == "https://r.io/v2/x/blobs/uploads/1"
        assert registry.url("http://store.io/1") == "http://store.io/1"
        assert registry.authorization("http://store.io/1") == ""


# --- several at a time


def test_the_first_failure_ends_the_waiting_of_the_others() -> None:
    world = World(lambda request: httpx.Response(418 if request.url.path == "/broken" else 503, headers={"retry-after": "60"}))
    registry = Registry("r.io", {}, nobody, transport=httpx.MockTransport(world._handle))
    began = time.monotonic()
    with registry, pytest.raises(MlshipError, match="it answered 418"):
        in_parallel(registry, lambda path: registry.ask(Call("GET", path), "x", (200,)), ["/a", "/b", "/c", "/broken", "/d"])
    assert time.monotonic() - began < 10
    assert len(world.requests) <= 4


def test_what_was_stopped_may_begin_again() -> None:
    world = World(lambda _: httpx.Response(200))
    with world.registry() as registry:
        registry.stop()
        with pytest.raises(Stopped):
            registry.go_on()
        in_parallel(registry, lambda path: registry.go_on(), ["/a"])


# --- secrets


@pytest.mark.parametrize("credentials", [eve, identity])
@pytest.mark.parametrize("status", [401, 403, 404, 418, 500])
def test_no_failure_shows_a_secret(
    credentials: Callable[[str], Credentials], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.r.io":
            return httpx.Response(200, json={"token": TOKEN})
        if "authorization" not in request.headers:
            return httpx.Response(401, headers={"www-authenticate": BEARER})
        return httpx.Response(status, headers={"www-authenticate": BEARER})

    with caplog.at_level(logging.DEBUG):
        error = failure(World(answer), credentials)
    shown = f"{error} {error!r} {error.details} {error.findings} {error.__dict__} {caplog.text}"
    packed = base64.b64encode(f"eve:{WORD}".encode()).decode()
    assert not any(secret in shown for secret in (WORD, TOKEN, packed))


# --- proxies and certificates


def test_the_proxy_is_the_environments_and_never_stands_before_this_machine() -> None:
    environ = {"HTTPS_PROXY": "http://big", "https_proxy": "http://proxy:3128", "NO_PROXY": "inner.io,.corp"}
    assert proxy_for("https://r.io/v2/", environ) == "http://proxy:3128"
    assert proxy_for("http://r.io/v2/", environ) == ""
    assert proxy_for("https://inner.io:5000/v2/", environ) == ""
    assert proxy_for("https://a.corp/v2/", environ) == ""
    assert proxy_for("https://localhost:5000/v2/", environ) == ""
    assert proxy_for("https://r.io/v2/", {"ALL_PROXY": "http://all"}) == "http://all"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_file_of_authorities_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(MlshipError, match=r"the certificate authorities in /nowhere\.pem cannot be read"):
        certificates({name: "/nowhere.pem"})


def test_an_answer_without_end_is_not_held() -> None:
    def forever() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 20)

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=forever()))
    connection = Connection({}, transport)
    assert len(connection.send(Call("GET", "https://r.io/")).body) <= (8 << 20) + 1
    connection.close()


def test_redirects_without_end_are_a_cut() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(307, headers={"location": "/again"}))
    with pytest.raises(Cut, match="more than 5 redirects"):
        Connection({}, transport).send(Call("GET", "https://r.io/"))
