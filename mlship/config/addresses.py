"""Where a model may come from besides a path: the addresses that `model.uri` takes, by scheme. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mlship.config.words import clipped, either, nearest

ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


@dataclass(frozen=True)
class Scheme:
    """shape: what an address of it looks like; example: for people."""

    shape: re.Pattern[str]
    example: str


# No character that ends an address for some reader of it, and no blank at either end. What stands in a place of its own below is
# read by each source again.
_PATH = r"[^\x00-\x20\x7f\\](?:[^\x00-\x1f\x7f\\]*[^\x00-\x20\x7f\\])?"
_BUCKET = r"[a-z0-9](?:[a-z0-9._-]{1,220}[a-z0-9])"  # Google's with dots may be 222 long; Amazon's 63
_CONTAINER = r"[a-z0-9$](?:[a-z0-9-]{1,61}[a-z0-9])"
# Azure's own clouds alone: the login goes along to whatever host is named.
_CLOUD = r"core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net|cloudapi\.de)"
_ACCOUNT = rf"(?P<container>{_CONTAINER})@(?P<account>[a-z0-9]{{3,24}})\.(?:dfs|blob)\.(?P<cloud>{_CLOUD})"
_MODEL = r"[^/@\x00-\x1f\x7f]+"

SCHEMES: Mapping[str, Scheme] = {
    "s3": Scheme(re.compile(rf"s3://(?P<bucket>{_BUCKET})/(?P<path>{_PATH})"), "s3://BUCKET/models/churn.joblib"),
    "gs": Scheme(re.compile(rf"gs://(?P<bucket>{_BUCKET})/(?P<path>{_PATH})"), "gs://BUCKET/models/churn.joblib"),
    "az": Scheme(re.compile(rf"az://(?P<container>{_CONTAINER})/(?P<path>{_PATH})"), "az://CONTAINER/models/churn.joblib"),
    "abfss": Scheme(
        re.compile(rf"abfss://{_ACCOUNT}/(?P<path>{_PATH})"), "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/churn.joblib"
    ),
    "wasbs": Scheme(
        re.compile(rf"wasbs://{_ACCOUNT}/(?P<path>{_PATH})"), "wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/churn.joblib"
    ),
    "models": Scheme(
        re.compile(
            rf"models:/(?P<name>{_MODEL})(?:@(?P<alias>[A-Za-z0-9_-]+)|/(?P<version>[1-9][0-9]*))(?:/(?P<path>{_PATH}))?"
        ),
        "models:/churn@champion, or models:/churn/3",
    ),
    "runs": Scheme(re.compile(rf"runs:/(?P<run>[A-Za-z0-9_-]{{1,256}})/(?P<path>{_PATH})"), "runs:/RUN_ID/model"),
    "dvc": Scheme(
        re.compile(r"dvc://(?P<path>[^\x00-\x20\x7f\\/@][^\x00-\x1f\x7f\\@]*)(?:@(?P<rev>[A-Za-z0-9][A-Za-z0-9._/+^~-]*))?"),
        "dvc://models/churn.joblib@v1.2",
    ),
    "hf": Scheme(
        re.compile(
            r"hf://(?P<repo>[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*)"
            rf"(?:@(?P<rev>[A-Za-z0-9][A-Za-z0-9._-]*))?(?:/(?P<path>{_PATH}))?"
        ),
        "hf://ORG/NAME@v1.0/model.joblib",
    ),
}
# Spellings of other tools for the same places.
_SAME = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "azure": "az", "abfs": "abfss", "wasb": "wasbs", "huggingface": "hf"}


def is_address(uri: str) -> bool:
    """A path on this machine is none."""
    return ADDRESS.match(uri) is not None


def scheme_of(uri: str) -> str:
    """`s3`; empty for a path."""
    found = ADDRESS.match(uri)
    return found[1] if found else ""


def problem_of(uri: str) -> tuple[str, str] | None:
    """What is wrong with an address, and what to write; None for a good one, and for a path. Credentials are not repeated."""
    scheme = scheme_of(uri)
    shown = clipped(re.sub(r"//[^/]*:[^/]*@", "//***@", uri))
    if not scheme:
        return None
    if scheme not in SCHEMES:
        known = _SAME.get(scheme.lower()) or nearest(scheme.lower(), SCHEMES)
        what = f"models from {clipped(scheme)}: are not served"
        return what, f"write {SCHEMES[known].example}" if known else f"write a path, or an address of {either(SCHEMES)}"
    found = SCHEMES[scheme].shape.fullmatch(uri)
    if found is None:
        return f"{shown} is no address of {scheme}:", f"write {SCHEMES[scheme].example}"
    parts = (found.groupdict().get("path") or "").removesuffix("/").split("/")
    if "" in parts[1:] or {".", ".."} & {*parts}:
        return f"{shown} has an empty part, . or .. in it", f"write {SCHEMES[scheme].example}"
    return None


def may_move(uri: str) -> bool:
    """Whether the address may mean something else later: not that of a version, a run or a commit."""
    scheme = SCHEMES.get(scheme_of(uri))
    found = scheme.shape.fullmatch(uri) if scheme else None
    said = found.groupdict() if found else {}
    return not (said.get("version") or said.get("run") or re.fullmatch(r"[0-9a-f]{40}", said.get("rev") or ""))


def without_user(text: str) -> str:
    """Of a URL: what is before the @ may be a password."""
    return re.sub(r"//[^/]*@", "//***@", text)
