"""A guard: recordings that pre-training saw are no test, unless somebody says that they may be."""

from collections.abc import Mapping, Sequence
from typing import Any

from megxl.checkpoints.checkpoint import is_untrained
from megxl.data.preparing.summary import counted
from megxl.errors import InputError
from megxl.training.trained_on import trained_on

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
    told = list(trained_on(checkpoint_provenance))
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


def tokenizer_note(provenance: Mapping[str, Any], test_keys: Sequence[str]) -> str | None:
    """Say that a tokenizer was trained on test recordings: allowed, since it was told no word, and worth knowing."""
    trained = {key for one in trained_on(provenance) for key in one["train"]}
    shared = [key for key in test_keys if key in trained]
    if not shared:
        return None
    return (
        f"The tokenizer was trained on {len(shared)} of {counted(len(test_keys), 'test recording')}, without their "
        f"words (first: {shared[0]}): it may code them better than new ones."
    )


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
