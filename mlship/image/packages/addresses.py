"""Addresses of packages without the secrets that people write into them. Pure."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit, urlunsplit

_HIDDEN = "***"


def without_credentials(url: str) -> str:
    """The address as it may be recorded: user, password and query removed; the user of an ssh address is no secret."""
    parts = _parts(url)
    if parts is None:
        return _HIDDEN
    if not parts.netloc:
        return url
    user, at, host = parts.netloc.rpartition("@")
    login = user.partition(":")[0]
    kept = f"{login}@{host}" if at and login and "ssh" in parts.scheme else host
    return urlunsplit((parts.scheme, kept, parts.path, "", parts.fragment))


def masked(url: str) -> str:
    """The address as people may see it: `https://***@host/simple` tells that credentials are set."""
    parts = _parts(url)
    if parts is None:
        return _HIDDEN
    if not parts.netloc:
        return url
    _, at, host = parts.netloc.rpartition("@")
    shown = f"{_HIDDEN}@{host}" if at else host
    return urlunsplit((parts.scheme, shown, parts.path, _HIDDEN if parts.query else "", parts.fragment))


def _parts(url: str) -> SplitResult | None:
    """None for what is no address; nobody can say then which part of it is secret."""
    try:
        return urlsplit(url)
    except ValueError:
        return None
