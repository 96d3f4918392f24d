"""A guard: recordings that pre-training saw are no test, unless somebody says that they may be."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from megxl.checkpoints.checkpoint import is_untrained
from megxl.data.preparing.summary import counted
from megxl.errors import InputError

MONITORED = {"armeni": ("ses-010",), "meg_masc": ("sub-03", "sub-11")}
"""Recordings of corpora of words that the published pre-training was monitored on, without their words."""


def refuse_seen(checkpoint_provenance: Mapping[str, Any], test_keys: Sequence[str], allow_seen: bool) -> str | None:
    """Refuse test recordings that a checkpoint was pre-trained on.

    Parameters
    ----------
    checkpoint_provenance : mapping
        As the model has it; models trained here say which recordings trained and validated, those that they began with
        too.
    test_keys : sequence of str
        Recordings of the test, as the store names them.
    allow_seen : bool
        Take them in spite of it.

    Returns
    -------
    str or None
        What a person should know: that they were seen, or chose the weights, or that the checkpoint does not say. None:
        nothing.

    Raises
    ------
    InputError
        Recordings that it was trained on, if that is not allowed.
    """
    told = list(_told(checkpoint_provenance))
    if not told:
        return None if is_untrained(checkpoint_provenance) else _unknown(test_keys)
    seen = {part: [key for key in test_keys if any(key in one.get(part, ()) for one in told)] for part in told[0]}
    if trained := seen.get("train"):
        sentence = (
            f"{len(trained)} of {counted(len(test_keys), 'test recording')} were seen in the pre-training of this "
            f"checkpoint (first: {trained[0]})"
        )
        if not allow_seen:
            raise InputError(
                f"{sentence}: the result would not be one on new recordings. Test on others, take another checkpoint, "
                "or allow it with evaluation.allow_seen=true."
            )
        return f"{sentence}, which was allowed (evaluation.allow_seen)."
    if monitored := seen.get("validation"):
        return (
            f"{len(monitored)} of {counted(len(test_keys), 'test recording')} validated the pre-training of this "
            f"checkpoint, without their words (first: {monitored[0]})."
        )
    return None


def _told(provenance: Mapping[str, Any]) -> Iterator[dict[str, set[str]]]:
    """Keys of the recordings that trained and validated, of the weights and of those they began with."""
    if isinstance(corpora := provenance.get("recordings"), Mapping):
        yield {
            part: {key for parts in corpora.values() for key in parts.get(part, ())} for part in ("train", "validation")
        }
    for earlier in ("source", "started_from"):
        if isinstance(before := provenance.get(earlier), Mapping):
            yield from _told(before)


def _unknown(test_keys: Sequence[str]) -> str:
    sentence = "The checkpoint does not say which recordings it was pre-trained on"
    monitored = [key for key in test_keys if _is_monitored(key)]
    if not monitored:
        return f"{sentence}; see for yourself that the test recordings are not among them."
    corpus = monitored[0].partition("/")[0]
    names = " and ".join(MONITORED[corpus])
    return (
        f"{sentence}. The published pre-training was monitored on {names} of {corpus}, without "
        f"their words: {len(monitored)} of {counted(len(test_keys), 'test recording')} (first: {monitored[0]})."
    )


def _is_monitored(key: str) -> bool:
    corpus, _, name = key.partition("/")
    return any(entity in name.split("_") for entity in MONITORED.get(corpus, ()))
