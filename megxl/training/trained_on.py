"""On which recordings weights were trained, as far as their checkpoint says."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from megxl.store.entry import StoredRecording

PARTS = ("train", "validation")
_SECONDS_AN_HOUR = 3600


def trained_on(provenance: Mapping[str, Any]) -> Iterator[dict[str, set[str]]]:
    """Keys of the recordings that trained and validated, of the weights and of those they began with."""
    if isinstance(corpora := provenance.get("recordings"), Mapping):
        yield {part: {key for parts in corpora.values() for key in parts.get(part, ())} for part in PARTS}
    for earlier in ("source", "started_from"):
        if isinstance(before := provenance.get(earlier), Mapping):
            yield from trained_on(before)


def told_of(parts: Mapping[str, Sequence[StoredRecording]]) -> dict[str, dict[str, Any]]:
    """Hours by part and licences of the recordings of a training, by corpus: what a model card says of its data."""
    told: dict[str, dict[str, Any]] = {}
    for part, recordings in parts.items():
        for recording in recordings:
            one = told.setdefault(recording.corpus, {"hours": {}, "licences": []})
            one["hours"][part] = one["hours"].get(part, 0.0) + recording.duration_s / _SECONDS_AN_HOUR
            if recording.licence is not None and recording.licence not in one["licences"]:
                one["licences"].append(recording.licence)
    return {corpus: one | {"licences": sorted(one["licences"])} for corpus, one in told.items()}
