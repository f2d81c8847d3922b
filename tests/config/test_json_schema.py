"""The schema for editors says the same as the loader, as far as a schema can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from mlship.config.json_schema import json_schema

ROOT = Path(__file__).parent.parent.parent
CASES = ROOT / "tests" / "cases" / "config"
SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


class Core(yaml.SafeLoader):
    """YAML 1.2 scalars, as editors read them."""


Core.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[1] in ("int", "float", "null")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Core.add_implicit_resolver("tag:yaml.org,2002:bool", __import__("re").compile("^(true|false)$"), list("tf"))
Core.add_implicit_resolver("tag:yaml.org,2002:float", __import__("re").compile(r"^[0-9.]+e-?[0-9]+$"), list("0123456789"))


def wrong(text: str) -> list[str]:
    document = yaml.load(text, Loader=Core)
    return [error.json_path for error in VALIDATOR.iter_errors(document)]


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_the_example_is_valid() -> None:
    assert wrong((ROOT / "mlship.yaml.example").read_text()) == []


@pytest.mark.parametrize("file", sorted((CASES / "good").glob("*.yaml")), ids=lambda file: file.stem)
def test_what_the_loader_takes_is_valid(file: Path) -> None:
    # the numbers there that only YAML 1.2 reads as what they are
    assert wrong(file.read_text().replace("12:30:45", "x").replace("0x1F90", "8080")) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("modle: a", "$"),
        ("model: {uri: a, sampel: b}", "$.model"),
        ("model: {sample: b}", "$.model"),
        ("model: a\nserve: {worker: 1}", "$.serve"),
        ("model: a\nserve: {workers: 0}", "$.serve.workers"),
        ("model: a\nserve: {request_timeout: 2}", "$.serve.request_timeout"),
        ("model: a\nserve: {request_timeout: 2 s}\nresources: {memory: 2 potatoes}", "$.resources.memory"),
        ("model: a\nbuild: {python: 3.11}", "$.build.python"),
        ("model: a\nlabels: {team: 42}", "$.labels.team"),
        ("model: a\nscale: {replicas: 1...3}", "$.scale.replicas"),
        ("model: a\npublic: 1", "$.public"),
        ("model: a\ntarget: dokcer", "$.target"),
        ("model: a\nmodels: {a: b}", "$"),
        ("model: a\nenvironments: {prod: {scale: {replica: 1}}}", "$.environments.prod.scale"),
        ("model: a\nenvironments: {prod: {name: other}}", "$.environments.prod"),
        ("model: a\nenvironments: {Prod: {}}", "$.environments"),
    ],
)
def test_mistakes_are_found_where_they_are(text: str, path: str) -> None:
    assert path in wrong(f"name: churn\n{text}\n")


@pytest.mark.parametrize(
    "text",
    [
        "scale: {replicas: 3}",
        "scale: {replicas: 1..10}",
        "scale: {replicas: {min: 1}}",
        "resources: {gpu: 2, cpu: 0.5}",
        "resources: {gpu: {count: 1, type: l4}, cpu: 500m}",
        "cost: {traffic: profile.csv, budget: {monthly: 150 USD}}",
        "serve:",
        "environments: {prod: {model: {sample: s.json}}, test: null}",
    ],
)
def test_short_forms_and_empty_sections_are_valid(text: str) -> None:
    assert wrong(f"name: churn\nmodel: a\n{text}\n") == []


def described(schema: dict[str, Any], path: str) -> str:
    for name in path.split("."):
        schema = next((part for part in schema.get("anyOf", []) if "properties" in part), schema)["properties"][name]
    return str(schema["description"])


def test_keys_say_what_they_are_and_whether_they_are_built() -> None:
    assert described(SCHEMA, "model.sample") == "JSON file with example inputs; verify, warm-up and /docs use it"
    assert described(SCHEMA, "build.sign").endswith("(not yet built)")
    assert SCHEMA["properties"]["serve"]["properties"]["max_body"]["default"] == "4MB"
