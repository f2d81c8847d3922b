"""Addresses of packages without the secrets that people write into them. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def has_credentials(url: str) -> bool:
    return _split(url) is not None


def without_credentials(url: str) -> str:
    """The address as it may be recorded: user, password and query removed; the user of an ssh address is no secret."""
    parts = urlsplit(url)
    if not parts.netloc:
        return url
    user, at, host = parts.netloc.rpartition("@")
    if at and "ssh" in parts.scheme and user.partition(":")[0]:
        host = f"{user.partition(':')[0]}@{host}"
    return urlunsplit((parts.scheme, host, parts.path, "", parts.fragment))


def masked(url: str) -> str:
    """The address as people may see it: `https://***@host/simple` tells that credentials are set."""
    if _split(url) is None:
        return url
    parts = urlsplit(url)
    query = "***" if parts.query else ""
    _, at, host = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, f"***@{host}" if at else host, parts.path, query, parts.fragment))


def _split(url: str) -> str | None:
    """What of the address is secret."""
    parts = urlsplit(url)
    if not parts.netloc:
        return None
    user, at, _ = parts.netloc.rpartition("@")
    return user if at else (parts.query or None)
