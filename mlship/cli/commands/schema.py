"""mlship schema"""

from __future__ import annotations

import json

from mlship.cli.answer import Answer
from mlship.cli.call import Call


def command(call: Call) -> Answer:
    """JSON Schema of mlship.yaml, for editors: mlship schema > mlship.schema.json"""
    from mlship.config import json_schema

    document = json_schema.json_schema()
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return Answer(text, {"document": document}, brief=text, is_verbatim=True)
