import errno
import gzip
import io
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.image.builder import Bytecode, cached, compiler, files_key, files_layer, key, oci_config, write
from mlship.image.bytecode import Compiler
from mlship.image.package_layers import package_layers
from mlship.image.plan import BasePlan, ImageConfig, LayerFile, LayerPlan
from mlship.image.server_layer import server_layer
from mlship.image.workplace import Workplace
from mlship.oci.layer import Entry, write_layer
from mlship.progress import Silent
from mlship.runner import Command, Result


class NoPrograms:
    def run(self, command: Command) -> Result:
        raise AssertionError(f"{command.argv} was started")


def place(root) -> Workplace:
    return Workplace(Home(root), NoPrograms(), Silent(), {})


@pytest.fixture
def workplace(tmp_path) -> Workplace:
    return place(tmp_path / "home")


def names(workplace, layer) -> list[str]:
    content = gzip.decompress(workplace.layout.path(layer.blob.digest).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return [member.name for member in archive if not member.isdir()]


def wheels(root, files=("numpy/__init__.py", "numpy/__pycache__/x.pyc", "numpy-1.dist-info/METADATA")):
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_two_builds_at_once_make_a_layer_once(workplace):
    made: list[int] = []

    def make():
        made.append(1)
        return write_layer(workplace.layout, [Entry("a", content=b"1")], role="model", name="m")

    with ThreadPoolExecutor(4) as pool:
        layers = list(pool.map(lambda _: cached(workplace, "k" * 64, make), range(4)))
    assert len(made) == 1
    assert len(set(layers)) == 1


def test_every_input_is_part_of_the_key():
    keys = {
        key("model", {"a": 1}, "gzip"),
        key("model", {"a": 1}, "zstd"),
        key("code", {"a": 1}, "gzip"),
        key("model", {"a": 2}, "gzip"),
        key("model", {"b": 1}, "gzip"),
    }
    assert len(keys) == 5


def test_the_key_of_files_does_not_depend_on_their_order():
    assert files_key([("a", "1"), ("b", "2")]) == files_key([("b", "2"), ("a", "1")]) != files_key([("a", "2"), ("b", "1")])


def test_files_come_from_this_machine_or_from_the_plan(workplace, tmp_path):
    (tmp_path / "model.joblib").write_bytes(b"model")
    files = (
        LayerFile("/opt/mlship/manifest.json", content=b"{}"),
        LayerFile("/opt/mlship/models/a/m.joblib", source=tmp_path / "model.joblib"),
    )
    layer = files_layer(workplace, LayerPlan("model", "a", files, key="1"))
    assert names(workplace, layer) == ["opt/mlship/manifest.json", "opt/mlship/models/a/m.joblib"]


def test_a_file_without_a_place_in_the_image_is_refused(workplace):
    with pytest.raises(MlshipError, match=r"'manifest.json' is not an absolute path inside the image"):
        files_layer(workplace, LayerPlan("configuration", "c", (LayerFile("manifest.json"),), key="1"))
    with pytest.raises(MlshipError, match="is not a path inside an image"):
        files_layer(workplace, LayerPlan("configuration", "c", (LayerFile("/../etc/passwd"),), key="2"))


def test_the_configuration_is_what_engines_read():
    config = ImageConfig(
        entrypoint=("/usr/bin/python3.11", "-m", "mlship.server"),
        env={"B": "2", "A": "1"},
        labels={"mlship.project": "churn", "mlship.content": "left to the layout"},
    )
    assert oci_config(config) == {
        "User": "65532:65532",
        "ExposedPorts": {"8080/tcp": {}},
        "Env": ["A=1", "B=2"],
        "Entrypoint": ["/usr/bin/python3.11", "-m", "mlship.server"],
        "Cmd": [],
        "WorkingDir": "/",
        "Labels": {"mlship.project": "churn"},
        "StopSignal": "SIGTERM",
    }


def test_the_same_inputs_give_the_same_image_in_another_home(tmp_path):
    images = []
    for name in ("one", "two"):
        workplace = place(tmp_path / name)
        layers = package_layers(workplace, wheels(tmp_path / f"{name}-wheels"), "/opt/mlship/env", (), inputs="1")
        images.append(write(workplace, layers, ImageConfig(("/x",), labels={"mlship.project": "churn"}), "linux/amd64"))
    assert images[0] == images[1]
    assert workplace.layout.find("churn") == images[1]


def test_the_server_is_one_blob_for_all_projects_and_holds_only_its_closed_part(workplace, tmp_path):
    layer = server_layer(workplace, wheels(tmp_path / "w"), inputs="1")
    found = names(workplace, layer)
    assert "opt/mlship/lib/mlship/__init__.py" in found
    assert "opt/mlship/lib/mlship/server/manifest.py" in found
    assert "opt/mlship/lib/numpy/__init__.py" in found
    assert not [name for name in found if "__pycache__" in name]
    parts = {name.split("/")[4] for name in found if name.startswith("opt/mlship/lib/mlship/")}
    assert parts == {"__init__.py", "server"}
    assert server_layer(workplace, wheels(tmp_path / "w2"), inputs="1") == layer


def test_layers_for_another_architecture_go_without_compiled_files():
    base = write_layer_nowhere()
    assert compiler(BasePlan("bookworm", "linux/s390x", "/usr/bin/python3.11", ()), base) is None


def test_compiled_files_belong_to_the_key(workplace, tmp_path):
    folder = wheels(tmp_path / "w")
    plain = package_layers(workplace, folder, "/opt", (), inputs="1")
    bytecode = Bytecode(Compiler(write_layer_nowhere(), "/usr/bin/python3.11"), ("numpy",))
    with pytest.raises(MlshipError, match="its blob is missing"):
        package_layers(workplace, folder, "/opt", (), inputs="1", bytecode=bytecode)
    assert package_layers(workplace, folder, "/opt", (), inputs="1") == plain


def test_a_full_disk_is_one_clear_error(workplace):
    def make():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(MlshipError, match=r"nothing more can be written below .*: No space left on device") as raised:
        cached(workplace, "k" * 64, make)
    assert "MLSHIP_HOME" in raised.value.fix


def test_a_bug_is_not_taken_for_a_full_disk(workplace):
    def make():
        raise FileNotFoundError("x")

    with pytest.raises(FileNotFoundError):
        cached(workplace, "k" * 64, make)


def write_layer_nowhere():
    from mlship.oci.image import Descriptor, Layer

    return Layer(Descriptor("x", "sha256:" + "0" * 64, 0), "sha256:" + "1" * 64, 0)
