"""A server with resources.gpu has its GPUs before it has workers, and each worker sees one."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from served import launched, running, written

from mlship.server.life import cards
from mlship.server.life.cards import Card, NoCards, Told, cards_for, take
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.device import has_gpu
from mlship.server.runtimes.torch_device import LOST, living_gpu, torch_device

TWO = Told(("NVIDIA L4", "NVIDIA T4"))
# The server as it is, with two GPUs that only the driver's answer has.
PROGRAM = """
import os, sys
from mlship.server.life.cards import Told
from mlship.server.life.start import serve
sys.exit(serve(os.environ, lambda: Told(("NVIDIA L4", "NVIDIA T4"))))
"""
MODEL = """
import os

class Doubler:
    def load(self, path):
        self.loaded = f"{os.getpid()} {os.environ['CUDA_VISIBLE_DEVICES']} {os.environ['MLSHIP_GPU']}"

    def predict(self, rows):
        return [f"{self.loaded} asked {os.getpid()}" for _ in rows]
"""


def test_a_server_without_resources_gpu_never_asks_for_a_driver() -> None:
    def nobody() -> Told:
        raise AssertionError

    assert cards_for(0, {}, nobody) == ()


def test_each_worker_gets_a_card_of_its_own_among_those_that_this_server_may_use() -> None:
    assert cards_for(2, {}, lambda: TWO) == (Card("0", "NVIDIA L4"), Card("1", "NVIDIA T4"))
    assert cards_for(1, {"CUDA_VISIBLE_DEVICES": "GPU-5f, 3"}, lambda: TWO) == (Card("GPU-5f", "NVIDIA L4"),)
    environ = {"CUDA_VISIBLE_DEVICES": "0,1"}
    take((Card("0", "NVIDIA L4"), Card("1", "NVIDIA T4")), 1, environ)
    assert environ["CUDA_VISIBLE_DEVICES"] == "1" and has_gpu(environ)
    environ = {"MLSHIP_GPU": "somebody's"}
    take((), 0, environ)
    assert not has_gpu(environ)


@pytest.mark.parametrize(
    ("told", "devices", "what"),
    [
        (Told(), (), "resources.gpu is 2, and this server finds no GPU: there is no /dev/nvidia0, and no libcuda.so.1; in a container: "
                     "docker run --gpus all, with the NVIDIA container toolkit on the machine; on the machine itself: its driver"),
        (Told(), ("nvidia0",), "resources.gpu is 2, and this server finds no GPU that it can use: /dev/nvidia* is there, and the driver's "
                               "libcuda.so.1 is not; in a container the NVIDIA runtime brings it (--gpus all, not --device)"),
        (Told(trouble="the NVIDIA driver cannot be used: CUDA_ERROR_NO_DEVICE (100)"), ("nvidia0",),
         "finds no GPU: the NVIDIA driver cannot be used: CUDA_ERROR_NO_DEVICE (100); its version has to be new enough"),
        (Told(("NVIDIA L4",)), ("nvidia0",), "resources.gpu is 2, and this server finds 1: NVIDIA L4; give it 2, or write less"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(
    told: Told, devices: tuple[str, ...], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in devices:
        (tmp_path / name).touch()
    monkeypatch.setattr(cards, "DEVICES", tmp_path)
    with pytest.raises(NoCards) as raised:
        cards_for(2, {}, lambda: told)
    assert what in str(raised.value)


def test_workers_load_after_the_fork_and_see_one_gpu_each(tmp_path: Path) -> None:
    path = written(tmp_path, gpus=2, workers=0)
    (tmp_path / "code" / "doubler.py").write_text(MODEL)
    with running(path, program=("-c", PROGRAM)) as server:
        assert server.event("ready")["gpus"] == ["NVIDIA L4", "NVIDIA T4"]
        seen = set()
        for _ in range(200):
            said = server.ask("/predict", {"instances": [{"amount": 1, "city": None}]}).json["predictions"][0]
            loaded, _, asked = said.partition(" asked ")
            assert loaded.startswith(f"{asked} "), "loaded in the process that answers"
            seen.add(loaded.partition(" ")[2])
            if len(seen) == 2:
                break
        assert seen == {"0 NVIDIA L4", "1 NVIDIA T4"}
        assert server.ask("/mlship/release").json["device"] in ("cuda:0 NVIDIA L4", "cuda:1 NVIDIA T4")
        metrics = server.ask("/metrics").body.decode()
        assert 'mlship_device_info{device="cuda:1 NVIDIA T4",worker="1"} 1.0' in metrics


@pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="this machine has a GPU")  # noqa: PTH110
def test_a_server_that_is_to_have_a_gpu_and_finds_none_never_listens(tmp_path: Path) -> None:
    with launched(written(tmp_path, gpus=1)) as server:
        assert "resources.gpu is 1, and this server finds no GPU" in server.event("start_failed")["message"]
        assert server.wait() == 2


@pytest.mark.parametrize(
    ("cuda", "reason", "needed"),
    [
        (None, "Torch not compiled with CUDA enabled", "a build with CUDA"),
        ("13.0", "The NVIDIA driver on your system is too old (found version 12020).\nUpdate it", "a driver for its CUDA 13.0"),
    ],
)
def test_torch_that_cannot_use_its_gpu_never_goes_on_with_the_cpu(
    cuda: str | None, reason: str, needed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = torch_of(cuda, AssertionError(reason))
    assert torch_device(torch) == "cpu"
    monkeypatch.setenv("MLSHIP_GPU", "NVIDIA L4")
    with pytest.raises(LoadError) as raised:
        torch_device(torch)
    first = reason.partition("\n")[0]
    assert str(raised.value) == f"torch 2.13.0 cannot compute on the GPU: {first}; it needs {needed}"


def test_on_a_gpu_torch_rounds_as_it_does_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLSHIP_GPU", "NVIDIA L4")
    torch = torch_of("13.0")
    assert torch_device(torch) == "cuda"
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32


def torch_of(cuda: str | None, error: Exception | None = None) -> Any:
    """What the device is chosen by. error: what the first sum on a GPU comes to."""

    def ones(count: int, device: str) -> Any:
        if error is not None:
            raise error
        return SimpleNamespace(add_=lambda one: SimpleNamespace(cpu=lambda: count + one))

    matmul, cudnn = SimpleNamespace(allow_tf32=True), SimpleNamespace(allow_tf32=True)
    backends = SimpleNamespace(cudnn=cudnn, cuda=SimpleNamespace(matmul=matmul))
    return SimpleNamespace(__version__="2.13.0", version=SimpleNamespace(cuda=cuda), device=str, ones=ones, backends=backends)


def test_a_process_whose_gpu_is_lost_ends_and_any_other_error_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Torch:
        class AcceleratorError(RuntimeError):
            pass

    def failing(error: Exception) -> None:
        with living_gpu(Torch):
            raise error

    with pytest.raises(RuntimeError):
        failing(Torch.AcceleratorError("on a CPU nothing is lost"))
    monkeypatch.setenv("MLSHIP_GPU", "NVIDIA L4")
    with pytest.raises(RuntimeError):
        failing(RuntimeError("CUDA out of memory"))
    child = os.fork()
    if child == 0:
        try:
            failing(Torch.AcceleratorError("CUDA error: device-side assert triggered"))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == LOST
