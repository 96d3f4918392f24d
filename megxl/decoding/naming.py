"""Naming the words of a prepared recording: look at each group of words as in training, rank the vocabulary.

Letters: B batch, W words of a group, N words, E width of a target.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from megxl.checkpoints.checkpoint import weights_warning
from megxl.data.batch import collate
from megxl.data.dataset import Channels
from megxl.data.group_dataset import WordGroupDataset
from megxl.decoding.decodable import Decodable, decodable_groups
from megxl.decoding.decoded import DecodedRecording, DecodedWord, rank_candidates
from megxl.decoding.decoder_files import SavedDecoder
from megxl.decoding.decoding_sensors import sensor_rows
from megxl.decoding.occurrences import Occurrences
from megxl.decoding.predictions import Predictions
from megxl.signals.normalization import BLOCK_S
from megxl.store.entry import StoredRecording

Advance = Callable[[int, int], None]
"""Called with the word groups that are done, and all."""


def name_words(
    saved: SavedDecoder,
    recording: StoredRecording,
    *,
    top: int = 10,
    device: torch.device | str = "cpu",
    notes: Sequence[str] = (),
    advance: Advance | None = None,
) -> DecodedRecording:
    """Rank the decoder's vocabulary for every word of a recording.

    Parameters
    ----------
    saved : SavedDecoder
    recording : StoredRecording
        Prepared as the decoder's were; with its words, whose texts may be empty.
    top : int
        Candidates to keep for each word.
    device : torch.device or str
    notes : sequence of str
        What is known of the recording and goes before what is found here.
    advance : callable, optional

    Raises
    ------
    InputError
        No word with its window in the recording; sensors that the decoder does not know.
    """
    channels, on_sensors = sensor_rows(saved, recording.sensors, recording.corpus)
    decodable = decodable_groups(recording, saved.grouping)
    predictions = Predictions(
        values_NX=estimates(saved, decodable, channels, device=device, advance=advance),
        occurrences=_occurrences(recording, decodable),
        vocabulary=saved.vocabulary,
        targets_VD=saved.targets_VE,
        counts=saved.counts,
        about=saved.about,
    )
    left_out = [DecodedWord(word=word, note=reason) for word, reason in decodable.left_out]
    ranked = rank_candidates(predictions, decodable.words, top)
    return DecodedRecording(
        name=recording.id,
        words=tuple(sorted([*ranked, *left_out], key=lambda decoded: decoded.word.onset_s)),
        predictions=predictions,
        notes=(*notes, *on_sensors, *decodable.notes, *_on_subject(saved, recording)),
        warning=_warning(saved, recording),
        about=saved.about,
    )


def estimates(
    saved: SavedDecoder,
    decodable: Decodable,
    channels: Channels,
    *,
    device: torch.device | str = "cpu",
    advance: Advance | None = None,
) -> Tensor:
    """Vectors that the decoder estimates of the words, context left out: float32 on the CPU, shape (N, E)."""
    (recording,) = decodable.groups.recordings
    bads: Literal["mask", "keep"] = saved.about.get("bads", "mask")
    dataset = WordGroupDataset(decodable.groups, seed=0, bads=bads, channels=channels)
    decoder = saved.decoder.to(device).eval()
    block_s = saved.grouping.window_s if saved.grouping.layout == "tape" else BLOCK_S
    parts: list[Tensor] = []
    for index, context in enumerate(decodable.context):
        batch = collate([dataset[index]], {recording.corpus: 0})
        batch = batch if saved.spec.rows is None else batch.padded(saved.spec.rows)
        batch = batch.to(device).normalized(block_s)
        with torch.no_grad():
            estimates_BWE = decoder(batch, [_subject(recording)])
        parts.append(estimates_BWE[0, context:].float().cpu())
        if advance is not None:
            advance(index + 1, len(dataset))
    return torch.cat(parts)


def _occurrences(recording: StoredRecording, decodable: Decodable) -> Occurrences:
    words = decodable.words
    return Occurrences(
        words=[word.text for word, _ in words],
        groups=[f"{recording.key}#{number}" for _, number in words],
        recordings=[recording.key] * len(words),
        subjects=[_subject(recording)] * len(words),
        sessions=[recording.session or ""] * len(words),
        onsets_s=[word.onset_s for word, _ in words],
    )


def _subject(recording: StoredRecording) -> str:
    return f"{recording.corpus}/{recording.subject}"


def _on_subject(saved: SavedDecoder, recording: StoredRecording) -> list[str]:
    known = saved.spec.subjects
    if known is None or _subject(recording) in known:
        return []
    return [f"The decoder does not know who listens: the mean of the {len(known)} listeners of its training stands in."]


def _warning(saved: SavedDecoder, recording: StoredRecording) -> str | None:
    control = saved.about.get("control", "none")
    parts = (getattr(saved.decoder.backbone, name, None) for name in ("model", "tokenizer"))
    warnings = [
        weights_warning(*(part.provenance for part in parts if part is not None)),
        None if control == "none" else f"A CONTROL RUN ({control}): its training lacked something on purpose.",
        "THE DECODER WAS TRAINED ON THIS RECORDING, or on parts of it: what it names here says nothing of others."
        if recording.key in saved.about.get("recordings", ())
        else None,
    ]
    return " ".join(filter(None, warnings)) or None
