"""What is known of a model before anything of it is loaded, and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mlship.errors import Finding
from mlship.frameworks.engine_choice import INT8, EngineFacts
from mlship.memo import State
from mlship.server.manifest import Reference, Signature, Tolerance
from mlship.server.names import Problem
from mlship.server.pickle_scan import Scan


@dataclass(frozen=True)
class ModelFile:
    """One file of a model on this machine. name: its path inside the model folder, `/` between parts.

    state: when its digest was taken (mlship/memo.py).
    """

    path: Path
    name: str
    sha256: str
    size: int
    state: State = ()


@dataclass(frozen=True)
class Origin:
    """A model that was fetched. path: where it lies now. version: what pins it at its source. sha256: of all that was fetched."""

    path: Path
    version: str
    sha256: str


@dataclass(frozen=True)
class CodeFile:
    """One file of the user's own packages. name: its path below the folder that goes on sys.path. state: as ModelFile's."""

    path: Path
    name: str
    sha256: str
    size: int
    state: State = ()


@dataclass(frozen=True)
class Pinned:
    """The packages that trained a model, as the tool that packed it wrote them down beside it.

    file: where they stand. lines: requirements (PEP 508) without the tool's own package. python: `3.11.7`, or "".
    is_whole: all of them go into the image, whatever the model is seen to import.
    """

    file: Path
    lines: tuple[str, ...]
    python: str = ""
    is_whole: bool = False


@dataclass(frozen=True)
class Packed:
    """A model as another tool packed it: what of it is served, and what the package says about it.

    path: the file or folder that the server loads. beside: folders whose files belong into that one. framework: "" where the file
    itself tells it. method: what to call, "" for what is usual. code: a folder with modules that the model may need. vouched:
    names that whoever saved it trusts: shown, never taken. loader: the class that the package brings for the file's weights:
    shown, too. sample: example rows. declared: what it should take, as the package says. versions: as ModelSpec's. what: for
    people. remedies: by a finding's code, what to do about it in the tool that packed the model.
    """

    path: Path
    beside: tuple[Path, ...] = ()
    framework: str = ""
    method: str = ""
    code: Path | None = None
    vouched: tuple[str, ...] = ()
    loader: str = ""
    sample: tuple[Any, ...] = ()
    declared: Signature | None = None
    pinned: Pinned | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    what: str = ""
    remedies: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class ModelSpec:
    """A model as its files tell it; nothing was loaded to learn this.

    framework: `sklearn`, `python`. format: `joblib`, `pickle`, `skops`, `none`. names: the exact (module.name) globals that
    the file refers to, sorted. versions: what the model recorded of the packages that wrote it ({"scikit-learn": "1.9.1"}).
    modules: top-level modules that the files and the user's code import, sorted ("sklearn", "pandas"), own code left out.
    hooks: the file of serve.hooks by its name among `code`, or ``. pinned, declared: what came with the model, as in Packed.
    engine: what computes it. original: of a compiled model, whose sha256 it keeps, the one that it was compiled from. brought:
    packages of these modules that the environment lacks, `onnxruntime==1.32.0`. reference: sha256 of model.reference, or ``.
    """

    name: str
    uri: str
    files: tuple[ModelFile, ...]
    framework: str
    format: str
    sha256: str
    names: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    code: tuple[CodeFile, ...] = ()
    trust: tuple[str, ...] = ()
    loader: str = ""
    method: str = ""
    sample: tuple[Any, ...] = ()
    tolerance: Tolerance = Tolerance()
    outputs: Mapping[str, str] = field(default_factory=dict)
    passthrough: tuple[str, ...] = ()
    extra: Literal["refuse", "ignore"] = "refuse"
    hooks: str = ""
    pinned: Pinned | None = None
    declared: Signature | None = None
    origin: Origin | None = None
    engine: EngineFacts = EngineFacts()
    original: ModelSpec | None = None
    brought: tuple[str, ...] = ()
    reference: str = ""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def trained(self) -> ModelSpec:
        """The model as it was trained, of one that was compiled."""
        return self.original or self

    @property
    def equal(self) -> ModelSpec:
        """Whose answers the image has to give: the trained model's, unless int8 made another one of it, which has its own."""
        return self if self.engine.name == INT8 else self.trained


@dataclass(frozen=True)
class Asked:
    """What a framework's reader is given. path: file or folder. format: as it was detected. where: the key that names the model.

    trust: names beyond the framework's own. scanned: reads a pickle's names without loading it, each file once. loader: as
    model.loader, or ``. root: the project's folder, where it is known. beside: as in Packed.
    """

    path: Path
    format: str
    where: str
    scanned: Callable[[Path], Scan]
    trust: tuple[str, ...] = ()
    loader: str = ""
    root: Path | None = None
    beside: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Read:
    """What a framework's reader found in the files. modules: top-level modules that loading and predicting import.

    problems: names that may not be loaded, in a pickle. versions: as ModelSpec's. unused: files of the folder that serving never
    opens, by name. rows: made up of what the file tells of its columns, for a sample where there is no data.
    """

    format: str
    names: tuple[str, ...] = ()
    versions: Mapping[str, str] | None = None
    modules: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()
    problems: tuple[Problem, ...] = ()
    unused: frozenset[str] = frozenset()
    rows: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Described:
    """What a locked-down child found of model.reference. reference: None below a hundred rows. rows: answered. refused: not."""

    reference: Reference | None
    rows: int
    refused: int


@dataclass(frozen=True)
class Loaded:
    """What a locked-down child found when it loaded the model.

    title: for people, such as `Pipeline`. answers: the body that `/predict` gives for the sample, or None without a sample.
    load_s, peak_memory: what loading cost, in seconds and bytes. versions: of the packages in that environment.
    protections: what the child gave up before it loaded (mlship/server/lockdown.py). needless: columns of the user's table that
    the model answers without. libraries: paths of the shared libraries that it had loaded in the end. row_s: seconds that one row
    of the sample took; 0 without a sample. described: model.reference in histograms, None where none is named. modules: what it
    had imported besides the model's own code, the first ones first.
    """

    signature: Signature
    title: str
    answers: Mapping[str, Any] | None
    load_s: float
    peak_memory: int
    versions: Mapping[str, str] = field(default_factory=dict)
    protections: tuple[str, ...] = ()
    needless: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    row_s: float = 0.0
    described: Described | None = None
    modules: tuple[str, ...] = ()
