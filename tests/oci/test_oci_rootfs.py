import hashlib
import io
import os
import tarfile

import pytest

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.oci import rootfs
from mlship.oci.image import Layer
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import Layout

LOADER = "usr/lib64/ld-linux-x86-64.so.2"
BASE = [
    Entry(LOADER, mode=0o755, content=b"loader"),
    Entry("usr/bin/python3.11", mode=0o755, content=b"python"),
    Entry("usr/share/x", content=b"x"),
    Entry("lib64", mode=0o777, link="usr/lib64"),
]


def foreign_layer(layout: Layout, *members: tuple[tarfile.TarInfo, bytes], diff_id: str = "") -> Layer:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    content = output.getvalue()
    blob = layout.put_blob(content, "application/vnd.oci.image.layer.v1.tar")
    return Layer(blob, diff_id or f"sha256:{hashlib.sha256(content).hexdigest()}", len(content), name="evil")


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


@pytest.fixture
def place(tmp_path):
    return Layout(tmp_path / "images"), Home(tmp_path)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "none"])
def test_a_layer_is_unpacked_once_and_read_only(place, kind):
    layout, home = place
    layer = write_layer(layout, BASE, role="base", name="b", compression=kind)
    folder = rootfs.unpack_layer(layout, layer, home)
    assert (folder / "usr/bin/python3.11").stat().st_mode & 0o777 == 0o555
    assert (folder / "usr/share/x").stat().st_mode & 0o777 == 0o444
    assert str((folder / "lib64").readlink()) == "usr/lib64"
    layout.path(layer.blob.digest).unlink()
    assert rootfs.unpack_layer(layout, layer, home) == folder


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ([(member("../escaped"), b"x")], "is not one that mlship unpacks"),
        ([(member("a/../../escaped"), b"x")], "is not one that mlship unpacks"),
        ([(member("out", tarfile.SYMTYPE, "/tmp"), b""), (member("out/escaped"), b"x")], "a path leads through the link out"),
        (
            [(member("hard", tarfile.LNKTYPE, "/etc/passwd"), b"")],
            "'hard' is a link to '/etc/passwd', which the layer does not have",
        ),
        (
            [(member("out", tarfile.SYMTYPE, "/etc"), b""), (member("hard", tarfile.LNKTYPE, "out/passwd"), b"")],
            "through the link out",
        ),
        ([(member("a"), b"x"), (member("a/escaped"), b"x")], "a path leads through the file a"),
        ([(member("odd", b"Z"), b"")], "neither file, folder nor link"),
    ],
)
def test_nothing_is_written_outside_the_folder(place, bad, reason):
    layout, home = place
    with pytest.raises(MlshipError, match=f"layer evil cannot be used: .*{reason}"):
        rootfs.unpack_layer(layout, foreign_layer(layout, *bad), home)
    assert list(home.root.rglob("escaped")) == []
    assert [path for path in (home.cache / "unpacked").iterdir() if path.is_dir()] == []


def test_links_cannot_point_out_of_the_root(place):
    layout, home = place
    layer = foreign_layer(
        layout,
        (member("a/x", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (member("a/y", tarfile.SYMTYPE, "../../../etc/passwd"), b""),
        (member("z", tarfile.LNKTYPE, "a/x"), b""),
    )
    folder = rootfs.unpack_layer(layout, layer, home)
    assert str((folder / "a/x").readlink()) == str((folder / "a/y").readlink()) == "../etc/passwd"
    assert str((folder / "z").readlink()) == "etc/passwd"


def test_members_are_taken_as_engines_take_them(place):
    layout, home = place
    layer = foreign_layer(
        layout,
        (member("./", tarfile.DIRTYPE), b""),
        (member("./a"), b"first"),
        (member("/a"), b"second"),
        (member("dev/null", tarfile.CHRTYPE), b""),
        (member("b", tarfile.LNKTYPE, "./a"), b""),
    )
    folder = rootfs.unpack_layer(layout, layer, home)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]
    assert (folder / "b").read_text() == (folder / "a").read_text() == "second"


def test_an_upper_layer_hides_what_it_says_and_never_writes_through_links_below(place, tmp_path):
    layout, home = place
    lower = foreign_layer(
        layout,
        *((member(name), b"lower") for name in ("gone/x", "opaque/x", "file", "folder/x", "kept/x", "single", "outside/x")),
        (member("link", tarfile.SYMTYPE, "/outside"), b""),
    )
    upper = foreign_layer(
        layout,
        *(
            (member(name), b"")
            for name in (".wh.gone", "opaque/.wh..wh..opq", "kept/.wh.none", ".wh.single", ".wh..wh.plnk", ".wh...", ".wh.")
        ),
        *((member(name), b"upper") for name in ("opaque/y", "file/y", "folder", "link/y")),
    )
    root = rootfs.assemble(layout, [lower, upper], tmp_path / "root", home)
    files = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}
    assert files == {
        "opaque/y": "upper",
        "file/y": "upper",
        "folder": "upper",
        "link/y": "upper",
        "kept/x": "lower",
        "outside/x": "lower",
    }


def test_an_interpreter_elsewhere_is_started_with_its_own_home_and_libraries(place, tmp_path):
    layout, home = place
    files = [
        Entry("lib64/ld-linux-x86-64.so.2", mode=0o755, content=b"loader"),
        Entry("usr/local/bin/python3.12", mode=0o755, content=b"python"),
        Entry("usr/local/lib/libpython3.12.so.1.0", content=b"x"),
        Entry("opt/cuda/lib/libx.so", content=b"x"),
        Entry("etc/ld.so.conf.d/local.conf", content=b"# ours\n/usr/local/lib\n/none\n"),
    ]
    layers = [write_layer(layout, files, role="base", name="b")]
    python = "/usr/local/bin/python3.12"
    root = rootfs.assemble(layout, layers, tmp_path / "root", home, python=python)
    environ = {"LD_LIBRARY_PATH": "/opt/cuda/lib:/opt/none", "PATH": "/usr/local/bin:/bin:"}
    command = rootfs.command(root, (python,), environ)
    assert command.argv[0] == f"{root}/lib64/ld-linux-x86-64.so.2"
    folders = ("opt/cuda/lib", "usr/lib/x86_64-linux-gnu", "usr/lib", "usr/local/lib", "lib64")
    assert command.argv[3] == ":".join(f"{root}/{folder}" for folder in folders)
    assert command.argv[5] == f"{root}/.mlship/python3.12"
    assert command.environ["PYTHONHOME"] == f"{root}/usr/local"
    assert command.environ["PATH"] == f"{root}/usr/local/bin:{root}/bin"
    assert '"$root"/usr/local/bin/python3.12 "$@"' in (root / ".mlship/python3.12").read_text()


def test_a_layer_with_another_digest_is_refused(place):
    layout, home = place
    layer = write_layer(layout, BASE, role="base", name="b", compression="none")
    path = layout.path(layer.blob.digest)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"loader", b"reload"))
    with pytest.raises(MlshipError, match="its blob has the digest sha256:"):
        rootfs.unpack_layer(layout, layer, home)
    wrong = foreign_layer(layout, (member("a"), b"1"), diff_id="sha256:" + "0" * 64)
    with pytest.raises(MlshipError, match=r"its files have the digest .*, not sha256:0000"):
        rootfs.unpack_layer(layout, wrong, home)
    path.unlink()
    with pytest.raises(MlshipError, match="its blob is missing"):
        rootfs.unpack_layer(layout, layer, home)


def test_a_cut_layer_is_refused(place):
    layout, home = place
    layer = write_layer(layout, [Entry("a", content=os.urandom(100_000))], role="base", name="b")
    layout.path(layer.blob.digest).write_bytes(layout.path(layer.blob.digest).read_bytes()[:50_000])
    with pytest.raises(MlshipError, match="layer b cannot be used"):
        rootfs.unpack_layer(layout, layer, home)


def test_a_layer_of_unknown_form_is_refused(place):
    layout, home = place
    blob = layout.put_blob(b"", "application/vnd.docker.image.rootfs.foreign.diff.tar")
    with pytest.raises(MlshipError, match=r"its media type .*foreign.diff.tar is unknown"):
        rootfs.unpack_layer(layout, Layer(blob, "sha256:" + "1" * 64, 0, name="x"), home)


def test_layers_are_assembled_by_hard_links_into_one_root(place, tmp_path):
    layout, home = place
    layers = [
        write_layer(layout, BASE, role="base", name="b"),
        write_layer(layout, [Entry("opt/mlship/manifest.json", content=b"{}")], role="configuration", name="c"),
    ]
    root = rootfs.assemble(layout, layers, tmp_path / "root", home)
    assert (root / "opt/mlship/manifest.json").read_text() == "{}"
    assert (root / "usr/bin/python3.11").stat().st_nlink == 2
    assert (root / "lib64").is_symlink()
    marker = (root / ".mlship/python3.11").stat().st_mtime_ns
    assert rootfs.assemble(layout, layers, tmp_path / "root", home) == root
    assert (root / ".mlship/python3.11").stat().st_mtime_ns == marker


def test_a_program_starts_by_the_images_own_loader(place, tmp_path):
    layout, home = place
    root = rootfs.assemble(layout, [write_layer(layout, BASE, role="base", name="b")], tmp_path / "a root", home)
    argv = ("/usr/bin/python3.11", "-m", "mlship.server", "/usr/share/x", "/usr/share/none", "/tmp/host")
    command = rootfs.command(
        root, argv, {"PYTHONPATH": "/opt/mlship/lib:/opt/mlship/env", "LD_LIBRARY_PATH": "/x", "A": "/usr/share/x"}
    )
    assert command.argv == (
        f"{root}/{LOADER}",
        "--inhibit-cache",
        "--library-path",
        f"{root}/usr/lib/x86_64-linux-gnu:{root}/usr/lib:{root}/usr/lib64",
        "--argv0",
        f"{root}/.mlship/python3.11",
        f"{root}/usr/bin/python3.11",
        "-m",
        "mlship.server",
        f"{root}/usr/share/x",
        "/usr/share/none",
        "/tmp/host",
    )
    assert command.environ == {
        "PATH": f"{root}/usr/bin",
        "PYTHONHOME": f"{root}/usr",
        "PYTHONTZPATH": f"{root}/usr/share/zoneinfo",
        "SSL_CERT_FILE": f"{root}/etc/ssl/certs/ca-certificates.crt",
        "OPENSSL_CONF": f"{root}/etc/ssl/openssl.cnf",
        "PYTHONPATH": f"{root}/opt/mlship/lib:{root}/opt/mlship/env",
        "A": f"{root}/usr/share/x",
    }


def test_the_launcher_finds_its_root_from_its_own_place(place, tmp_path):
    layout, home = place
    root = rootfs.assemble(layout, [write_layer(layout, BASE, role="base", name="b")], tmp_path / "root", home)
    text = (root / ".mlship/python3.11").read_text()
    assert text.startswith('#!/bin/sh\nroot="${0%/.mlship/*}"\n')
    assert str(root) not in text


def test_a_program_that_the_image_lacks_is_named(place, tmp_path):
    layout, home = place
    root = rootfs.assemble(layout, [write_layer(layout, BASE, role="base", name="b")], tmp_path / "root", home)
    with pytest.raises(MlshipError, match=r"the image has no program /usr/bin/python3.12"):
        rootfs.command(root, ("/usr/bin/python3.12",), {})
    with pytest.raises(MlshipError, match="have no dynamic loader that mlship knows"):
        rootfs.command(tmp_path, ("/usr/bin/python3.11",), {})
