"""python mlship_compiled.py MODEL FOLDER [graph]: the model of a folder with manifest.json, as a build compiles it, in another folder.

graph: as an ONNX graph instead of what numpy computes. Ends with a word on what the build's own proof says, where that is not equal.
"""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from mlship.server import manifest
from mlship.server.compiling.report import FILE, compile_model
from mlship.server.runtimes import runtime_for

source, folder = map(Path, sys.argv[1:3])
document = manifest.from_json((source / "manifest.json").read_bytes())
entry = document.model()
folder.mkdir(parents=True, exist_ok=True)
# as a build asks: the signature is what the compiling process finds
asked = manifest.to_json(replace(document, models=(replace(entry, signature=manifest.Signature()),))).decode()
told = compile_model(
    {
        "root": str(source),
        "manifest": asked,
        "sample": list(entry.sample),
        "writable": str(folder),
        "graph": sys.argv[3:] == ["graph"],
    }
)
if told["reason"]:
    sys.exit(str(told["reason"]))
engine = manifest.Engine(told["engine"], told["sha256"], told["rows"])
compiled = replace(entry, path=FILE, engine=engine, signature=manifest.Signature())
signature = runtime_for(engine.name).load(compiled, folder).signature(entry.sample)
served = replace(document, models=(replace(compiled, signature=signature),))
(folder / "manifest.json").write_bytes(manifest.to_json(served))
for name in ("rows.json", "expected.json"):
    shutil.copy(source / name, folder)
print(json.dumps({"engine": engine.name, "rows": told["rows"], "seconds": told["seconds"]}))
