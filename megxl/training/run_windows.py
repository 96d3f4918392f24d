"""The windows of a run's recordings, as its split names them and with the masks of its validation, one at a time.

Letters: C sensors, T tokens, Q levels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from megxl.data.batch import collate, corpus_ids
from megxl.data.cached_codes import open_codes
from megxl.data.code_grid import WindowGrid
from megxl.data.dataset import WindowDataset
from megxl.data.windows import fixed_windows
from megxl.errors import InputError
from megxl.model.embedding import SensorTensors
from megxl.model.masking import plan_mask
from megxl.model.megxl import MEGXL
from megxl.sizes import MEGXLConfig
from megxl.store.store import Store
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.masks import hide
from megxl.training.runs import Run


def open_model(run: Run, source: str | Path | None = None, device: torch.device | str = "cpu") -> MEGXL:
    """Newest model of a run, or another one, with a tokenizer: its own or the run's; in evaluation mode."""
    source = run.newest_model() if source is None else source
    model = MEGXL.from_pretrained(source)
    if model.tokenizer is None:
        model = MEGXL.from_pretrained(source, run.config.model.tokenizer_ckpt)
    return model.to(device).eval()


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """One window as the model is given it."""

    key: str
    corpus: str
    codes_1CTQ: Tensor
    sensors: SensorTensors
    sensor_mask_1C: Tensor | None
    places_C3: Tensor
    """In metres."""
    mask_T: Tensor
    """Its own mask, the same whenever it is asked for."""


class RunWindows:
    """Windows of one part of a run's split, with the masks that training would validate them with.

    Parameters
    ----------
    run : Run
    model : MEGXL
        With its tokenizer, which encodes windows that have no cached codes.
    part : "validation" or "train"
    window_s : float, optional
        Length; by default that of the training. The share of hidden blocks is the training's at any length.
    number : int, optional
        Take so many, spread evenly over the recordings; by default all.
    cached : bool
        Read cached codes where the run has them for this length.

    Raises
    ------
    InputError
        A run without a split, or whose split leaves this part empty; recordings that are no longer in the store or
        shorter than a window; less than one window.
    """

    def __init__(
        self,
        run: Run,
        model: MEGXL,
        part: str = "validation",
        *,
        window_s: float | None = None,
        number: int | None = None,
        cached: bool = True,
    ) -> None:
        data, self.model = run.config.data, model
        self.window_s = data.segment_length if window_s is None else window_s
        recordings = Store(data.cache_dir).recordings(part_keys(run, part))
        longest_s = max(recording.duration_s for recording in recordings)
        if longest_s < self.window_s:
            raise InputError(
                f"No {part} recording of {run.name} is as long as {self.window_s:g} s, the longest has "
                f"{longest_s:.1f} s; ask for a shorter context."
            )
        windows = fixed_windows(recordings, self.window_s)
        assert model.tokenizer is not None
        codes = None
        if cached and data.codes == "cached" and self.window_s == data.segment_length:
            codes = open_codes(recordings, WindowGrid(window_s=self.window_s), model.tokenizer)
        self._dataset = WindowDataset(windows, seed=run.config.seed, bads=data.bads, codes=codes, signal=codes is None)
        if number is not None and number < 1:
            raise InputError(f"At least one window is needed, not {number}.")
        count = min(len(windows), number or len(windows))
        self._chosen = np.linspace(0, len(windows) - 1, count).round().astype(int).tolist()
        self.tokens = model.tokenizer.tokens(windows.window_samples)
        self.sizes = _sizes(run, model.tokenizer, self.tokens)
        short = [recording.key for recording in recordings if recording.n_samples < windows.window_samples]
        self.notes = _window_notes(run, self.window_s, short, count, len(windows))

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[Window]:
        """Read windows one after the other, on the device of the model."""
        for index in self._chosen:
            item = self._dataset[index]
            batch = collate([item], corpus_ids([item.corpus]))
            mask_T = hide(batch, self.sizes, self.tokens).mask_BT[0]
            batch = batch.to(self.model.head.weight.device)
            inputs = batch.codes_BCTQ if batch.codes_BCTQ is not None else batch.normalized().signal_BCT
            assert inputs is not None
            yield Window(
                key=item.key,
                corpus=item.corpus,
                codes_1CTQ=self.model.codes(inputs),
                sensors=batch.sensors,
                sensor_mask_1C=batch.sensor_mask_BC,
                places_C3=torch.tensor(item.sensors.positions_C3),
                mask_T=mask_T,
            )


def part_keys(run: Run, part: str) -> list[str]:
    """Keys of the recordings of a part, as the run was trained: the store may have grown since."""
    split = run.split()
    if split is None:
        raise InputError(f"{run.name} has no split yet; it is written when its training begins.")
    keys = [key for corpus in sorted(split) for key in split[corpus][part]]
    if not keys:
        raise InputError(f"The split of {run.name} has no recording for {part}; choose another part.")
    return keys


def _sizes(run: Run, codec: BioCodec, tokens: int) -> MEGXLConfig:
    """Sizes of the run's model, with as large a share of a window's blocks hidden as in training."""
    data, model = run.config.data, run.config.model
    trained = codec.tokens(round(data.segment_length * data.target_sfreq))
    sizes, at_training = model.sizes(tokens, codec.config), model.sizes(trained, codec.config)
    if tokens == trained or model.num_subsegments_to_mask is None:
        return sizes
    share = at_training.masked_blocks / plan_mask(trained, at_training).blocks
    blocks = plan_mask(tokens, replace(sizes, masked_blocks=0)).blocks
    return replace(sizes, masked_blocks=max(1, round(share * blocks)))


def _window_notes(run: Run, window_s: float, short: Sequence[str], count: int, total: int) -> list[str]:
    notes = []
    trained_s = run.config.data.segment_length
    if window_s != trained_s:
        longer = "longer" if window_s > trained_s else "shorter"
        notes.append(
            f"Windows of {window_s:g} s are {longer} than the {trained_s:g} s of training; their codes are made anew."
        )
    if short:
        notes.append(f"{len(short)} recordings are shorter than a window and left out (first: {short[0]}).")
    if count < total:
        notes.append(f"{count} of {total} windows, spread evenly over the recordings.")
    return notes
