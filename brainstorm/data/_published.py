"""What the published data classes share (alias): recordings in a megxl store, items as published dictionaries.

Arrays are `[C, T]`; rows are the channels of the file, padded with zeros to `max_channel_dim`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch.utils.data import Dataset

from brainstorm.data.preprocessing import cache_hash
from brainstorm.data.utils import norm_sensor_positions
from megxl.corpora.corpus import Selection, corpus_named
from megxl.data.preparing.running import Request, prepare_corpus
from megxl.errors import InputError
from megxl.signals.preparation import Preparation
from megxl.store.entry import StoredRecording
from megxl.store.store import Store

CACHE = "./data/cache"


class PublishedDataset(Dataset):
    """Recordings of one corpus, prepared into `cache_dir` at construction.

    Unlike the published classes it refuses a recording that cannot be prepared, a name that no recording has, and more
    channels than `max_channel_dim`; it holds no open file and can be pickled.

    Parameters
    ----------
    data_root : path
        Root of the corpus.
    cache_dir : path
        Below it lies one megxl store for each `l_freq`, `h_freq` and `target_sfreq`.
    subjects, sessions, tasks, runs : sequence of str, optional
        None: all.
    without : Selection, optional
        Recordings that are left out, by names that there are.
    l_freq, h_freq, target_sfreq : float
        Hz.
    channel_filter : callable, optional
        Which of the corpus's channels, by name; a published label counts as None.
    max_channel_dim : int, optional
        None: no padding.
    """

    corpus: ClassVar[str]
    label: ClassVar[str] = "MEG_only"
    by_task: ClassVar[bool] = False
    """Whether the published order has one task after the other."""

    def __init__(
        self,
        data_root: str | Path,
        *,
        cache_dir: str | Path,
        subjects: Sequence[str] | None,
        sessions: Sequence[str] | None,
        tasks: Sequence[str] | None,
        runs: Sequence[str] | None = None,
        without: Selection | None = None,
        l_freq: float,
        h_freq: float,
        target_sfreq: float,
        channel_filter: Callable[[str], bool] | str | None,
        max_channel_dim: int | None,
    ) -> None:
        names = {"subjects": subjects, "sessions": sessions, "tasks": tasks, "runs": runs}
        selection = Selection(**{level: None if some is None else tuple(some) for level, some in names.items()})
        # the published system never refers electrodes to anything
        settings = Preparation(
            low_hz=float(l_freq),
            high_hz=float(h_freq),
            sfreq_hz=float(target_sfreq),
            method="mne",
            reference="recorded",
        )
        digest = cache_hash(float(l_freq), float(h_freq), float(target_sfreq), self.label)
        keys, selection = _without(self.corpus, data_root, selection, without)
        stored = _stored(self.corpus, data_root, Path(cache_dir, f"megxl-{digest}"), selection, settings)
        stored = [recording for recording in stored if recording.key in keys]
        self.recordings = sorted(stored, key=lambda recording: self._place(recording, tasks))
        self.channel_filter = channel_filter if callable(channel_filter) else None
        self.max_channel_dim = max_channel_dim
        self.segment_index: list[tuple[int, int]] = []
        for recording in self.recordings:
            self._check_rows(recording)

    def __len__(self) -> int:
        return len(self.segment_index)

    def _place(self, recording: StoredRecording, tasks: Sequence[str] | None) -> tuple:
        """Sort as files were found: by the letters of their names, so that run-10 comes before run-1."""
        name = f"{recording.subject}/{recording.session}/{recording.id}_"
        if not self.by_task:
            return (name,)
        order = list(tasks) if tasks is not None else list(corpus_named(self.corpus).tasks or ())
        return (order.index(recording.task) if recording.task in order else 0, recording.task, name)

    def _rows(self, recording: StoredRecording) -> list[int]:
        names = recording.sensors.names
        return [row for row, name in enumerate(names) if self.channel_filter is None or self.channel_filter(name)]

    def _check_rows(self, recording: StoredRecording) -> None:
        channels = len(self._rows(recording))
        if not channels:
            raise InputError(f"{recording.key}: channel_filter leaves none of its {len(recording.sensors)} channels.")
        if self.max_channel_dim is not None and channels > self.max_channel_dim:
            raise InputError(
                f"{recording.key} has {channels} channels; allowed by max_channel_dim: {self.max_channel_dim}. "
                "Choose a larger one."
            )

    def _item(self, number: int, normalized: np.ndarray) -> dict[str, Any]:
        """Signal, sensors and names of an item."""
        recording = self.recordings[number]
        rows, sensors = self._rows(recording), recording.sensors
        kept = np.concatenate([sensors.positions_C3, sensors.orientations_C3], axis=1)[rows]
        width = self.max_channel_dim or len(rows)
        return {
            "meg": _padded(normalized.astype(np.float32), width),
            "sensor_xyzdir": _padded(np.asarray(norm_sensor_positions(kept), dtype=np.float32), width),
            "sensor_types": _padded((sensors.kinds_C[rows] == 1).astype(np.int32), width),
            "sensor_mask": _padded(np.ones(len(rows), dtype=np.float32), width),
            **self._named(recording),
            "recording_idx": number,
        }

    def _named(self, recording: StoredRecording) -> dict[str, str]:
        return {"subject": recording.subject, "session": recording.session or "", "task": recording.task or ""}


def refuse_absent(
    corpus: str, root: str | Path, filters: Mapping[str, Sequence[str] | None], level: str, told: str
) -> None:
    """Refuse names of one level that have no recording among those that all other filters choose.

    Parameters
    ----------
    corpus : str
    root : path
    filters : mapping
        Names by level: ``subjects``, ``sessions``, ``tasks``, ``runs``.
    level : str
        Whose names are looked at.
    told : str
        What gave the names, for the error.
    """
    names = {each: tuple(some) for each, some in filters.items() if some is not None}
    asked = names.pop(level, ())
    found = corpus_named(corpus).select(root, Selection(**names))
    known = sorted({getattr(file, level.removesuffix("s")) or "none" for file in found})
    if absent := [name for name in asked if name not in known]:
        tasks = f" of {', '.join(names['tasks'])}" if "tasks" in names else ""
        some = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
        raise InputError(
            f"{told} = {', '.join(map(repr, absent))}: no such recording{tasks} is below {root}; there are the {level} "
            f"{some}."
        )


def _without(
    name: str, root: str | Path, selection: Selection, without: Selection | None
) -> tuple[set[str], Selection]:
    """Keys of what stays without some recordings, and a selection that holds little else: what is prepared."""
    corpus = corpus_named(name)
    files, but = corpus.select(root, selection), ""
    if without is not None:
        without.of(corpus.recordings(root))  # a slip of the pen in a name must not train on validation
        files = [file for file in files if not without.matches(file)]
        but = f" without {', '.join(name for names in asdict(without).values() for name in names or ())}"
    if not files:
        raise InputError(f"{name}: no recording below {root} is left of the selection{but}.")
    narrow = {}
    for level in ("subjects", "sessions", "tasks", "runs"):
        names = dict.fromkeys(getattr(file, level.removesuffix("s")) for file in files)
        narrow[level] = None if None in names else tuple(names)
    return {file.key for file in files}, Selection(**narrow)


def _stored(
    name: str, root: str | Path, store: Path, selection: Selection, settings: Preparation
) -> list[StoredRecording]:
    """Recordings of the selection, prepared where they are not yet."""
    request = Request(
        corpus=corpus_named(name),
        root=root,
        store=store,
        selection=selection,
        settings=settings,
        bads="keep",
        workers=0,
    )
    result = prepare_corpus(request)
    if not result.complete:
        told = {outcome.key: outcome.reason for outcome in result.failed} | result.damaged
        first, why = next(iter(told.items()))
        raise InputError(f"{len(told)} recordings of {name} could not be prepared (first: {first}: {why}).")
    return Store(store).recordings(result.keys)


def _padded(rows: np.ndarray, width: int) -> torch.Tensor:
    padded = np.zeros((width, *rows.shape[1:]), dtype=rows.dtype)
    padded[: len(rows)] = rows
    return torch.from_numpy(padded)
