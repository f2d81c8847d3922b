"""python mlship_manifest.py FOLDER: manifest.json beside model.joblib, with what the image builder's own inspection tells."""

import hashlib
import json
import sys
from dataclasses import fields, replace
from pathlib import Path

from mlship.server import manifest
from mlship.server.inspection.report import inspect_model

folder = Path(sys.argv[1])
sample = tuple(json.loads((folder / "rows.json").read_text())[:8])
digest = hashlib.sha256((folder / "model.joblib").read_bytes()).hexdigest()
entry = manifest.Model("bench", "sklearn", "joblib", "model.joblib", digest, method="predict_proba", sample=sample)
serving = manifest.Serving(workers=1, max_body=16_000_000)
asked = manifest.to_json(manifest.Manifest("bench", (entry,), serving)).decode()
told = inspect_model({"root": str(folder), "manifest": asked, "sample": list(sample)})
if "error" in told:
    sys.exit(str(told["error"]))
known = {field.name for field in fields(manifest.Model)} & told.keys() - {"signature"}
described = replace(
    entry,
    signature=manifest.signature_from_dict(json.loads(json.dumps(told["signature"]))),
    **{name: told[name] for name in known},
)
(folder / "manifest.json").write_bytes(manifest.to_json(manifest.Manifest("bench", (described,), serving)))
