"""The form in which an image is pushed, as a target declares it or a person says it: `docker-v2s2,single,gzip`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from mlship.errors import MlshipError
from mlship.oci.layer import Compression
from mlship.oci.registry.variant import Kind

Types = Literal["oci", "docker-v2s2"]
ANY: tuple[Compression, ...] = ("gzip", "zstd", "none")
_USER = re.compile(r"user=(\d{1,10}(?::\d{1,10})?)")
_COMPRESSIONS: dict[str, Compression] = {"gzip": "gzip", "zstd": "zstd", "raw": "none"}
_WORDS = "oci or docker-v2s2, index or single, gzip or zstd, raw, user=UID[:GID], with commas between them"


@dataclass(frozen=True)
class PushVariant:
    """What is derived from the image that was built, always by the same rule; its content id and its label stay.

    types: the family of media types. index: None means one only where there are several platforms. compressions: what a layer
    may be compressed with (`gzip,raw`: what was not worth compressing stays so); one of another is compressed anew, with the
    first of them. user: who runs in the container, numeric as in `1000:1000`; empty: as built.
    """

    types: Types = "oci"
    index: bool | None = None
    compressions: tuple[Compression, ...] = ANY
    user: str = ""

    def __str__(self) -> str:
        """As `push_variant` reads it."""
        shape = {None: (), True: ("index",), False: ("single",)}[self.index]
        squeezed = () if self.compressions == ANY else tuple("raw" if one == "none" else one for one in self.compressions)
        return ",".join((self.types, *shape, *squeezed, *((f"user={self.user}",) if self.user else ())))

    def kind(self, platforms: int) -> Kind:
        """platforms: how many images there are."""
        is_index = platforms > 1 if self.index is None else self.index
        if self.types == "oci":
            return "oci-index" if is_index else "oci"
        return "docker-v2s2-index" if is_index else "docker-v2s2"

    def compression(self, media_type: str) -> Compression:
        """What a layer of this media type is compressed with in the variant; docker-v2s2 has no form for zstd."""
        allowed = tuple(one for one in self.compressions if one != "zstd" or self.types == "oci") or ("gzip",)
        has = compression_of(media_type)
        return has if has in allowed else allowed[0]


def compression_of(media_type: str) -> Compression:
    """Of a layer, in OCI's or docker's words."""
    return "gzip" if media_type.endswith("gzip") else "zstd" if media_type.endswith("zstd") else "none"


def push_variant(text: str, otherwise: PushVariant | None = None) -> PushVariant:
    """The variant that a person wrote. otherwise: what is not said; left out, as built.

    Raises MlshipError for an unknown word, and for two that exclude each other.
    """
    found: dict[str, Any] = {}
    for word in (part.strip() for part in text.split(",")):
        key, value = _meaning(word, text)
        if key in found and (key != "compressions" or value[0] in found[key]):
            raise _refused(text, f"{word!r} comes after another word for the same", f"write {_WORDS}")
        found[key] = (*found[key], *value) if key in found else value
    made = replace(otherwise or PushVariant(), **found)
    if made.types == "docker-v2s2" and made.compressions == ("zstd",):
        raise _refused(text, "docker-v2s2 has no media type for layers in zstd", "write docker-v2s2,gzip or oci,zstd")
    return made


def _meaning(word: str, text: str) -> tuple[str, Any]:
    if word in get_args(Types):
        return "types", word
    if word in ("index", "single"):
        return "index", word == "index"
    if word in _COMPRESSIONS:
        return "compressions", (_COMPRESSIONS[word],)
    if user := _USER.fullmatch(word):
        return "user", user[1]
    raise _refused(text, f"{word!r} is not a word of it", f"write {_WORDS}")


def _refused(text: str, reason: str, fix: str) -> MlshipError:
    return MlshipError(f"--push-as {text}: {reason}", fix=fix, code="usage")
