"""The same inputs make the same image, wherever and under whatever settings; and nothing changed means nothing done."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from story import PRELUDE, Story
from test_story_formats import SAVED, TRAIN

pytestmark = pytest.mark.world


def test_another_place_and_other_settings_give_the_same_content(story: Story, tmp_path: Path) -> None:
    story.write("train.py", PRELUDE + TRAIN.format(save=SAVED["model.pkl"]))
    story.train()
    story.mlship("init", "--model", "model.pkl", "--target", "local")
    first = story.mlship("build")
    assert story.mlship("build")["unchanged"] is True
    besides = [layer for layer in first["image"]["layers"] if layer["role"] != "model"]
    sizes = {kind: sum(layer[kind] for layer in besides) for kind in ("size", "compressed")}
    assert sizes["size"] <= 250 * 10**6 and sizes["compressed"] <= 85 * 10**6, sizes

    other = _moved(story, tmp_path / "elsewhere" / "deep" / "other name")
    before = os.umask(0o077)
    try:
        second = other.mlship("build")
    finally:
        os.umask(before)
    assert second["image"]["content"] == first["image"]["content"]
    assert second["image"]["digest"] == first["image"]["digest"]


def _moved(story: Story, folder: Path) -> Story:
    """The same project in a folder and a home of its own, which share no layer with the first but its downloads."""
    shutil.copytree(story.folder, folder)
    for file in folder.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    home = folder.parent / "home"
    settings = {"MLSHIP_HOME": str(home), "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "LANG": "C", "PYTHONHASHSEED": "12345"}
    return replace(story, folder=folder, environ={**story.environ, **settings})
