"""A small image with everything that papers speak of, in the places where real images have it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from mlship.image.plan import CODE, MANIFEST, MODELS, PACKAGES, SERVER
from mlship.oci.image import Image
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import Layout
from mlship.server.manifest import Manifest, Model, to_json

MODEL = b"a forest"
SHA256 = hashlib.sha256(MODEL).hexdigest()
DEB = "d" * 64
FORMAT = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: x\n"

BASE = {
    "/usr/lib/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
    "/etc/os-release": Path("../usr/lib/os-release"),
    "/var/lib/dpkg/status.d/zlib1g": f"""Package: zlib1g
Status: install ok installed
Source: zlib
Version: 1:1.2.13.dfsg-1
Architecture: amd64
Maintainer: Mark Brown <broonie@debian.org>
Depends: libc6 (>= 2.14)
Description: compression library
 runtime
SHA256: {DEB}
""",
    "/var/lib/dpkg/status.d/libc6": """Package: libc6
Status: install ok installed
Source: glibc
Version: 2.36-9+deb12u14
Architecture: amd64
Depends: libgcc-s1 | libgcc1, libcrypt1 (>= 1:4.4.10-10~)
""",
    "/var/lib/dpkg/status.d/libgcc-s1": """Package: libgcc-s1
Status: install ok installed
Source: gcc-12 (12.2.0-14)
Version: 12.2.0-14+b1
Architecture: amd64
Depends: gcc-12-base (= 12.2.0-14), libc6:any
Provides: libgcc1 (= 1:12.2.0-14)
""",
    "/var/lib/dpkg/status.d/gone": "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n",
    "/usr/share/doc/zlib1g/copyright": f"{FORMAT}\nFiles: *\nLicense: Zlib\n\nFiles: debian/*\nLicense: GPL-2+ or Expat\n",
    "/usr/share/doc/gcc-12-base/copyright": f"{FORMAT}\nFiles: *\nLicense: mine\n do what you like\n .\n but ask\n",
    "/usr/share/doc/libgcc-s1": Path("gcc-12-base"),
    "/usr/share/doc/libc6/copyright": "This is the Debian prepackaged version of the GNU C Library. License: somewhere\n",
}
WHEELS = {
    f"{PACKAGES}/scikit_learn-1.9.1.dist-info/METADATA": """Metadata-Version: 2.4
Name: scikit-learn
Version: 1.9.1
License-Expression: BSD-3-Clause
Requires-Dist: numpy>=1.24
Requires-Dist: not_installed; extra == "docs"
Requires-Dist: tomli; python_version < "3.11"
Requires-Dist: joblib[fast]>=1

Name: this is the description
""",
    f"{PACKAGES}/numpy-2.4.6.dist-info/METADATA": "Metadata-Version: 2.1\nName: numpy\nVersion: 2.4.6\nLicense: BSD\n",
    f"{PACKAGES}/joblib-1.6.dist-info/METADATA": """Metadata-Version: 2.1
Name: joblib
Version: 1.6
Classifier: License :: OSI Approved :: MIT License
Requires-Dist: lz4; extra == "fast"
Requires-Dist: numpy; extra == "arrays"
""",
    f"{PACKAGES}/lz4-4.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: lz4\nVersion: 4.0\n",
    f"{PACKAGES}/tomli-2.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tomli\nVersion: 2.0\n",
    f"{PACKAGES}/orjson-3.13.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: orjson\nVersion: 3.13.0\n",
}
PROGRAM = {
    f"{SERVER}/orjson-3.13.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: orjson\nVersion: 3.13.0\n",
    f"{SERVER}/uvloop-0.23.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: uvloop\nVersion: 0.23.0\n",
    f"{SERVER}/mlship/__init__.py": '__version__ = "0.1.0"\n',
    f"{SERVER}/mlship/server/packages.txt": "# pins\norjson==3.13.0\nuvloop==0.23.0\n",
    f"{SERVER}/mlship/server/__pycache__/app.pyc": "compiled",
    f"{CODE}/churn/features.py": "X = 1\n",
}


def manifest(*models: Model) -> bytes:
    return to_json(Manifest("churn", models or (Model("forest", "sklearn", "joblib", "models/forest/m.joblib", SHA256),)))


def layout_with(
    folder: Path, *more: Mapping[str, str | bytes | Path], files: Mapping[str, bytes] | None = None, described: bytes = b""
) -> tuple[Layout, Image]:
    """The image, with more layers on top. files: the models' files by absolute path."""
    layout = Layout(folder)
    models = files if files is not None else {f"{MODELS}/forest/m.joblib": MODEL}
    layers = (BASE, WHEELS, PROGRAM, models, {MANIFEST: described or manifest()}, *more)
    written = [write_layer(layout, map(_entry, layer.items()), role="x", name=str(n)) for n, layer in enumerate(layers)]
    image = layout.write_image(written, {"Labels": {"mlship.project": "churn"}}, "linux/amd64")
    return layout, image


def _entry(item: tuple[str, str | bytes | Path]) -> Entry:
    path, content = item
    if isinstance(content, Path):
        return Entry(path[1:], mode=0o777, link=str(content))
    return Entry(path[1:], content=content.encode() if isinstance(content, str) else content)
