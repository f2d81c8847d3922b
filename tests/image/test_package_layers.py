import gzip
import io
import tarfile
from dataclasses import replace

import pytest
from made_elf import with_sections

from mlship.home import Home
from mlship.image import package_layers as rules
from mlship.image.package_layers import LIGHT, PURE, owned, package_layers, parts
from mlship.image.plan import Wheel
from mlship.image.workplace import Workplace
from mlship.progress import Silent
from mlship.runner import Command, Result

TARGET = "/opt/mlship/env"
NUMPY, SCIPY, JOBLIB = Wheel("numpy", "2.0", "aa" * 32), Wheel("scipy", "1.0", "bb" * 32), Wheel("joblib", "1.4", "cc" * 32)
WHEELS = (JOBLIB, NUMPY, SCIPY)


class NoPrograms:
    def run(self, command: Command) -> Result:
        raise AssertionError(f"{command.argv} was started")


@pytest.fixture(autouse=True)
def small(monkeypatch) -> None:
    monkeypatch.setattr(rules, "HEAVY", 100)


@pytest.fixture
def workplace(tmp_path) -> Workplace:
    return Workplace(Home(tmp_path / "home"), NoPrograms(), Silent(), {})


def installed(root, **sizes: int):
    """Each wheel has one module of so many bytes."""
    for name, size in sizes.items():
        info = root / f"{name}-1.dist-info"
        info.mkdir(parents=True)
        (root / name).mkdir()
        (root / name / "__init__.py").write_text("#" * size)
        (root / name / "__pycache__").mkdir()
        (root / name / "__pycache__" / "stale.cpython-311.pyc").write_text("of another place")
        (info / "RECORD").write_text(f"{name}/__init__.py,,\n{info.name}/RECORD,,\n")
    return root


def held(workplace, layer) -> list[str]:
    content = gzip.decompress(workplace.layout.path(layer.blob.digest).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return [member.name.removeprefix(TARGET[1:] + "/") for member in archive if not member.isdir()]


def test_a_heavy_wheel_has_its_own_layer_and_the_others_share_one(workplace, tmp_path):
    folder = installed(tmp_path / "w", joblib=10, numpy=200, scipy=300)
    layers = package_layers(workplace, folder, TARGET, WHEELS, inputs="1")
    assert [layer.name for layer in layers] == ["numpy", "scipy", LIGHT]
    assert [held(workplace, layer) for layer in layers] == [
        ["numpy-1.dist-info/RECORD", "numpy/__init__.py"],
        ["scipy-1.dist-info/RECORD", "scipy/__init__.py"],
        ["joblib-1.dist-info/RECORD", "joblib/__init__.py"],
    ]


def test_another_light_wheel_makes_no_heavy_layer_anew(workplace, tmp_path):
    before = package_layers(workplace, installed(tmp_path / "a", joblib=10, numpy=200), TARGET, (JOBLIB, NUMPY), inputs="1")
    newer = Wheel("joblib", "1.5", "dd" * 32)
    folder = installed(tmp_path / "b", joblib=11, numpy=200)
    (folder / "numpy/__init__.py").write_text("-" * 200)  # never read: the wheel is the same
    after = package_layers(workplace, folder, TARGET, (newer, NUMPY), inputs="2")
    assert after[0] == before[0]
    assert after[1].blob != before[1].blob


def test_only_the_heaviest_get_layers_where_there_are_many(monkeypatch, tmp_path):
    monkeypatch.setattr(rules, "MOST", 1)
    folder = installed(tmp_path / "w", joblib=10, numpy=200, scipy=300)
    assert [part.name for part in parts(folder, owned(folder), WHEELS)] == ["scipy", LIGHT]


def test_light_wheels_of_python_alone_have_the_same_layer_on_every_platform(workplace, tmp_path, monkeypatch):
    monkeypatch.setattr(rules, "HEAVY", 1000)
    layers = {}
    for platform, tag in (("linux/amd64", "cp311-manylinux_2_28_x86_64"), ("linux/arm64", "cp311-manylinux_2_28_aarch64")):
        folder = installed(tmp_path / platform, joblib=10, scipy=30, numpy=2000)
        for name, said in (("joblib", "py3-none-any"), ("scipy", f"cp311-{tag}"), ("numpy", f"cp311-{tag}")):
            tagged(folder, name, f"Tag: {said}")
        others = tuple(replace(wheel, sha256=platform[6:8] * 32) for wheel in (NUMPY, SCIPY))
        layers[platform] = package_layers(workplace, folder, TARGET, (JOBLIB, *others), inputs=platform)
    assert [layer.name for layer in layers["linux/amd64"]] == ["numpy", PURE, LIGHT]
    same = [one.blob == other.blob for one, other in zip(*layers.values(), strict=True)]
    assert same == [False, True, False]


def test_where_all_light_wheels_are_python_alone_there_is_no_layer_of_others(workplace, tmp_path, monkeypatch):
    monkeypatch.setattr(rules, "HEAVY", 1000)
    folder = installed(tmp_path / "w", joblib=10, numpy=2000)
    tagged(folder, "joblib", "Tag: py2-none-any\nTag: py3-none-any")
    tagged(folder, "numpy", "Tag: py3-none-any\nTag: cp311-cp311-linux_x86_64")
    assert [layer.name for layer in package_layers(workplace, folder, TARGET, (JOBLIB, NUMPY), inputs="1")] == ["numpy", PURE]


def tagged(folder, name: str, tags: str) -> None:
    wheel = folder / f"{name}-1.dist-info/WHEEL"
    wheel.write_text(f"Wheel-Version: 1.0\n{tags}\n")
    with wheel.with_name("RECORD").open("a") as record:
        record.write(f"{wheel.parent.name}/WHEEL,,\n")


def test_a_file_that_two_wheels_bring_is_in_one_layer(workplace, tmp_path):
    folder = installed(tmp_path / "w", numpy=200, scipy=300)
    (folder / "shared.py").write_text("x")
    for info in folder.glob("*.dist-info"):
        with (info / "RECORD").open("a") as record:
            record.write("shared.py,,\n")
    layers = package_layers(workplace, folder, TARGET, (NUMPY, SCIPY), inputs="1")
    assert ["shared.py" in held(workplace, layer) for layer in layers] == [True, False]


def test_layers_with_known_inputs_are_not_made_again(workplace, tmp_path):
    folder = installed(tmp_path / "w", numpy=200)
    first = package_layers(workplace, folder, TARGET, (NUMPY,), inputs="1")
    (folder / "numpy/__init__.py").unlink()
    assert package_layers(workplace, folder, TARGET, (NUMPY,), inputs="1") == first


def test_a_layer_whose_blob_is_gone_or_cut_is_made_again(workplace, tmp_path):
    folder = installed(tmp_path / "w", numpy=200)
    first = package_layers(workplace, folder, TARGET, (NUMPY,), inputs="1")
    for damage in (lambda path: path.unlink(), lambda path: path.write_bytes(b"")):
        damage(workplace.layout.path(first[0].blob.digest))
        assert package_layers(workplace, folder, TARGET, (NUMPY,), inputs="1") == first
        assert workplace.layout.has(first[0].blob)


def test_a_cut_record_is_made_again(workplace, tmp_path):
    folder = installed(tmp_path / "w", numpy=200)
    first = package_layers(workplace, folder, TARGET, (NUMPY,), inputs="1")
    for record in (workplace.home.cache / "layers").glob("*.*"):
        record.write_text(record.read_text()[:20])
    assert package_layers(workplace, folder, TARGET, (NUMPY,), inputs="1") == first


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("numpy/__pycache__/version.cpython-311.pyc", "numpy/version.py"),
        ("__pycache__/six.cpython-313.pyc", "six.py"),
        ("numpy/core.so", "numpy/core.so"),
    ],
)
def test_what_is_compiled_lies_where_its_source_does(path, source):
    assert rules.source_of(path) == source


def test_tests_are_left_out_unless_the_package_is_kept_whole(workplace, tmp_path):
    folder = installed(tmp_path / "w", numpy=200)
    (folder / "numpy/tests").mkdir()
    (folder / "numpy/tests/test_all.py").write_text("")
    with (folder / "numpy-1.dist-info/RECORD").open("a") as record:
        record.write("numpy/tests/test_all.py,,\n")
    stripped = package_layers(workplace, folder, TARGET, (NUMPY,), inputs="1")
    whole = package_layers(workplace, folder, TARGET, (NUMPY,), inputs="1", whole=("NumPy",))
    assert "numpy/tests/test_all.py" not in held(workplace, stripped[0])
    assert "numpy/tests/test_all.py" in held(workplace, whole[0])


def test_libraries_lose_debug_information_unless_the_package_is_kept_whole(workplace, tmp_path):
    folder = installed(tmp_path / "w", numpy=200)
    size = with_sections(folder / "numpy/_core.so").stat().st_size
    with (folder / "numpy-1.dist-info/RECORD").open("a") as record:
        record.write("numpy/_core.so,,\n")
    sizes = [
        layer.size
        for whole in ((), ("numpy",))
        for layer in package_layers(workplace, folder, TARGET, (NUMPY,), inputs="1", whole=whole)[:1]
    ]
    assert sizes[1] - sizes[0] > 49_000
    assert (folder / "numpy/_core.so").stat().st_size == size
