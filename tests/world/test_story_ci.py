"""From an empty git repository to production and back, by the workflow that `mlship ci github` writes, run step by step.

At a Docker engine, with a registry that main's images are published in.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from ci_player import Player, forge, runner_environ
from free_ports import free_port
from registry_parts import real_registry
from story import PRELUDE, Story
from test_story_formats import SAVED, TRAIN

pytestmark = [pytest.mark.world, pytest.mark.engine]
ROOT = Path(__file__).parent.parent.parent


def test_a_repository_goes_to_production_by_content_id_and_back(story: Story, tmp_path: Path, engine: object) -> None:
    story.write("train.py", PRELUDE + TRAIN.format(save=SAVED["model.pkl"]))
    first = story.train(1)
    story.mlship("init", "--model", "model.pkl", "--target", "docker", "--name", "shop")
    ports = {name: free_port() for name in ("staging", "prod")}
    stages = "".join(f"  {name}: {{targets: {{docker: {{port: {port}}}}}}}\n" for name, port in ports.items())
    file = story.folder / "mlship.yaml"
    story.write("sample.json", json.dumps(first["instances"][:2]))
    text = file.read_text().replace("model: model.pkl\n", "model: {uri: model.pkl, sample: sample.json}\n")
    file.write_text(f"{text}environments:\n{stages}")
    frozen = subprocess.run([story.python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    story.write("requirements.txt", frozen)
    story.mlship("lock")
    git(story.folder, "init", "-q", "-b", "main")
    made = story.mlship("ci", "github", "--write")
    assert made["written"] and [stage["title"] for stage in made["stages"]] == ["staging", "prod"]
    committed(story.folder, "first")

    home = tmp_path / "runner" / "home"
    with forge() as comments, real_registry(tmp_path / "registry") as registry:
        shelf = f"127.0.0.1:{registry}/acme/shop"
        player = Player(story.folder, tmp_path / "runner", wheel(tmp_path), comments.url, runner_environ(home), shelf)
        try:
            _goes_there_and_back(story, player, comments.comments, ports, first)
        finally:
            for name in ports:
                gone = ["destroy", "shop", "--target", "docker", "--env", name, "--yes"]
                subprocess.run([*story.command, *gone], env={**story.environ, "MLSHIP_HOME": str(home)}, check=True)


def _goes_there_and_back(story: Story, player: Player, comments: list, ports: dict[str, int], first: dict) -> None:
    # a pull request: plan, cost and change of predictions are one comment, which the next run replaces
    for said in ("new", "again"):
        proposed = player.run("pull_request")
        assert not proposed.failed, proposed.said
        assert proposed.jobs == ["build", "report"] and len(comments) == 1, said
    body = comments[0]["body"]
    assert body.startswith("<!-- mlship: shop -->\n## mlship: shop\n")
    assert "### Plan" in body and "first release r1-" in body and "### Cost" in body and "In $0" in body
    assert "### Change of predictions" in body and "there is no live release on docker" in body
    assert "### Tests" in body and "### Bench" in body and "at once" in body
    assert "### mlship plan shop/staging\n" in proposed.summary and "### mlship test shop" in proposed.summary
    assert list((player.machine / "artifacts" / "mlship-tests").iterdir())

    # merged: staging, then production, by one content id
    released = player.run("push")
    assert not released.failed, released.said
    assert released.jobs == ["build", "deploy-staging", "plan-prod", "deploy-prod"]
    assert [place in released.summary for place in ("### mlship deploy shop/staging\n", "### mlship deploy shop/prod\n")] == [
        True
    ] * 2
    assert "From  staging, docker r1-" in released.said
    content = (player.machine / "artifacts" / "mlship-image" / "content").read_text().strip()
    assert _published(player.registry) == {content.removeprefix("sha256:")[:12]}
    for port in ports.values():
        story.ask_all(f"http://127.0.0.1:{port}", first)

    # a model that nobody locked goes nowhere
    second = story.train(2)
    committed(story.folder, "second")
    refused = player.run("push")
    assert refused.failed == "build: Build" and "--retrained" in refused.said and refused.jobs == ["build"]
    story.ask_all(f"http://127.0.0.1:{ports['prod']}", first)

    # locked, it does
    story.mlship("lock", "--refresh")
    committed(story.folder, "locked")
    newer = player.run("push")
    assert not newer.failed, newer.said
    for port in ports.values():
        story.ask_all(f"http://127.0.0.1:{port}", second)
    assert len(_published(player.registry)) == 2

    # and is taken back by hand, in production alone
    back = player.run("workflow_dispatch", {"action": "rollback", "stage": "prod", "release": ""})
    assert not back.failed, back.said
    assert back.jobs == ["by-hand-prod"]
    story.ask_all(f"http://127.0.0.1:{ports['prod']}", first)
    story.ask_all(f"http://127.0.0.1:{ports['staging']}", second)

    # what comes by hand is never a word of the command
    odd = player.run("workflow_dispatch", {"action": "rollback", "stage": "prod", "release": "r1; touch /tmp/x"})
    assert odd.failed == "by-hand-prod: Roll back, promote or abort"
    story.ask_all(f"http://127.0.0.1:{ports['prod']}", first)


def wheel(folder: Path) -> Path:
    """Of this mlship, made once for all jobs."""
    argv = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "wheel", ROOT]
    subprocess.run(argv, check=True)
    (made,) = (folder / "wheel").iterdir()
    return made


def _published(registry: str) -> set[str]:
    """Tags of the repository."""
    host, _, name = registry.partition("/")
    with urlopen(f"http://{host}/v2/{name}/tags/list") as answer:
        return set(json.load(answer)["tags"])


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=anna", "-c", "user.email=anna@example.org", *words], cwd=folder, check=True)


def committed(folder: Path, what: str) -> None:
    (folder / ".gitignore").write_text("__pycache__/\nasked.json\n")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", what)
