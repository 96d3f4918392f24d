"""The recordings of a run as batches of windows: `RecordingsData` prepares what the store lacks, then reads it.

Recordings of `data.data_root` that the store lacks are prepared into it by one process before the training; everything
that could be refused then was refused before (`megxl.training.recordings`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from megxl.data.modules import MultiCorpusDataModule
from megxl.data.preparing.summary import counted
from megxl.data.recording_split import RecordingSplit
from megxl.data.sampling import EpochCount
from megxl.data.sources import Part
from megxl.data.windows import WindowSet
from megxl.errors import InputError
from megxl.store.entry import StoredRecording
from megxl.training.corpora_config import CorporaConfig
from megxl.training.preparation import Watcher, prepare_lacking
from megxl.training.recordings import choose_all


class RecordingsData(MultiCorpusDataModule):
    """The recordings of a run as batches of windows.

    Parameters
    ----------
    config : CorporaConfig
        Checked before.
    watch : Watcher, optional
        Is told how long work goes.
    **options
        Of `MultiCorpusDataModule`: what the batches hold.
    """

    def __init__(self, config: CorporaConfig, *, watch: Watcher | None = None, **options: Any) -> None:
        data, training = config.data, config.training
        super().__init__(
            [block.source(config) for block in config.datasets_config],
            window_s=data.segment_length,
            batch_size=config.batch_size,
            num_workers=training.num_workers,
            persistent_workers=training.persistent_workers,
            seed=config.seed,
            order_seed=training.sampler_seed,
            jitter=data.jitter,
            bads=data.bads,
            order="recording" if training.use_recording_sampler else "window",
            pin_memory=training.pin_memory and torch.cuda.is_available(),
            **options,
        )
        # one process of all machines does it: the store is on a disk that they share
        self.prepare_data_per_node = False
        self.config = config
        self._watch = watch or Watcher()
        self._whole: dict[Part, WindowSet] = {}

    def prepare_data(self) -> None:
        """Prepare the recordings that the store lacks, and what a training needs of them besides.

        Raises
        ------
        InputError
            A recording that cannot be prepared or encoded: a training never becomes smaller in silence.
        """
        everything = choose_all(self.config)
        for chosen in everything:
            prepare_lacking(chosen.source.name, chosen.request, chosen.lacking, self._watch)
        parts = [chosen.source.parts(self.window_s) for chosen in everything]
        # known only now, and before the long work
        _refuse_same_signals({part: [one for some in parts for one in some[part]] for part in ("train", "validation")})
        for chosen, recordings in zip(everything, parts, strict=True):
            self._prepared(chosen.source.name, [*recordings["train"], *recordings["validation"]])

    def setup(self, stage: str | None = None) -> None:
        """Read which recordings there are and cut their windows, once.

        Raises
        ------
        InputError
            Recordings that are not in the store, or that are the same under two names in two parts; no window.
        """
        if self._datasets:
            super().setup(stage)
            return
        self.sources = tuple(chosen.source for chosen in choose_all(self.config))
        super().setup(stage)
        _refuse_same_signals({part: windows.recordings for part, windows in self.windows.items()})
        self.notes += self._on_windows()

    def split(self) -> dict[str, RecordingSplit]:
        """Keys of the recordings that train and validate, by corpus; those too short for a window are among them."""
        self.setup()
        return self.splits

    def _prepared(self, corpus: str, recordings: Sequence[StoredRecording]) -> None:
        """Do what else is to be done before the training to recordings of a corpus, now that all are in the store."""

    def _gpu(self) -> torch.device | None:
        """GPU of this process, if it trains on one."""
        device = None if self.trainer is None else self.trainer.strategy.root_device
        return device if device is not None and device.type == "cuda" else None

    def _cut(self, part: Part, recordings: list[StoredRecording]) -> WindowSet:
        """Cut windows; of those that validate take as many as were asked for, from all over the recordings."""
        self._whole[part] = windows = super()._cut(part, recordings)
        limit = self.config.trainer.limit_val_batches
        if part != "validation" or limit is None:
            return windows
        # the first ones would all be of one corpus
        most = limit * self.batch_size * (1 if self.trainer is None else self.trainer.world_size)
        return replace(windows, windows=[windows.windows[place] for place in spread(len(windows), most)])

    def _on_windows(self) -> Iterator[str]:
        """Say how many windows each corpus gives to each part and what is left out, and what an epoch holds."""
        for part, windows in self._whole.items():
            for corpus in self.corpus_ids:
                some = _of_corpus(windows, corpus)
                if some.recordings:
                    yield f"{corpus}, {part}: {some.summary}"
            if (kept := len(self.windows[part])) < len(windows):
                limit = self.config.trainer.limit_val_batches
                yield (
                    f"{kept} of {len(windows)} windows validate, spread evenly over the recordings "
                    f"(trainer.limit_val_batches = {limit})."
                )
        yield _told_epoch(self._make_sampler(self._dataset("train"), self._order, self.remainder).count)


def _told_epoch(count: EpochCount) -> str:
    """Say what an epoch holds; what is left out or comes twice only where there is any."""
    odd = [f"{number} {what}" for number, what in ((count.dropped, "left out"), (count.repeated, "repeated")) if number]
    batches = f"{count.batches} {'batch' if count.batches == 1 else 'batches'}"
    return (
        f"An epoch of training: {counted(count.items, 'window')}, {batches} on each device"
        f"{''.join(f', {one}' for one in odd)}."
    )


def _of_corpus(windows: WindowSet, corpus: str) -> WindowSet:
    """Take the windows of one corpus's recordings; they keep the numbers of their recordings."""
    recordings = tuple(recording for recording in windows.recordings if recording.corpus == corpus)
    return replace(
        windows,
        recordings=recordings,
        windows=[window for window in windows.windows if windows.recordings[window.recording].corpus == corpus],
        left_out_s={recording.key: windows.left_out_s[recording.key] for recording in recordings},
    )


def spread(count: int, limit: int | None) -> list[int]:
    """Places of at most `limit` of `count` things, spread evenly."""
    if limit is None or limit >= count:
        return list(range(count))
    return [place * count // limit for place in range(limit)]


def _refuse_same_signals(parts: Mapping[Part, Sequence[StoredRecording]]) -> None:
    """Refuse recordings of two parts that are equal in every sample, whatever their names."""
    first: dict[str, tuple[Part, str]] = {}
    for part, recordings in parts.items():
        for recording in recordings:
            other_part, other = first.setdefault(recording.signal_sha256, (part, recording.key))
            if other_part != part:
                raise InputError(
                    f"{other} ({other_part}) and {recording.key} ({part}) hold the same signal under two names; take "
                    "one of them out of datasets_config, or both into one part."
                )
