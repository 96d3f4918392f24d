"""On which recordings weights were trained, as far as their checkpoint says."""

from collections.abc import Iterator, Mapping
from typing import Any

PARTS = ("train", "validation")


def trained_on(provenance: Mapping[str, Any]) -> Iterator[dict[str, set[str]]]:
    """Keys of the recordings that trained and validated, of the weights and of those they began with."""
    if isinstance(corpora := provenance.get("recordings"), Mapping):
        yield {part: {key for parts in corpora.values() for key in parts.get(part, ())} for part in PARTS}
    for earlier in ("source", "started_from"):
        if isinstance(before := provenance.get(earlier), Mapping):
            yield from trained_on(before)
