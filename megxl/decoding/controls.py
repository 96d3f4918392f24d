"""Controls: data from which something was taken away, so that what a decoder still finds cannot be owed to it.

Letters: C sensors, T samples, W words.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import torch

from megxl.data.dataset import Draw, Item, Layout
from megxl.data.group_dataset import WordGroupDataset
from megxl.data.groups import WordGroup, WordGroupSet
from megxl.data.seeds import seed_of
from megxl.errors import InputError

SignalControl = Literal["noise", "time_shuffle", "duration_only"]
"""White noise in place of the signal; windows from elsewhere in the recording; the durations of the words alone."""
APART_S = 10.0
"""So far from where it was heard a word's window is taken when time is shuffled."""
_NOISE = 1e-12
"""Standard deviation of noise, as of a magnetometer in tesla; the scaling makes all sizes equal."""
_BOX = 30 * _NOISE
"""Height of what stands for a word; scaled, it is clipped, or the noise is next to nothing where words are long."""


class ControlledGroups(WordGroupDataset):
    """Word groups whose signal is changed before it is normalised; sensors, masks and words stay.

    What is drawn depends on names and seeds alone. Noise is another one in every epoch of a training; parts that are
    read in the order of the file (validation, test) have that of epoch 0. Shuffled windows stay the same.

    Parameters
    ----------
    groups : WordGroupSet
    control : "noise", "time_shuffle" or "duration_only"
        Noise is drawn for each window of a tape anew, so that what neighbours have in common tells nothing. Shuffled,
        each window of a tape is taken from a place of its own, a contiguous group from one. A duration is a box from
        the onset of its word on, the same in all sensors, thirty times as high as the noise around it; on a tape each
        window has the box of its own word alone, a contiguous group those of all its words.
    **options
        Those of `WordGroupDataset`, without codes.

    Raises
    ------
    InputError
        An unknown control; a recording too short for windows from elsewhere; words without a duration.
    """

    def __init__(self, groups: WordGroupSet, *, control: SignalControl, **options: Any) -> None:
        super().__init__(groups, **options)
        if control not in get_args(SignalControl):
            raise InputError(f"control = {control!r}; allowed of the signal: {', '.join(get_args(SignalControl))}.")
        self.control: SignalControl = control
        if control == "time_shuffle":
            self._refuse_short()
        if control == "duration_only":
            _refuse_unknown_durations(groups)

    def __getitem__(self, index: int | Draw) -> Item:
        """Read an item and change its signal."""
        item = super().__getitem__(index)
        group = self.groups.groups[Draw.of(index, len(self)).index]
        assert item.signal_CT is not None, "a changed signal has no cached codes"
        if self.control == "time_shuffle":
            return replace(item, signal_CT=self._elsewhere(group))
        signal_CT = _noise(item, item.signal_CT.shape)
        if self.control == "duration_only":
            signal_CT += _boxes(item, group, self.groups.grouping.offset_s)
        if item.sensor_mask_C is not None:
            signal_CT[~item.sensor_mask_C] = 0
        return replace(item, signal_CT=signal_CT)

    @property
    def layout(self) -> Layout:
        """What a sampler needs to know."""
        layout = super().layout
        return replace(layout, fingerprint=f"{layout.fingerprint} {self.control} {self.seed}")

    def _elsewhere(self, group: WordGroup) -> torch.Tensor:
        """Signal of the group's windows, each from another place of the recording."""
        recording = self.groups.recordings[group.recording]
        taken = self._pieces(group)
        places = elsewhere(taken, recording.n_samples, APART_S * recording.sfreq_hz, self.seed, recording.key)
        return torch.cat([self.rows.signal(group.recording, start, stop) for start, stop in places], dim=1)

    def _pieces(self, group: WordGroup) -> list[tuple[int, int]]:
        if self.groups.grouping.layout == "contiguous":
            return [(group.start, group.stop)]
        return list(zip(group.starts, group.stops, strict=True))

    def _refuse_short(self) -> None:
        for group in self.groups:
            recording = self.groups.recordings[group.recording]
            apart = APART_S * recording.sfreq_hz
            for start, stop in self._pieces(group):
                if not sum(map(len, _free(start, stop, recording.n_samples, apart))):
                    length_s, begin_s = (stop - start) / recording.sfreq_hz, start / recording.sfreq_hz
                    raise InputError(
                        f"control = time_shuffle: {recording.key} lasts {recording.duration_s:.1f} s, too short to "
                        f"take the {length_s:g} s at {begin_s:.1f} s from a place {APART_S:g} s apart; leave this "
                        "recording out, or choose another control."
                    )


def elsewhere(
    pieces: Iterable[tuple[int, int]], n_samples: int, apart: float, seed: int, key: str
) -> list[tuple[int, int]]:
    """Choose for pieces of a recording others of the same lengths, at least so many samples apart from each.

    All places that are far enough are equally likely; the choice depends on seed, key and the piece alone.
    """
    chosen = []
    for start, stop in pieces:
        before, after = _free(start, stop, n_samples, apart)
        number = seed_of("elsewhere", seed, key, start) % (len(before) + len(after))
        begin = before[number] if number < len(before) else after[number - len(before)]
        chosen.append((begin, begin + stop - start))
    return chosen


def shuffle_words(groups: WordGroupSet, indices: Iterable[int], seed: int) -> WordGroupSet:
    """Permute the texts of the words over all places of some groups; onsets and durations stay where they are.

    Parameters
    ----------
    groups : WordGroupSet
    indices : iterable of int
        Groups of one part, whose words are mixed among each other, over all its recordings.
    seed : int
        With the names of the recordings it decides the permutation, whatever the order of groups.

    Returns
    -------
    WordGroupSet
        All groups, those of `indices` with other texts.
    """
    places = [
        (groups.recordings[groups.groups[index].recording].key, groups.groups[index].number, word, index)
        for index in set(indices)
        for word in range(len(groups.groups[index].words))
    ]
    places.sort()
    texts = [groups.groups[index].words[word].text for *_, word, index in places]
    drawn = sorted(places, key=lambda place: seed_of("shuffled words", seed, *place[:3]))
    given = {(index, word): text for (*_, word, index), text in zip(drawn, texts, strict=True)}
    changed = {
        index: tuple(replace(word, text=given[index, n]) for n, word in enumerate(groups.groups[index].words))
        for index in set(indices)
    }
    return replace(
        groups,
        groups=tuple(
            replace(group, words=changed[index]) if index in changed else group for index, group in enumerate(groups)
        ),
    )


def _free(start: int, stop: int, n_samples: int, apart: float) -> tuple[range, range]:
    """First samples, before and after, at which as long a piece lies that far apart within the recording."""
    length, gap = stop - start, int(np.ceil(apart))
    return range(0, max(0, start - gap - length + 1)), range(stop + gap, max(stop + gap, n_samples - length + 1))


def _noise(item: Item, shape: torch.Size) -> torch.Tensor:
    rng = np.random.default_rng(seed_of("noise", item.seed))
    return torch.from_numpy(rng.standard_normal(tuple(shape), dtype=np.float32) * np.float32(_NOISE))


def _boxes(item: Item, group: WordGroup, offset_s: float) -> torch.Tensor:
    """A box from each word's onset to its end, cut off where its window ends; shape (T,)."""
    assert item.word_starts_W is not None and item.signal_CT is not None
    boxes_T = torch.zeros(item.signal_CT.shape[1])
    for word, start, begin, end in zip(
        group.words, item.word_starts_W.tolist(), group.starts, group.stops, strict=True
    ):
        assert word.duration_s is not None
        onset = round(-offset_s * item.sfreq_hz)
        last = min(onset + max(1, round(word.duration_s * item.sfreq_hz)), end - begin)
        boxes_T[start + max(0, onset) : start + last] = _BOX
    return boxes_T


def _refuse_unknown_durations(groups: WordGroupSet) -> None:
    for group in groups:
        unknown = [word.text for word in group.words if word.duration_s is None or not np.isfinite(word.duration_s)]
        if unknown:
            raise InputError(
                f"control = duration_only: words of {groups.recordings[group.recording].key} have no duration (first: "
                f"{unknown[0]!r}); leave such recordings out, or choose another control."
            )
