from dataclasses import replace
from pathlib import Path

import pytest

from mlship.errors import Exit, MlshipError
from mlship.home import Home
from mlship.image.variants import derived
from mlship.image.workplace import Workplace
from mlship.oci.image import CONTENT_LABEL, Image
from mlship.oci.layer import MEDIA_TYPES, Compression, Entry, write_layer
from mlship.oci.registry.push_variant import PushVariant, push_variant
from mlship.progress import Silent
from mlship.runner import LocalRunner


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(Home(tmp_path), LocalRunner(), Silent(), {})


def image_of(workplace: Workplace, *compressions: Compression) -> Image:
    layers = [
        write_layer(
            workplace.layout, [Entry(f"opt/{each}", content=each.encode() * 99)], role="model", name=each, compression=each
        )
        for each in compressions
    ]
    return workplace.layout.write_image(layers, {"User": "65532:65532", "Labels": {"mlship.project": "churn"}}, "linux/amd64")


def test_an_image_that_a_target_takes_as_it_is_stays_the_very_same(workplace: Workplace) -> None:
    image = image_of(workplace, "gzip", "none")
    for text in ("oci", "docker-v2s2", "oci,index", "gzip,raw"):
        assert derived(workplace, image, push_variant(text)) is image


def test_layers_are_compressed_anew_and_serve_the_same(workplace: Workplace) -> None:
    image = image_of(workplace, "gzip", "zstd", "none")
    made = derived(workplace, image, push_variant("gzip"))
    assert [layer.blob.media_type for layer in made.layers] == [MEDIA_TYPES["gzip"]] * 3
    assert [(layer.diff_id, layer.role, layer.name, layer.size) for layer in made.layers] == [
        (layer.diff_id, layer.role, layer.name, layer.size) for layer in image.layers
    ]
    assert made.layers[0] == image.layers[0]
    assert (made.content, made.config) == (image.content, image.config)
    assert workplace.layout.read_image(made.manifest) == made
    assert [known.manifest for known in workplace.layout.images()] == [image.manifest]  # what is derived is listed nowhere


def test_what_was_compressed_anew_is_kept(workplace: Workplace) -> None:
    image = image_of(workplace, "zstd")
    made = derived(workplace, image, PushVariant(types="docker-v2s2"))
    assert made.layers[0].blob.media_type == MEDIA_TYPES["gzip"]
    workplace.layout.path(image.layers[0].blob.digest).unlink()
    assert derived(workplace, image, PushVariant(types="docker-v2s2")) == made


def test_a_reproducible_build_is_compressed_anew_by_the_program_that_gives_the_same_bytes(workplace: Workplace) -> None:
    image = image_of(workplace, "none", "gzip")
    made = derived(replace(workplace, compression="zlib"), image, push_variant("gzip"))
    expected = write_layer(workplace.layout, [Entry("opt/none", content=b"none" * 99)], role="", name="", compression="zlib")
    assert made.layers[0].blob == expected.blob
    assert made.layers[1] == image.layers[1]


def test_another_user_is_another_configuration_of_the_same_content(workplace: Workplace) -> None:
    image = image_of(workplace, "gzip")
    made = derived(workplace, image, push_variant("user=1000:100"))
    assert made.config["config"]["User"] == "1000:100"
    assert made.labels[CONTENT_LABEL] == made.content == image.content
    assert made.layers == image.layers
    assert made.manifest != image.manifest


def test_a_blob_that_was_changed_is_not_pushed_on_in_another_form(workplace: Workplace) -> None:
    image, other = image_of(workplace, "none"), image_of(workplace, "zstd")
    path = workplace.layout.path(image.layers[0].blob.digest)
    path.write_bytes(workplace.layout.path(other.layers[0].blob.digest).read_bytes())
    with pytest.raises(MlshipError, match="was changed on this machine") as refused:
        derived(workplace, image, push_variant("gzip"))
    assert refused.value.exit is Exit.BUILD_FAILED
