"""A closed service beside its identity provider: tokens are judged, and a change of the provider's keys is followed."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))
from served import Server, running, until, written

from mlship.server.manifest import Auth, Jwt

pytestmark = pytest.mark.world

KEY = "shop-key-0123456789abcdef"
ROWS = {"instances": [[21, "Rome"]]}


class Provider:
    """An identity provider on this machine. asked: how often its keys were fetched."""

    def __init__(self) -> None:
        self.asked = 0
        self.published: list[dict[str, Any]] = []
        self.url = ""

    def publish(self, kid: str) -> rsa.RSAPrivateKey:
        """A new key in place of all before."""
        key = rsa.generate_private_key(65537, 2048)
        self.published = [{**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": kid}]
        return key


@contextmanager
def provider() -> Iterator[Provider]:
    told = Provider()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked += 1
            body = json.dumps({"keys": told.published}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told.url = f"http://127.0.0.1:{server.server_port}/keys"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()


def token(key: rsa.RSAPrivateKey, kid: str, **claims: Any) -> dict[str, str]:
    whole = {"iss": "https://id.example", "aud": "churn", "exp": time.time() + 300, "roles": ["caller"], **claims}
    return {"Authorization": f"Bearer {jwt.encode(whole, key, 'RS256', headers={'kid': kid})}"}


def settled(server: Server, headers: dict[str, str]) -> int:
    """The status when the server does not say any more that it is fetching keys."""
    answer = server.ask("/predict", ROWS, headers)
    if answer.status == 503:
        assert answer.headers["retry-after"] == "1"
        return 0
    return answer.status


def test_tokens_follow_the_providers_keys(tmp_path: Path) -> None:
    with provider() as known:
        one = known.publish("one")
        wanted = Jwt("https://id.example", "churn", known.url, roles={"predict": "caller", "metrics": "ops"})
        manifest = written(tmp_path, workers=2, auth=Auth("CHURN_KEYS", wanted))
        with running(manifest, CHURN_KEYS=f"shop:{KEY}\n", MLSHIP_OPERATOR_KEY="operator-0123456789") as server:
            until(lambda: settled(server, token(one, "one")) == 200)
            assert known.asked == 2  # once by each worker

            # each way in, and none
            assert server.ask("/predict", ROWS, {"X-API-Key": KEY}).json == {"predictions": [42]}
            assert server.ask("/predict", ROWS).headers["www-authenticate"] == 'Bearer realm="demo"'
            assert [server.ask(path).status for path in ("/livez", "/readyz", "/mlship/release", "/ping")] == [200] * 4
            assert [server.ask(path).status for path in ("/schema", "/docs", "/metrics", "/nowhere")] == [401] * 4
            assert server.ask("/metrics", None, token(one, "one")).status == 403
            assert server.ask("/metrics", None, token(one, "one", roles=["ops"])).status == 200
            assert server.ask("/metrics", None, {"Authorization": "Bearer operator-0123456789"}).status == 200
            assert server.ask("/predict", ROWS, token(one, "one", exp=time.time() - 60)).status == 401

            # the provider changes its keys in mid-run: new tokens are good in a moment, old ones no more
            two = known.publish("two")
            for _ in range(20):  # whichever worker answers
                until(lambda: settled(server, token(two, "two")) == 200)
            assert known.asked <= 4
            assert server.ask("/predict", ROWS, token(one, "one")).status == 401
            assert server.ask("/predict", ROWS, token(one, "two")).status == 401

            # a storm of made-up key ids makes no storm of fetches
            asked = known.asked
            assert {server.ask("/predict", ROWS, token(two, f"made-up-{number}")).status for number in range(50)} <= {401, 503}
            assert known.asked <= asked + 2


def test_a_provider_that_is_away_closes_the_door_to_tokens_only(tmp_path: Path) -> None:
    wanted = Jwt("https://id.example", "churn", "http://127.0.0.1:9/keys")
    with running(written(tmp_path, auth=Auth("CHURN_KEYS", wanted)), CHURN_KEYS=KEY) as server:
        assert server.event("jwks_not_fetched")["url"] == "http://127.0.0.1:9/keys"
        answer = server.ask("/predict", ROWS, token(rsa.generate_private_key(65537, 2048), "one"))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert server.ask("/predict", ROWS, {"X-API-Key": KEY}).status == 200


def test_a_server_without_its_keys_does_not_start(tmp_path: Path) -> None:
    with running(written(tmp_path, auth=Auth("CHURN_KEYS")), ready=False) as server:
        said = "CHURN_KEYS is not set, and serve.auth.api_keys names it; give it the keys, one a line"
        assert server.event("start_failed")["message"] == said
        assert server.wait() == 2
