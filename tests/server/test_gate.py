"""Who may pass: API keys, tokens, and which route needs which role."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from spoken import Spoken
from wired import Wire, prediction, request

from mlship.server.auth.api_keys import ApiKeys, Caller, callers_from
from mlship.server.auth.gate import Gate, gate_from
from mlship.server.auth.jwks import PAUSE_S, KeySet, keys_from
from mlship.server.auth.roles import METRICS, OPEN, PREDICT, role_for
from mlship.server.auth.tokens import Tokens, Unknowable, Untrusted, roles_of
from mlship.server.board import REASONS
from mlship.server.http.repeated_heads import Judged
from mlship.server.manifest import Auth, Jwt
from mlship.server.messages import Request, Response
from mlship.server.problems import SettingsError
from mlship.server.settings import Settings

OLD, NEW, SCRAPER = "old-key-0123456789", "new-key-0123456789", "scraper-0123456789"
KEYS = f"# callers\nshop:{OLD}\n\nshop:predict:{NEW}\nprometheus:metrics:{SCRAPER}\n"
NOW = 1_000_000_000.0
WANTED = Jwt("https://id.example", "churn", "", claim="realm.roles", roles={"predict": "caller", "metrics": "ops"})

RSA = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())


def public(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**json.loads(kind.to_jwk(key.public_key())), "kid": kid, **more}


def token(key: Any = RSA, kid: str | None = "one", algorithm: str = "RS256", **claims: Any) -> str:
    whole = {"iss": "https://id.example", "aud": "churn", "exp": time.time() + 60, "realm": {"roles": ["caller"]}, **claims}
    given = {name: value for name, value in whole.items() if value is not None}
    return jwt.encode(given, key, algorithm, headers={"kid": kid} if kid is not None else None)


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens(WANTED, KeySet("", keys_from({"keys": [public(RSA, "one"), public(CURVE, "two")]})))


def gate(**auth: Any) -> Gate:
    made = gate_from(Auth("CHURN_KEYS", **auth), "churn", {"CHURN_KEYS": KEYS})
    assert made is not None
    return made


def test_each_route_needs_its_role() -> None:
    wanted = {
        OPEN: ("/livez", "/readyz", "/mlship/release", "/ping", "/v2/health/ready"),
        PREDICT: ("/predict", "/schema", "/docs", "/openapi.json", "/invocations", "/v2", ""),
        METRICS: ("/metrics",),
    }
    assert {route: role_for(route, "GET") for routes in wanted.values() for route in routes} == {
        route: role for role, routes in wanted.items() for route in routes
    }
    assert role_for("/ping", "POST") == PREDICT


@pytest.mark.parametrize("path", ["/metrics", "/schema", "/docs", "/openapi.json", "/predict", "/livez"])
def test_platforms_paths_from_the_environment_open_no_other_route(path: str) -> None:
    for predict, health in ((path, ""), ("", path), (path, path)):
        app = Spoken(settings=Settings(Path("/manifest.json"), vertex_predict=predict, vertex_health=health)).app
        for method in ("GET", "HEAD", "POST"):
            role = app.role(method, path)
            answer = app.open(Request(method, path, {}, "1", b"{}"))
            is_health = isinstance(answer, Response) and answer.body in (b"", b'{"status":"alive"}')
            assert role == METRICS if path == "/metrics" and not is_health else role == PREDICT or is_health, (
                predict,
                health,
                method,
            )


def test_old_and_new_keys_are_good_at_the_same_time() -> None:
    keys = ApiKeys(callers_from(KEYS, "CHURN_KEYS"))
    shop = Caller("shop", frozenset((PREDICT,)))
    assert [keys.caller(key) for key in (OLD, NEW)] == [shop, shop]
    assert keys.caller(SCRAPER) == Caller("prometheus", frozenset((METRICS,)))
    assert keys.caller("no-key-0123456789") is None and keys.caller("") is None


def test_keys_stand_nowhere_in_memory_as_they_are() -> None:
    keys = ApiKeys(callers_from(KEYS, "CHURN_KEYS"))
    assert OLD not in repr(vars(keys)) and OLD.encode() not in b"".join(keys._callers)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "CHURN_KEYS has no key in it; write one a line: KEY, NAME:KEY or NAME:ROLE:KEY"),
        ("# nobody\n", "CHURN_KEYS has no key in it"),
        ("\nshort", "line 2 of CHURN_KEYS has a key of fewer than 16 characters"),
        (
            "shop:root:0123456789abcdef",
            "line 1 of CHURN_KEYS has a role that there is not: 'root', and there is metrics and predict",
        ),
        ("a:b:c:0123456789abcdef", "line 1 of CHURN_KEYS has more than three parts"),
        ("a b:0123456789abcdef", "line 1 of CHURN_KEYS has a name that is none"),
        ("shop:0123456789 abcdef", "line 1 of CHURN_KEYS has a key with characters that no header takes"),
        (f"a:{OLD}\nb:{OLD}", "line 2 of CHURN_KEYS is there twice"),
    ],
)
def test_keys_that_cannot_be_used_are_refused_without_showing_them(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        callers_from(text, "CHURN_KEYS")
    assert said in str(refused.value) and "0123456789" not in str(refused.value)


def test_a_closed_service_is_never_started_open() -> None:
    with pytest.raises(
        SettingsError, match=r"CHURN_KEYS is not set, and serve.auth.api_keys names it; give it the keys, one a"
    ):
        gate_from(Auth("CHURN_KEYS"), "churn", {})
    with pytest.raises(SettingsError, match=r"CHURN_JWKS is not set, and serve.auth.jwt.jwks names it"):
        gate_from(Auth(jwt=Jwt("i", "a", "secret:CHURN_JWKS")), "churn", {})
    with pytest.raises(SettingsError, match="CHURN_JWKS is no JWK set with a public key in it"):
        gate_from(
            Auth(jwt=Jwt("i", "a", "secret:CHURN_JWKS")), "churn", {"CHURN_JWKS": '{"keys": [{"kty": "oct", "k": "AA"}]}'}
        )


def test_mlships_own_key_may_ask_everything_and_no_key_stays_in_the_environment() -> None:
    environ = {"CHURN_KEYS": KEYS, "MLSHIP_OPERATOR_KEY": "operator-0123456789"}
    made = gate_from(Auth("CHURN_KEYS"), "churn", environ)
    assert made is not None and environ == {}
    assert [made.denial({"authorization": "Bearer operator-0123456789"}, role) for role in (PREDICT, METRICS)] == [None, None]


@pytest.mark.parametrize(
    ("headers", "role", "status", "challenge"),
    [
        ({}, OPEN, 0, ""),
        ({"authorization": f"Bearer {NEW}"}, PREDICT, 0, ""),
        ({"authorization": f"bearer  {NEW}"}, PREDICT, 0, ""),
        ({"x-api-key": SCRAPER}, METRICS, 0, ""),
        ({}, PREDICT, 401, 'Bearer realm="churn"'),
        ({"authorization": f"Basic {NEW}"}, PREDICT, 401, 'Bearer realm="churn"'),
        ({"authorization": "Bearer wrong"}, PREDICT, 401, 'Bearer realm="churn", error="invalid_token"'),
        ({"x-api-key": NEW}, METRICS, 403, 'Bearer realm="churn", error="insufficient_scope", scope="metrics"'),
    ],
)
def test_keys_open_what_their_roles_say(headers: Mapping[str, str], role: str, status: int, challenge: str) -> None:
    denial = gate().denial(headers, role)
    assert (denial.status if denial else 0, dict(denial.headers)["www-authenticate"] if denial else "") == (status, challenge)


def test_metrics_can_be_open() -> None:
    assert gate(metrics="open").denial({}, METRICS) is None


def test_a_good_token_gives_the_roles_of_its_claim(tokens: Tokens) -> None:
    assert tokens.caller(token(sub="shop")) == Caller("shop", frozenset((PREDICT,)))
    assert tokens.caller(token(CURVE, "two", "ES256", realm={"roles": ["ops", "caller"]})).roles == {PREDICT, METRICS}
    assert tokens.caller(token(exp=time.time() - 20)).roles == {PREDICT}  # clocks differ


def _unsigned(**head: Any) -> str:
    parts = ({"kid": "one", **head}, {"iss": "https://id.example", "aud": "churn", "exp": time.time() + 60})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


def _shared_secret() -> str:
    """The public key, which everybody has, used as the secret of an HMAC."""

    head = _unsigned(alg="HS256", typ="JWT").rstrip(".")
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    mac = hmac.new(pem, head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: token(exp=time.time() - 100), "the token has expired"),
        (lambda: token(nbf=time.time() + 100), "the token is not valid yet"),
        (lambda: token(aud="fraud"), "the token is for another audience"),
        (lambda: token(iss="https://evil.example"), "the token is of another issuer"),
        (lambda: token(exp=None), "the token has no exp, iss or aud"),
        (lambda: token(rsa.generate_private_key(65537, 2048)), "the token's signature is wrong"),
        (lambda: token(kid="three"), "signed with a key that the issuer does not have"),
        (lambda: token(kid=None), "signed with a key that the issuer does not have"),
        (lambda: token(CURVE, "one", "ES256"), "the token is not signed with RS256 or"),
        (lambda: _unsigned(alg="none"), "the token is not signed with RS256 or"),
        (_shared_secret, "the token is not signed with RS256 or"),
        (lambda: "a.b.c", "the token cannot be read"),
        (lambda: "a.b." + "c" * 9000, "the token is longer than 8192 characters"),
    ],
)
def test_a_token_that_is_not_for_us_is_refused_with_the_reason(tokens: Tokens, made: Any, said: str) -> None:
    with pytest.raises(Untrusted, match=said):
        tokens.caller(made())


def test_a_known_token_is_forgotten_when_it_ends_or_its_key_goes() -> None:
    now = [time.time()]
    keys = KeySet("", keys_from({"keys": [public(RSA, "one")]}))
    tokens = Tokens(WANTED, keys, lambda: now[0])
    good = token(exp=time.time() - 20)
    assert tokens.caller(good) is tokens.caller(good)
    now[0] += 20
    keys._keys = {}
    keys.generation += 1
    with pytest.raises(Untrusted):
        tokens.caller(good)


def test_an_unknown_key_asks_the_provider_once_in_a_while() -> None:
    now = [0.0]
    keys = KeySet("http://127.0.0.1:9/keys", keys_from({"keys": [public(RSA, "one")]}), lambda: now[0])
    tokens = Tokens(WANTED, keys)
    with pytest.raises(Unknowable):
        tokens.caller(token(kid="three"))
    keys._wake.clear()  # the thread has fetched, and the key is not there
    for number in range(10):
        with pytest.raises(Untrusted):
            tokens.caller(token(kid=f"{number}"))
    now[0] += PAUSE_S
    with pytest.raises(Unknowable):
        tokens.caller(token(kid="three"))


def test_keys_that_verify_nothing_are_left_out() -> None:
    short = rsa.generate_private_key(65537, 1024)
    entries = [public(RSA, "one"), public(RSA, "enc", use="enc"), public(short, "short"), public(RSA, "hs", alg="HS256"), 7]
    entries.append(public(RSA, "ops", key_ops=7))
    assert list(
        keys_from(
            {
                "keys": [
                    *entries,
                    public(RSA, "ops", key_ops=7),
                    {"kty": "oct", "k": "AAAA", "kid": "secret"},
                    {"kty": "RSA", "kid": "broken"},
                ]
            }
        )
    ) == ["one"]
    with pytest.raises(ValueError, match="it is no JWK set"):
        keys_from([])


@pytest.mark.parametrize("broken", [http.client.BadStatusLine("x"), http.client.IncompleteRead(b""), "[" * 100_000, "{}"])
def test_keys_stay_and_are_fetched_again_after_whatever_the_provider_answers(
    broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def document(url: str) -> bytes:
        if isinstance(broken, Exception):
            raise broken
        return str(broken).encode()

    keys = KeySet("https://id.example/keys", keys_from({"keys": [public(RSA, "one")]}))
    monkeypatch.setattr("mlship.server.auth.jwks._document", document)
    keys.fetch()
    assert keys.find("one") is not None and keys.generation == 0


def test_a_token_that_is_judged_while_keys_go_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = KeySet("https://id.example/keys", keys_from({"keys": [public(RSA, "one")]}))
    judged = Tokens(WANTED, keys)
    good = token()

    def same(one: Any, other: Any) -> bool:
        with pytest.raises((Untrusted, Unknowable)):
            judged.caller(good)  # between the two steps of the change
        return False

    monkeypatch.setattr("mlship.server.auth.jwks._same", same)
    monkeypatch.setattr("mlship.server.auth.jwks._document", lambda url: json.dumps({"keys": [public(CURVE, "one")]}).encode())
    keys.fetch()
    with pytest.raises(Untrusted):
        judged.caller(good)


def test_roles_are_read_from_lists_and_texts() -> None:
    roles = {"predict": "churn:call", "metrics": "churn:read"}
    assert roles_of({"scope": "openid churn:read"}, "scope", roles) == {METRICS}
    assert roles_of({"a": {"b": ["churn:call", 7]}}, "a.b", roles) == {PREDICT}
    assert [roles_of(claims, "a.b", roles) for claims in ({}, {"a": "x"}, {"a": {"b": {"churn:call": 1}}})] == [frozenset()] * 3
    assert roles_of({}, "scope", {}) == {PREDICT}


@pytest.fixture
def wire() -> Wire:
    wire = Wire()
    wire.room.gate = gate()
    return wire


def test_a_stranger_is_refused_before_the_body_is_there(wire: Wire) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: test\r\nContent-Length: 900\r\n\r\n"
    [answer] = wire.send(head).answers
    assert (answer.status, answer.json["error"]["code"], wire.transport.state) == (401, "unauthorized", "eof")
    assert answer.headers["www-authenticate"] == 'Bearer realm="churn"'
    assert wire.slot.refusals()[REASONS.index("unauthorized")] == 1


def test_a_caller_with_a_key_is_answered(wire: Wire) -> None:
    wire.send(prediction(2, f"X-Api-Key: {OLD}"), request("GET", "/livez"), request("GET", "/metrics", f"X-Api-Key: {OLD}"))
    assert wire.statuses == [200, 200, 403]
    assert wire.answers[2].json["error"]["message"] == "this needs the role metrics, which the caller has not"


def test_a_head_that_comes_again_is_known_by_its_digest_and_kept_without_its_key(wire: Wire) -> None:
    wire.room.repeated = known = Judged(wire.room.gate, wire.room.app.role)
    for _ in range(3):
        wire.send(prediction(2, f"X-Api-Key: {OLD}"))
    wire.send(prediction(2, f"X-Api-Key: {SCRAPER}"))
    assert wire.statuses == [200, 200, 200, 403]
    assert len(known._heads) == 1 and OLD.encode() not in b"".join(known._heads)
    assert OLD not in str(list(known._heads.values()))


def test_a_token_is_judged_each_time_it_comes(tokens: Tokens) -> None:
    made = Gate("churn", ApiKeys(callers_from(KEYS, "CHURN_KEYS")), tokens)
    headers = {"authorization": f"Bearer {token()}"}
    assert made.denial(headers, PREDICT) is None and not made.passes_for_good(headers, PREDICT)
    assert made.passes_for_good({"x-api-key": OLD}, PREDICT) and not made.passes_for_good({"x-api-key": OLD}, METRICS)


VARIANTS = (
    "{}",
    "{}/",
    "/{}",
    "{}?a=/livez",
    "{}#",
    "{};a",
    "/livez/..{}",
    "/livez{}",
    "http://a{}",
    "HTTP://a{}",
    "//livez{}",
    "{}%00",
)


@pytest.mark.parametrize(
    "path", ["/metrics", "/predict", "/predict/demo", "/schema", "/docs", "/v2/models/demo", "/invocations"]
)
def test_no_spelling_of_a_path_and_no_method_gets_past_the_gate(path: str, wire: Wire) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "CONNECT"):
        for variant in VARIANTS:
            wire.connect()
            wire.send(request(method, variant.format(path)))
            assert wire.transport.written[9:12] in (b"401", b"400"), (method, variant)
    wire.connect()
    wire.send(request("POST", "/livez"), request("GET", "/livez", "Upgrade: h2c", "Connection: upgrade"))
    assert wire.statuses == [401]


def test_a_refused_head_request_gets_no_body(wire: Wire) -> None:
    wire.send(request("HEAD", "/predict"))
    head, _, body = wire.transport.written.partition(b"\r\n\r\n")
    assert (head[:12], body) == (b"HTTP/1.1 401", b"")


def test_two_keys_in_one_head_are_no_key(wire: Wire) -> None:
    wire.send(prediction(2, f"X-Api-Key: {OLD}", "X-Api-Key: other"))
    assert wire.statuses == [400]
