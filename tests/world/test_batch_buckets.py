"""Rows from a bucket and answers into it: moto's S3, whole or not at all, and not computed again where only the way there broke."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from source_parts import moto
from story import Story

pytestmark = pytest.mark.world

ROOT = Path(__file__).parents[2]
DOUBLER = """\
class Doubler:
    inputs = {"amount": "float64"}

    def load(self, path):
        pass

    def predict(self, rows):
        return [row["amount"] * 2 for row in rows]
"""
YAML = """\
name: doubler
model: {uri: weights.txt, framework: python, loader: "doubler:Doubler", code: [doubler.py], sample: sample.json}
"""
PUT = """\
import boto3
s3 = boto3.client("s3")
s3.create_bucket(Bucket="acme", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
s3.put_object(Bucket="acme", Key="in/rows.jsonl", Body=b'{"amount": 1}\\n{"amount": "2"}\\n{"amount": 3}\\n')
"""
GET = """\
import boto3
for name in ("answers.csv", "answers.csv.rejects.jsonl"):
    print(boto3.client("s3").get_object(Bucket="acme", Key="out/" + name)["Body"].read().decode())
"""


@pytest.fixture
def shop(story_home: Path, tmp_path: Path) -> Iterator[Story]:
    """Somebody who has mlship with its extra aws, and a class that needs no packages."""
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    python = tmp_path / "venv" / "bin" / "python"
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, tmp_path / "venv"], check=True)
    packages = [*own["dependencies"], *own["optional-dependencies"]["aws"], "moto[server]>=5,<6"]
    subprocess.run([uv, "pip", "install", "-q", "--python", python, *packages], check=True)
    (next((tmp_path / "venv/lib").glob("python3*")) / "site-packages" / "mlship.pth").write_text(f"{ROOT}\n")
    folder = tmp_path / "shop"
    folder.mkdir()
    environ = {**os.environ, "VIRTUAL_ENV": str(tmp_path / "venv"), "MLSHIP_HOME": str(story_home)}
    with moto(python, tmp_path) as settings:
        yield Story(folder, python, {**environ, **settings}, (str(python), "-m", "mlship"))


def test_rows_come_from_a_bucket_and_answers_go_to_one(shop: Story) -> None:
    shop.write("doubler.py", DOUBLER)
    shop.write("mlship.yaml", YAML)
    shop.write("weights.txt", "2")
    shop.write("sample.json", '[{"amount": 1}, {"amount": 2}]')
    subprocess.run([shop.python, "-c", PUT], env=dict(shop.environ), check=True)
    words = ("predict", "--data", "s3://acme/in/rows.jsonl", "--out", "s3://acme/out/answers.csv")
    assert "there is no bucket for s3://nobody/a.csv" in shop.refused(*words[:4], "s3://nobody/a.csv")
    assert "there is nothing at s3://acme/in/other.csv" in shop.refused(*words[:2], "s3://acme/in/other.csv", *words[3:])

    said = shop.mlship(*words)
    assert (said["answered"], said["rejected"]) == (2, 1)
    assert (said["out"], said["rejects"]) == ("s3://acme/out/answers.csv", "s3://acme/out/answers.csv.rejects.jsonl")
    got = subprocess.run([shop.python, "-c", GET], env=dict(shop.environ), check=True, capture_output=True, text=True)
    answers, rejects = got.stdout.split("\n\n", 1)
    assert answers == "row,predictions\n0,2\n2,6"
    assert json.loads(rejects)["feature"] == "amount"
    assert not list((Path(shop.environ["MLSHIP_HOME"]) / "cache" / "batch").rglob("*.unfinished"))

    away = replace(shop, environ={**shop.environ, "AWS_ACCESS_KEY_ID": "", "AWS_EC2_METADATA_DISABLED": "true"})
    assert "aws sso login" in away.refused(*words, exit=8)
