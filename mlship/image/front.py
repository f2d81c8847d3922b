"""The image of the docker target's front: HAProxy and mlship's keeper, from the machine's own signed packages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import mlship
from mlship.disk import disk_errors
from mlship.image.builder import base_layer, cached, compiler, key, oci_config, written
from mlship.image.bytecode import Compiler, compile_files
from mlship.image.plan import SERVER, BasePlan, ImageConfig
from mlship.image.system.apt import Archive
from mlship.image.system.base import base_plan
from mlship.image.workplace import Workplace, scratch
from mlship.oci.image import FRONT_HAS, FRONT_LABEL, FRONT_MADE, FRONT_PACKAGES, Image, Layer
from mlship.oci.layer import Entry, entries_of_folder, without_bytecode

# Part of every key. Raise it when the same keeper shall get another image: other packages, another command.
FRONT = 2

_PROGRAM = "haproxy"
_UNDER = ("base-files", "libc-bin", "libc6")
# What neither HAProxy nor the keeper loads: a third of the base. Names of modules stand for their compiled files as well.
# Packages that nothing is left of are not said to be installed: scanners would report them.
_NEEDLESS = r"""(?x)
    etc/(haproxy|rsyslog\.d|gss|netconfig|python3\.\d+)(/|$)
    | usr/s?bin/halog$
    | usr/share/(libgcrypt20|dict|misc)(/|$)
    | usr/lib/[^/]+/(krb5|engines-3|lib(db-5|sqlite3|readline|history|ncursesw|tinfo|tic|formw|menuw|panelw|krb5|k5crypto
        |krb5support|gssapi_krb5|com_err|keyutils|tirpc|nsl|uuid|expatw|lua5\.\d-c\+\+|opentracing_mocktracer|c_malloc_debug
        |memusage|pcprofile|nss_hesiod|nss_compat|mvec)\b)
    | usr/lib/python3\.\d+/(asyncio|ctypes|curses|dbm|distutils|ensurepip|lib2to3|multiprocessing|pydoc_data|sqlite3|tomllib
        |unittest|venv|wsgiref|xml|xmlrpc|zoneinfo|__phello__|_pyrepl)(/|$)
    | usr/lib/python3\.\d+/(__pycache__/)?(turtle|pydoc|doctest|pdb|_pydecimal|mailbox|smtplib|ftplib|imaplib|nntplib|poplib
        |telnetlib|webbrowser|tarfile|zipfile|cProfile|pstats|optparse)\.
    | usr/lib/python3\.\d+/lib-dynload/(_codecs_|_sqlite3|_dbm|_curses|readline|_ctypes|_test|_xx|nis|_uuid|_zoneinfo|_asyncio
        |_multiprocessing|_elementtree|ossaudiodev|audioop)
    | (var/lib/dpkg/status\.d|usr/share/doc)/(libsqlite3-0|libuuid1)(\.md5sums)?(/|$)
"""


def front_key() -> str:
    """Names what a front can do: the keeper's files and the recipe, not the platform and the packages' versions.

    The release of the operating system does not count: two machines with different ones, deploying in turn, would replace
    each other's front each time, and a front that is replaced closes its port.
    """
    return hashlib.sha256(f"{FRONT} {_digest(keeper_sources())}".encode()).hexdigest()[:12]


def front_image(workplace: Workplace, archive: Callable[[], Archive], platform: str) -> Image:
    """The front for a platform such as `linux/amd64`; made unless the layout has it, and `archive` is called only then.

    Raises MlshipError: exit 13 when the archive cannot be reached, exit 5 when what it gives is not signed.
    """
    return _in_layout(workplace, platform, front_key()) or new_front_image(workplace, archive, platform)


def new_front_image(workplace: Workplace, archive: Callable[[], Archive], platform: str) -> Image:
    """As front_image, of the packages that are the newest ones now; only their layers are used again where they are the same."""
    workplace.progress.step("front", "HAProxy and the keeper, from signed packages")
    source = archive()
    plan = base_plan(workplace, source, "", platform=platform, packages=(_PROGRAM,), under=_UNDER)
    base = base_layer(workplace, plan, lambda: source, left_out=_NEEDLESS)
    layers = (base, _keeper_layer(workplace, plan, base))
    with disk_errors(workplace.home.root):
        config = front_config(plan.python, front_key(), about(plan, datetime.now(UTC).date()))
        return workplace.layout.write_image(layers, oci_config(config), platform)


def about(plan: BasePlan, today: date) -> dict[str, str]:
    """What the image's labels tell of its packages."""
    versions = {package.name: package.version for package in plan.packages}
    openssl = next((version for name, version in versions.items() if name.startswith("libssl3")), "none")
    text = "\n".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return {
        FRONT_HAS: f"HAProxy {versions.get(_PROGRAM, 'none')}, OpenSSL {openssl}",
        FRONT_PACKAGES: hashlib.sha256(f"{plan.suite} {plan.platform}\n{text}".encode()).hexdigest()[:12],
        FRONT_MADE: today.isoformat(),
    }


def keeper_sources() -> list[Entry]:
    """The closed part `mlship/keeper` at its place below /opt/mlship/lib. `mlship/__init__.py` is empty there: it holds only

    the version, and the same keeper of another version is the same front.
    """
    folder = Path(mlship.__file__).parent / "keeper"
    sources = without_bytecode(entries_of_folder(folder, f"{SERVER}/mlship/keeper"))
    return [Entry(f"{SERVER[1:]}/mlship/__init__.py"), *sources]


def front_config(python: str, key: str, about: Mapping[str, str]) -> ImageConfig:
    """python: path of the interpreter inside the image. about: more labels."""
    return ImageConfig(
        entrypoint=(python, "-s", "-S", "-P", "-m", "mlship.keeper"),
        cmd=("front", "/state"),
        env={"PYTHONPATH": SERVER, "PYTHONDONTWRITEBYTECODE": "1"},
        labels={**about, FRONT_LABEL: key, "org.opencontainers.image.title": "mlship front"},
    )


def _in_layout(workplace: Workplace, platform: str, this: str) -> Image | None:
    """The newest one. Images without a project are few: every other one carries its project's name."""
    layout = workplace.layout
    found = [
        image
        for image in layout.images()
        if image.labels.get(FRONT_LABEL) == this
        and image.platform == platform
        and all(layout.has(layer.blob) for layer in image.layers)
    ]
    return max(found, key=lambda image: image.labels.get(FRONT_MADE, ""), default=None)


def _keeper_layer(workplace: Workplace, plan: BasePlan, base: Layer) -> Layer:
    sources = keeper_sources()
    compiled_by = compiler(plan, base)
    facts = {"sources": _digest(sources), "base": base.diff_id, "compiled": compiled_by is not None}

    def make() -> Layer:
        with scratch(workplace) as compiled:
            if compiled_by is not None:
                _compile(workplace, compiled_by, sources, compiled)
            return written(workplace, (*sources, *entries_of_folder(compiled, "/")), "server", "keeper")

    return cached(workplace, key("keeper", facts, workplace.compression), make)


def _compile(workplace: Workplace, by: Compiler, sources: list[Entry], into: Path) -> None:
    files = [(entry.source, f"/{entry.path}") for entry in sources if entry.source and entry.source.suffix == ".py"]
    compile_files(workplace, by.root(workplace), by.python, files, into)


def _digest(sources: list[Entry]) -> str:
    return hashlib.sha256("\n".join(_lines(sources)).encode()).hexdigest()


def _lines(sources: list[Entry]) -> Iterator[str]:
    for entry in sorted(sources, key=lambda entry: entry.path):
        content = entry.source.read_bytes() if entry.source else entry.content
        yield f"{hashlib.sha256(content).hexdigest()}  {entry.path}"
