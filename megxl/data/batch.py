"""A batch: items of mixed sensor arrays side by side, padded with zeros, and the mask that says so.

Letters: B batch, C sensors, T samples (or tokens, of codes), Q levels, W words, D width of features.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from megxl.data.dataset import Item
from megxl.errors import InputError
from megxl.model.embedding import SensorTensors
from megxl.model.inputs import batch_sensors
from megxl.signals.normalization import BLOCK_S, scale_blocks


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """What a model is trained on.

    Parameters
    ----------
    signal_BCT : Tensor of float32, optional
        In SI units, or unitless once it is `normalized`.
    codes_BCTQ : Tensor of uint8, optional
        int32 where a code book has more than 256 codes.
    sensors : SensorTensors
        Positions are centred and scaled over all sensors of an item, bad and missing ones included
        (`SensorArray.normalized_positions`): what is bad today does not move the others.
    sensor_mask_BC : Tensor of bool, optional
        False where a sensor is padding, bad or missing. None: nothing is, so that a training step needs no look.
    sfreq_hz : float
        Of the signal.
    corpora : tuple of str
        Corpus of each item.
    corpus_B : Tensor of int64
        Its number (`corpus_ids`).
    keys : tuple of str
        Recording of each item.
    start_s_B : Tensor of float32
        Where it begins in its recording, in seconds (within ten hours to 2 ms: not all devices have float64).
    seeds_B : Tensor of int64
        For what chance does to each item.
    repeated_B : Tensor of bool, optional
        True where an item was in this epoch before, on any rank: it fills up a batch, or the number of batches, and
        does not belong in a sum over the data. None: none was.
    words : tuple of tuple of str, optional
        Of each item its own; contiguous groups hold different numbers of words.
    word_starts_BW : Tensor of int64, optional
        Sample of the item at which each word's window begins; -1 after the last word of an item.
    features_BWCD : Tensor of floats, optional
        Features of the words that were computed before; zero after the last word of an item.
    """

    signal_BCT: Tensor | None
    codes_BCTQ: Tensor | None
    sensors: SensorTensors
    sensor_mask_BC: Tensor | None
    sfreq_hz: float
    corpora: tuple[str, ...]
    corpus_B: Tensor
    keys: tuple[str, ...]
    start_s_B: Tensor
    seeds_B: Tensor
    repeated_B: Tensor | None = None
    words: tuple[tuple[str, ...], ...] | None = None
    word_starts_BW: Tensor | None = None
    features_BWCD: Tensor | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def to(self, device: torch.device | str) -> "Batch":
        """Move all tensors to a device."""
        # on the way back from a GPU nobody would wait for the numbers
        return self._with(lambda tensor: tensor.to(device, non_blocking=tensor.device.type == "cpu"))

    def pin_memory(self, device: torch.device | str | None = None) -> "Batch":
        """Copy all tensors to page-locked memory (a `DataLoader` calls this)."""
        return self._with(lambda tensor: tensor.pin_memory() if device is None else tensor.pin_memory(device))

    def normalized(self, block_s: float = BLOCK_S) -> "Batch":
        """Scale the signal block by block where it lies (`scale_blocks`); padding stays zero."""
        if self.signal_BCT is None:
            return self
        return replace(self, signal_BCT=scale_blocks(self.signal_BCT, round(block_s * self.sfreq_hz)))

    def padded(self, sensors: int) -> "Batch":
        """Add masked sensors of zeros, so that there are so many; as it is where there are."""
        missing = sensors - self.sensors.kinds_BC.shape[1]
        if missing < 0:
            raise InputError(
                f"{self.keys[0]} has {sensors - missing} sensors, but there is place for {sensors}; make place for "
                "more, or choose fewer."
            )
        if missing == 0:
            return self

        def pad(rows_BC: Tensor) -> Tensor:
            return torch.cat([rows_BC, rows_BC.new_zeros((len(rows_BC), missing, *rows_BC.shape[2:]))], 1)

        mask_BC = self.sensor_mask_BC
        return replace(
            self,
            signal_BCT=None if self.signal_BCT is None else pad(self.signal_BCT),
            codes_BCTQ=None if self.codes_BCTQ is None else pad(self.codes_BCTQ),
            features_BWCD=None if self.features_BWCD is None else F.pad(self.features_BWCD, (0, 0, 0, missing)),
            sensors=SensorTensors(*map(pad, self.sensors)),
            sensor_mask_BC=pad(
                torch.ones_like(self.sensors.kinds_BC, dtype=torch.bool) if mask_BC is None else mask_BC
            ),
        )

    def _with(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        parts = {name: change(part) for name, part in vars(self).items() if isinstance(part, Tensor)}
        return replace(self, sensors=SensorTensors(*map(change, self.sensors)), **parts)


def corpus_ids(names: Iterable[str]) -> dict[str, int]:
    """Number corpora by the order of their names: the same set has the same numbers, however it is written down."""
    return {name: number for number, name in enumerate(sorted(set(names)))}


def collate(items: Sequence[Item], corpus_ids: Mapping[str, int]) -> Batch:
    """Lay items side by side.

    Parameters
    ----------
    items : sequence of Item
        Of one length and rate; with any sensors.
    corpus_ids : mapping
        Number of each corpus.

    Raises
    ------
    InputError
        Different lengths or rates, some with and some without a signal, codes or words, a corpus without a number.
    """
    _refuse_unlike(items)
    unknown = [item.corpus for item in items if item.corpus not in corpus_ids]
    if unknown:
        raise InputError(f"The corpus {unknown[0]!r} has no number; there are: {', '.join(corpus_ids) or 'none'}.")
    sensors, padding_BC = batch_sensors([item.sensors for item in items])
    words = [item.words for item in items if item.words is not None]
    starts = [item.word_starts_W for item in items if item.word_starts_W is not None]
    return Batch(
        signal_BCT=_padded([item.signal_CT for item in items]),
        codes_BCTQ=_padded([item.codes_CTQ for item in items]),
        sensors=sensors,
        sensor_mask_BC=_joined_mask(items, padding_BC, sensors.kinds_BC.shape[1]),
        sfreq_hz=items[0].sfreq_hz,
        corpora=tuple(item.corpus for item in items),
        corpus_B=torch.tensor([corpus_ids[item.corpus] for item in items]),
        keys=tuple(item.key for item in items),
        start_s_B=torch.tensor([item.start_s for item in items], dtype=torch.float32),
        seeds_B=torch.tensor([item.seed for item in items]),
        repeated_B=torch.tensor([item.repeated for item in items]) if any(item.repeated for item in items) else None,
        words=tuple(words) if words else None,
        word_starts_BW=pad_sequence(starts, batch_first=True, padding_value=-1) if starts else None,
        features_BWCD=_padded_features([item.features_WCD for item in items if item.features_WCD is not None]),
    )


def _padded(parts_C: Sequence[Tensor | None]) -> Tensor | None:
    """Stack rows, fewer ones filled up with zeros."""
    known = [part for part in parts_C if part is not None]
    if not known:
        return None
    most = max(len(part) for part in known)
    if all(len(part) == most for part in known):
        return known[0][None] if len(known) == 1 else torch.stack(known)
    stacked_BC = torch.zeros((len(known), most, *known[0].shape[1:]), dtype=known[0].dtype)
    for row, part in zip(stacked_BC, known, strict=True):
        row[: len(part)] = part
    return stacked_BC


def _padded_features(parts_WCD: Sequence[Tensor]) -> Tensor | None:
    """Stack features of words; fewer words and fewer sensors are filled up with zeros."""
    if not parts_WCD:
        return None
    words, sensors = (max(part.shape[axis] for part in parts_WCD) for axis in (0, 1))
    stacked_BWCD = parts_WCD[0].new_zeros(len(parts_WCD), words, sensors, parts_WCD[0].shape[2])
    for row, part in zip(stacked_BWCD, parts_WCD, strict=True):
        row[: part.shape[0], : part.shape[1]] = part
    return stacked_BWCD


def _joined_mask(items: Sequence[Item], padding_BC: Tensor | None, most: int) -> Tensor | None:
    if padding_BC is None and all(item.sensor_mask_C is None for item in items):
        return None
    mask_BC = torch.ones(len(items), most, dtype=torch.bool) if padding_BC is None else padding_BC
    for row_C, item in zip(mask_BC, items, strict=True):
        if item.sensor_mask_C is not None:
            row_C[: len(item.sensor_mask_C)] &= item.sensor_mask_C
    return mask_BC


def _refuse_unlike(items: Sequence[Item]) -> None:
    if not items:
        raise InputError("No item to make a batch of.")
    first = items[0]
    for item in items[1:]:
        for what, mine, other in (
            ("rates (Hz)", item.sfreq_hz, first.sfreq_hz),
            ("samples", _length(item.signal_CT), _length(first.signal_CT)),
            ("tokens", _length(item.codes_CTQ), _length(first.codes_CTQ)),
            ("knowledge of words", _known(item.words), _known(first.words)),
            ("knowledge of word windows", _known(item.word_starts_W), _known(first.word_starts_W)),
        ):
            if mine != other:
                raise InputError(
                    f"{item.key} at {item.start_s:g} s and {first.key} at {first.start_s:g} s have different {what}: "
                    f"{mine} and {other}; items of one batch are alike."
                )


def _length(rows_C: Tensor | None) -> int | None:
    return None if rows_C is None else rows_C.shape[1]


def _known(words: Sequence | Tensor | None) -> str:
    return "none" if words is None else "words"
