"""A release that fails in service, though its build was fine: exit 6, the cause, the last words, and nothing is left over."""

from __future__ import annotations

import pytest
from shop import Caller, Shop

pytestmark = pytest.mark.world

# name: (env of the service, more of mlship.yaml, what the command says)
FAILING = {
    "is never ready": ({"ON_LOAD": "print('still here', flush=True); time.sleep(600)"}, "serve: {startup_timeout: 2s}\n",
                       ["it never became ready in 2 s (serve.startup_timeout)", "GET /readyz -> ", "still here"]),
    "raises": ({"ON_LOAD": "raise OSError('the till is locked')"}, "", ["cannot be loaded: OSError: the till is locked"]),
    "ends": ({"ON_LOAD": "print('bye', flush=True); os._exit(7)"}, "",
             ["a worker ended while it loaded the model (exit 7)", "bye"]),
    "crashes": ({"ON_LOAD": "import ctypes; ctypes.string_at(0)"}, "", ["(SIGSEGV)"]),
    "needs too much": ({"ON_LOAD": "self.much = bytearray(3 << 30)"}, "resources: {memory: 512MiB}\n",
                       ["cannot be loaded: MemoryError;"]),
    "answers otherwise": ({"SHIFT": "1", "ON_PREDICT": "print('asked', flush=True)"}, "",
                          ["model till answers otherwise: predictions[0] is", "asked"]),
    "raises on rows": ({"ON_PREDICT": "1 / 0"}, "", ["POST /predict answers 500", "ZeroDivisionError: division by zero"]),
}  # fmt: skip


@pytest.mark.parametrize("how", FAILING)
def test_a_release_that_fails_in_service_is_told_and_leaves_nothing(shop: Shop, how: str) -> None:
    env, more, said = FAILING[how]
    shop.configure(env, more)
    failed = shop.run("deploy", "--yes", exit=6).said
    assert all(words in failed for words in [*said, "nothing served before, and nothing is left behind"]), failed
    assert shop.processes() == []
    shop.configure()
    shop.run("deploy", "--yes")
    live = shop.live()
    with Caller(shop.status()["endpoint"]):
        shop.configure(env, more)
        failed = shop.run("deploy", "--yes", "--again", exit=6).said
        assert all(words in failed for words in [*said, f"{live} serves as before"]), failed
        assert shop.serves_alone() == live


def test_a_model_that_prints_much_and_forks_is_served_and_goes_whole(shop: Shop) -> None:
    shop.configure({"ON_LOAD": "[print('x' * 200) for _ in range(20000)]; os.fork() or time.sleep(600)"})
    shop.run("deploy", "--yes")
    assert len(shop.processes()) == 4
    shop.configure()
    shop.run("deploy", "--yes")
    shop.serves_alone()


def test_a_deploy_while_a_long_request_runs_lets_it_end(shop: Shop) -> None:
    from story import posted

    shop.configure({"ON_PREDICT": "rows[0]['pieces'] == 9 and time.sleep(5)"}, "serve: {request_timeout: 20s}\n")
    shop.run("deploy", "--yes")
    endpoint = shop.status()["endpoint"]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as one:
        long = one.submit(posted, endpoint, b'{"instances": [{"pieces": 9}]}')
        shop.next_version()
        shop.run("deploy", "--yes")
        assert long.result() == (200, {"predictions": [9.0]})
    shop.serves_alone()
