"""YAML of strangers as plain data: without what grows when it is read."""

from __future__ import annotations

from typing import Any

from mlship.errors import need

MOST = 1_000_000  # parts, each counted as often as it is named
_MERGE = "tag:yaml.org,2002:merge"


def plain_yaml(raw: bytes) -> Any:
    """Raises yaml.YAMLError, ValueError for a document that grows, RecursionError, UnicodeDecodeError."""
    yaml = need("yaml")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(raw)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _size(yaml, node, {})
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _size(yaml: Any, node: Any, known: dict[int, int]) -> int:
    """Parts of the node, those that it names again counted again. Raises ValueError."""
    if id(node) in known:
        if not known[id(node)]:
            raise ValueError("a part of it holds itself")
        return known[id(node)]
    known[id(node)] = 0
    children = list(node.value) if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        if any(key.tag == _MERGE for key, _ in node.value):
            raise ValueError("it merges parts of itself")
        children = [each for pair in node.value for each in pair]
    size = 1 + sum(_size(yaml, child, known) for child in children)
    if size > MOST:
        raise ValueError(f"it names its parts again until they are more than {MOST:,}")
    known[id(node)] = size
    return size
