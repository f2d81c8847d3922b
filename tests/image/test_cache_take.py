from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from pytest import fixture, mark, raises

from mlship.errors import MlshipError
from mlship.flows.gating.qualities import Qualities, Quality
from mlship.home import Home
from mlship.image.cache.export import Wanted, export
from mlship.image.cache.take import take
from mlship.oci.archive_members import sum_of
from mlship.oci.layer import Entry, tar, write_layer
from mlship.oci.layout import Layout
from mlship.progress import Silent

KEY, DEB = "a" * 64, sum_of(b"a package")


def filled(folder: Path) -> Home:
    """A home with an image, its keys and records, a download and an installed folder."""
    home = Home(folder)
    layout = Layout(home.images)
    layer = write_layer(layout, [Entry("file", content=b"code")], role="code", name="code")
    image = layout.write_image([layer], {"Labels": {"mlship.project": "shop"}}, "linux/amd64")
    for name, text in {
        f"cache/debs/{DEB}": "a package",
        f"cache/packages/{KEY}/numpy/core.py": "import this",
        f"cache/models/{KEY}/churn/model.joblib": "the bytes of a model",
        f"cache/layers/{KEY}.json": json.dumps({"blob": {"digest": layer.blob.digest}}),
        f"cache/layers/{'b' * 64}.list": json.dumps([KEY]),
        f"images/records/{image.content[7:]}.json": json.dumps({"content": image.content}),
        f"images/benches/{image.content[7:]}.json": json.dumps({"schema": 1, "content": image.content, "models": []}),
        f"images/inputs/{KEY}": f"{image.content} {image.manifest.digest}",
    }.items():
        path = home.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    Qualities(home.images).write(image.content, "shop", Quality(200, "c" * 64, {"auc": 0.9}))
    return home


def files(home: Home) -> dict[str, bytes]:
    found = (path for path in home.root.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(home.root)): path.read_bytes() for path in found}


@fixture
def archive(tmp_path):
    home = filled(tmp_path / "home")
    export(home, Wanted(), tmp_path / "cache.tar", Silent())
    return tmp_path / "cache.tar"


def changed(archive: Path, change) -> Path:
    """The same file with members that `change` made others of: it gets name -> content, and may put anything in it."""
    with tarfile.open(archive) as opened:
        members = {member.name: opened.extractfile(member).read() for member in opened if member.isfile()}
    change(members)
    archive.write_bytes(b"".join(tar(Entry(name, content=content) for name, content in members.items())))
    return archive


def with_account(members, change):
    account = json.loads(members["account.json"])
    change(account)
    members["account.json"] = json.dumps(account).encode()
    head = json.loads(members["mlship-cache.json"])
    members["mlship-cache.json"] = json.dumps({**head, "account": sum_of(members["account.json"])}).encode()


def test_a_cache_comes_to_another_machine_whole(archive, tmp_path):
    there = Home(tmp_path / "there")
    taken = take(there, archive, Silent())
    assert (taken.downloads, taken.folders, taken.images) == (1, 2, 1)
    assert files(there) == files(Home(tmp_path / "home"))
    [content] = {path.stem for path in (there.images / "records").iterdir()}
    assert Qualities(there.images).of(content, "shop", "c" * 64) == Quality(200, "c" * 64, {"auc": 0.9})
    again = take(there, archive, Silent())
    assert (again.blobs, again.downloads, again.folders) == (0, 0, 0)


def test_of_a_project_its_own_images_alone_are_exported(tmp_path):
    export(filled(tmp_path / "home"), Wanted("other", frozenset(), frozenset(), frozenset()), tmp_path / "cache.tar", Silent())
    with tarfile.open(tmp_path / "cache.tar") as opened:
        assert sorted(opened.getnames()) == ["account.json", "mlship-cache.json"]


@mark.parametrize(
    ("change", "why"),
    [
        (lambda m: m.update({f"debs/{DEB}": b"another"}), f"the download {DEB[:12]} is damaged"),
        (lambda m: m.update({next(n for n in m if n.startswith("blobs/")): b"another"}), "is damaged"),
        (lambda m: m.pop(next(n for n in m if n.startswith("blobs/"))), "does not belong|is not whole|the blob"),
        (lambda m: m.update({next(n for n in m if n.startswith("folders/")): b"another"}), "the blob .* is damaged"),
        (lambda m: m.update({"account.json": b"{}"}), "account.json is damaged"),
        (lambda m: m.pop("mlship-cache.json"), "it is no cache of mlship"),
        (lambda m: m.update({"cache/evil": b""}), "'cache/evil' does not belong to a cache"),
        (lambda m: with_account(m, lambda a: a["documents"].update({"local/shop/history.json": "{}"})), "does not belong"),
        (lambda m: with_account(m, lambda a: a["documents"].update({f"cache/layers/../{KEY}.json": "{}"})), "does not belong"),
        (
            lambda m: with_account(m, lambda a: a["documents"].update({f"cache/layers/{'c' * 64}.json": "[]"})),
            "does not belong",
        ),
        (lambda m: with_account(m, lambda a: a["folders"][0].update(name="../../evil")), "does not belong to a cache"),
        (lambda m: with_account(m, lambda a: a["folders"][0].update(kind="../local")), "does not belong to a cache"),
        (lambda m: with_account(m, lambda a: a.pop("images")), "it is damaged, or no cache of mlship"),
    ],
)
def test_what_mlship_would_not_have_written_is_refused(archive, tmp_path, change, why):
    there = Home(tmp_path / "there")
    with raises(MlshipError, match=why) as refused:
        take(there, changed(archive, change), Silent())
    assert refused.value.exit == 5
    for name, content in files(there).items():
        assert name.startswith(("images/blobs/", "cache/debs/", "images/oci-layout", "cache/layers", "cache/packages")), name
        if "blobs" in name or "debs" in name:
            assert sum_of(content) == name.rpartition("/")[2]


def test_a_folder_with_a_link_that_leads_out_is_refused(archive, tmp_path):
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as opened:
        opened.addfile(tarfile.TarInfo("../../evil"))
    content = evil.getvalue()

    def change(members):
        del members[next(name for name in members if name.startswith("folders/"))]
        members[f"folders/{sum_of(content)}"] = content
        blob = {
            "media_type": "application/vnd.oci.image.layer.v1.tar",
            "digest": f"sha256:{sum_of(content)}",
            "size": len(content),
        }
        with_account(members, lambda a: a["folders"][0]["layer"].update(blob=blob, diff_id=f"sha256:{sum_of(content)}"))

    with raises(MlshipError, match="is not one that mlship unpacks"):
        take(Home(tmp_path / "there"), changed(archive, change), Silent())
    assert not (tmp_path / "there/cache/packages").exists()


def test_a_file_that_is_no_archive_and_one_that_is_cut_are_told_apart_from_a_bug(archive, tmp_path):
    whole = archive.read_bytes()
    for content in (b"", b"no tar at all", whole[: len(whole) // 2], b"\x1f\x8b" + whole):
        archive.write_bytes(content)
        with raises(MlshipError, match="cannot be taken"):
            take(Home(tmp_path / "there"), archive, Silent())
    with raises(MlshipError, match="there is no file"):
        take(Home(tmp_path / "there"), tmp_path / "none", Silent())


def test_a_file_of_a_newer_mlship_is_refused(archive, tmp_path):
    def newer(members):
        members["mlship-cache.json"] = json.dumps({"schema": 2, "mlship": "9.0", "account": ""}).encode()

    with raises(MlshipError, match=r"written by mlship 9\.0"):
        take(Home(tmp_path / "there"), changed(archive, newer), Silent())


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with raises(MlshipError, match=r"nothing more can be written below .*file: .*; make it a folder .*, or name another file"):
        export(filled(tmp_path / "home"), Wanted(), tmp_path / "file" / "cache.tar", Silent())
