"""Archives of images: written alike, read only when nothing is wrong with them."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mlship.errors import MlshipError
from mlship.oci import archive
from mlship.oci.archive import Contents, write_archive
from mlship.oci.archive_reading import opened_archive
from mlship.oci.image import FRONT_LABEL, Image
from mlship.oci.layer import Entry, tar, write_layer
from mlship.oci.layout import Layout
from mlship.oci.referrers import Document
from mlship.progress import Silent


def made(layout: Layout, text: bytes = b"1", platform: str = "linux/amd64", **labels: str) -> Image:
    base = write_layer(layout, [Entry("base", content=b"base" * 100)], role="base", name="base")
    model = write_layer(layout, [Entry("model", content=text)], role="model", name="model")
    return layout.write_image([base, model], {"Labels": labels or {"mlship.project": "churn"}}, platform)


def contents(layout: Layout) -> Contents:
    images = (made(layout), made(layout, platform="linux/arm64"))
    front = made(layout, b"haproxy", **{FRONT_LABEL: "k1"})
    return Contents("churn", images, (front,), (Document("churn.spdx.json", "t", b"{}"),), {"git": "3f2a91c"})


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("packed")
    layout = Layout(folder / "here")
    write_archive(layout, contents(layout), folder / "churn.tar", "0.1", Silent())
    return (folder / "churn.tar").read_bytes()


@pytest.fixture
def file(packed: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "churn.tar"
    path.write_bytes(packed)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "there")


def taken(file: Path, store: Layout) -> tuple[Image, ...]:
    """Image and front of the first platform."""
    with opened_archive(file) as opened:
        wanted = [described.content for described in (opened.account.images[0], *opened.account.fronts)]
        return opened.take(store, wanted, Silent())


def refusal(file: Path, store: Layout) -> MlshipError:
    """Of the one clear error; nothing may have been taken in."""
    with pytest.raises(MlshipError) as raised:
        taken(file, store)
    assert not store.images() and not (list(store.blobs.iterdir()) if store.blobs.is_dir() else [])
    return raised.value


def test_images_come_out_as_they_went_in(file: Path, store: Layout, tmp_path: Path) -> None:
    image, front = taken(file, store)
    wanted = contents(Layout(tmp_path / "here"))
    assert (image, front) == (wanted.images[0], wanted.fronts[0])
    assert store.find("churn") == image
    assert all(store.has(layer.blob) for layer in (*image.layers, *front.layers))
    assert taken(file, store) == (image, front), "taking it again changes nothing"
    assert sorted(path.name for path in store.blobs.iterdir()) == sorted(
        {blob.digest[7:] for one in (image, front) for blob in archive.sent_blobs(store, one)}
    )


def test_other_programs_find_one_image_in_it(file: Path) -> None:
    with tarfile.open(file) as opened:
        files = {member.name: opened.extractfile(member).read() for member in opened if member.isfile()}  # type: ignore[union-attr]
    (entry,) = json.loads(files["index.json"])["manifests"]
    nested = json.loads(files["blobs/sha256/" + entry["digest"][7:]])
    assert [one["platform"]["architecture"] for one in nested["manifests"]] == ["amd64", "arm64"]
    assert [one["RepoTags"][0].split(":")[0] for one in json.loads(files["manifest.json"])] == [
        "mlship/churn", "mlship/churn", "mlship/front"]  # fmt: skip
    assert files["papers/churn.spdx.json"] == b"{}"


def test_the_same_contents_give_the_same_bytes(file: Path, tmp_path: Path) -> None:
    other = Layout(tmp_path / "elsewhere")
    write_archive(other, contents(other), tmp_path / "other.tar", "0.1", Silent())
    assert (tmp_path / "other.tar").read_bytes() == file.read_bytes()


def test_an_archive_that_is_cut_is_refused_wherever_it_ends(file: Path, store: Layout) -> None:
    raw = file.read_bytes()
    for length in (0, 100, 512, 700, 1600, 5000, len(raw) // 2, len(raw) - 1025, len(raw) - 1024):
        file.write_bytes(raw[:length])
        assert refusal(file, store).code == "damaged-archive", length


def test_an_archive_with_a_changed_byte_is_refused_wherever_it_is(file: Path, store: Layout) -> None:
    raw = file.read_bytes()
    with tarfile.open(file) as opened:
        files = [member for member in opened if member.isfile() and member.name != archive.HEAD]
    places = [member.offset_data + member.size // 2 for member in files]
    places += [member.offset + field for member in files[:3] for field in (2, 130)]  # its name, its size
    for place in places:
        file.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        assert refusal(file, store).code == "damaged-archive", raw[place - 20 : place + 20]


def rewritten(file: Path, change: Any) -> None:
    """The archive with its account changed and vouched for again, as by somebody who knows how."""
    with tarfile.open(file) as opened:
        files = {member.name: opened.extractfile(member).read() for member in opened if member.isfile()}  # type: ignore[union-attr]
    account = json.loads(files[archive.ACCOUNT])
    change(account, files)
    files[archive.ACCOUNT] = json.dumps(account).encode()
    files[archive.HEAD] = json.dumps(
        {**json.loads(files[archive.HEAD]), "account": sha256(files[archive.ACCOUNT]).hexdigest()}
    ).encode()
    file.write_bytes(b"".join(tar([Entry(name, content=content) for name, content in files.items()])))


def another_content(account: Any, files: Any) -> None:
    account["images"][0]["content"] = account["images"][1]["content"]


def another_project(account: Any, files: Any) -> None:
    account["project"] = "fraud"


def another_key(account: Any, files: Any) -> None:
    account["fronts"][0]["key"] = "k2"


def a_path_that_leads_out(account: Any, files: Any) -> None:
    account["images"][0]["manifest"]["digest"] = "sha256:../../../etc/passwd"


def a_list_for_a_map(account: Any, files: Any) -> None:
    account["files"] = []


def a_manifest_without_layers(account: Any, files: Any) -> None:
    content = b'{"config":{"digest":7}}'
    digest = sha256(content).hexdigest()
    files[f"blobs/sha256/{digest}"] = content
    account["files"][f"blobs/sha256/{digest}"] = digest
    account["images"][0]["manifest"] |= {"digest": f"sha256:{digest}", "size": len(content)}


def another_file(account: Any, files: Any) -> None:
    files["more"] = b"!"


def a_layer_less(account: Any, files: Any) -> None:
    name = next(name for name in files if name.startswith("blobs/") and files[name].startswith(b"\x1f\x8b"))
    del files[name], account["files"][name]


@pytest.mark.parametrize(
    "change",
    [another_content, another_project, another_key, a_path_that_leads_out, a_list_for_a_map, a_manifest_without_layers,
     another_file, a_layer_less],
)  # fmt: skip
def test_an_archive_that_contradicts_itself_is_refused(file: Path, store: Layout, change: Any) -> None:
    rewritten(file, change)
    assert refusal(file, store).code == "damaged-archive"


def test_a_layer_that_unpacks_to_something_else_is_refused(tmp_path: Path, store: Layout) -> None:
    layout = Layout(tmp_path / "here")
    honest = write_layer(layout, [Entry("model", content=b"1")], role="model", name="model")
    other = write_layer(layout, [Entry("model", content=b"2")], role="model", name="model")
    image = layout.write_image([replace(honest, blob=other.blob)], {"Labels": {"mlship.project": "churn"}}, "linux/amd64")
    write_archive(layout, Contents("churn", (image,), (), (), {}), tmp_path / "churn.tar", "0.1", Silent())
    assert "layer model is not what the image says" in refusal(tmp_path / "churn.tar", store).what


@pytest.mark.parametrize(
    "member",
    [
        {"name": "../evil"},
        {"name": "/etc/evil"},
        {"name": "a/./b"},
        {"name": "link", "type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"name": "hard", "type": tarfile.LNKTYPE, "linkname": archive.HEAD},
        {"name": "device", "type": tarfile.CHRTYPE},
        {"name": "index.json"},
        {"name": "sparse", "type": tarfile.GNUTYPE_SPARSE},
    ],
)
def test_a_member_that_mlship_would_not_write_is_refused(file: Path, store: Layout, member: dict[str, Any]) -> None:
    more = tarfile.TarInfo(member["name"])
    for name, value in member.items():
        setattr(more, name, value)
    with tarfile.open(file, "a") as opened:
        opened.addfile(more, io.BytesIO())
    assert refusal(file, store).code == "damaged-archive"


def test_an_archive_of_a_newer_mlship_says_so(file: Path, store: Layout) -> None:
    with tarfile.open(file) as opened:
        files = {member.name: opened.extractfile(member).read() for member in opened if member.isfile()}  # type: ignore[union-attr]
    files[archive.HEAD] = b'{"schema": 2, "mlship": "3.0", "new": []}'
    file.write_bytes(b"".join(tar([Entry(name, content=content) for name, content in files.items()])))
    error = refusal(file, store)
    assert (error.what, error.fix) == ("the archive was written by mlship 3.0", "upgrade mlship here")


@pytest.mark.parametrize(("content", "said"), [(b"\x1f\x8b" + bytes(600), "gunzip"), (b"PK" + bytes(2000), "no archive")])
def test_another_file_is_no_archive(tmp_path: Path, store: Layout, content: bytes, said: str) -> None:
    (tmp_path / "x").write_bytes(content)
    assert said in refusal(tmp_path / "x", store).what


def test_a_file_that_is_not_there_is_named(tmp_path: Path, store: Layout) -> None:
    assert refusal(tmp_path / "none.tar", store).code == "no-archive"


def test_a_damaged_blob_is_not_packed(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "here")
    packed = contents(layout)
    blob = layout.path(packed.images[0].layers[0].blob.digest)
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    with pytest.raises(MlshipError, match="was changed"):
        write_archive(layout, packed, tmp_path / "churn.tar", "0.1", Silent())
    assert not list(tmp_path.glob("*.tar"))


def test_without_room_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match="are needed below"):
        archive.need_room(tmp_path, 2**60)
