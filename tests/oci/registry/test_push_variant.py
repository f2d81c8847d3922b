from dataclasses import FrozenInstanceError

import pytest

from mlship.errors import Exit, MlshipError
from mlship.oci.layer import MEDIA_TYPES
from mlship.oci.registry.push_variant import PushVariant, push_variant
from mlship.targets.docker.resources import PUSH, SERVICE


@pytest.mark.parametrize(
    "text",
    [
        "oci",
        "docker-v2s2",
        "oci,index",
        "docker-v2s2,single,gzip",
        "oci,gzip,raw",
        "oci,zstd,user=0",
        "docker-v2s2,index,user=1000:100",
    ],
)
def test_a_variant_is_written_as_it_is_read(text: str) -> None:
    assert str(push_variant(text)) == text


def test_what_is_not_said_is_as_built() -> None:
    assert push_variant("oci") == PushVariant()
    assert push_variant(" gzip , index ") == PushVariant(index=True, compressions=("gzip",))
    with pytest.raises(FrozenInstanceError):
        PushVariant().user = "0"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "v2s2",
            "--push-as v2s2: 'v2s2' is not a word of it; write oci or docker-v2s2, index or single, gzip or zstd, raw, user=",
        ),
        ("", "'' is not a word"),
        ("oci,docker-v2s2", "'docker-v2s2' comes after another word for the same"),
        ("gzip,gzip", "'gzip' comes after"),
        ("single,index", "'index' comes after"),
        ("docker-v2s2,zstd", "docker-v2s2 has no media type for layers in zstd; write docker-v2s2,gzip or oci,zstd"),
        ("user=root", "'user=root' is not a word"),
        ("user=1:2:3", "'user=1:2:3' is not a word"),
    ],
)
def test_a_variant_that_is_none_is_refused_with_the_words_there_are(text: str, said: str) -> None:
    with pytest.raises(MlshipError) as refused:
        push_variant(text)
    assert said in str(refused.value)
    assert refused.value.exit is Exit.USAGE


def test_an_index_is_made_where_it_is_asked_for_or_there_are_several_platforms() -> None:
    assert [push_variant("oci").kind(platforms) for platforms in (1, 2)] == ["oci", "oci-index"]
    assert push_variant("docker-v2s2,index").kind(1) == "docker-v2s2-index"
    assert push_variant("docker-v2s2,single").kind(2) == "docker-v2s2"


def test_layers_stay_as_they_are_where_that_is_allowed() -> None:
    gzip, zstd, raw = MEDIA_TYPES["gzip"], MEDIA_TYPES["zstd"], MEDIA_TYPES["none"]

    def after(text: str) -> list[str]:
        return [push_variant(text).compression(media_type) for media_type in (gzip, zstd, raw)]

    assert after("oci") == ["gzip", "zstd", "none"]
    assert after("gzip") == ["gzip", "gzip", "gzip"]
    assert after("gzip,raw") == ["gzip", "gzip", "none"]
    assert after("zstd") == ["zstd", "zstd", "zstd"]
    assert after("docker-v2s2") == ["gzip", "gzip", "none"]
    assert PushVariant().compression("application/vnd.docker.image.rootfs.diff.tar.gzip") == "gzip"


def test_an_engine_that_does_not_unpack_zstd_gets_none() -> None:
    assert PUSH[SERVICE].compression(MEDIA_TYPES["zstd"]) == "gzip"
    assert PUSH[SERVICE].compression(MEDIA_TYPES["none"]) == "none"
