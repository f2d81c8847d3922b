"""What is committed, or under way, against what the front's document says. Pure."""

from __future__ import annotations

from mlship.releases.history import History
from mlship.targets.docker import traffic


def committed_document(document: traffic.Document | None, history: History | None) -> traffic.Document | None:
    """The document that callers should be served by: only releases that the records name, the live one where none is left.

    A command that was killed between shift and commit leaves the front with a release that nobody knows. Without records
    nothing is judged. None where the document has to be written anew from the live release's replicas.
    """
    if document is None or history is None or not history.live:
        return document
    underway = history.underway
    named = {history.live, *((underway.release.id, underway.before) if underway else ())}
    servers = traffic.servers_of(document)
    kept = tuple(server for server in servers if server.release in named)
    if not any(server.weight for server in kept):
        return None
    return document if kept == servers else traffic.with_servers(document, kept)
