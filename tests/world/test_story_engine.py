"""The whole way at a real Docker engine: with images made here, and with images that the engine's BuildKit makes."""

from __future__ import annotations

import pytest
from free_ports import free_port
from story import PRELUDE, Story
from test_story_formats import SAVED, TRAIN

pytestmark = [pytest.mark.world, pytest.mark.engine]


@pytest.mark.parametrize("builder", ["mlship", "docker"])
def test_a_model_goes_the_whole_way_at_an_engine(story: Story, builder: str) -> None:
    story.write("train.py", PRELUDE + TRAIN.format(save=SAVED["model.pkl"]))
    name = f"story-{free_port()}-{builder}"
    story.whole_way(
        "--model", "model.pkl", "--name", name, target="docker", build=("--builder", builder), asks=("lists", "objects")
    )
