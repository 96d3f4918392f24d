"""A look at what a decoder does with some test groups: which sensors it uses, how much signal after onsets it needs.

Letters: B batch (one item), W words, C sensors, E width of the targets, N words of all groups that were looked at.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from megxl.data.batch import Batch, collate
from megxl.data.dataset import Item
from megxl.decoding.decoder import Decoder, WordFeatures
from megxl.decoding.heads import SensorAttentionHead
from megxl.decoding.metrics import Metric
from megxl.decoding.occurrences import Occurrences
from megxl.decoding.predictions import Predictions
from megxl.decoding.saliency import sensor_saliency
from megxl.decoding.saved_decoder import SavedDecoder
from megxl.decoding.truncation import decode_until
from megxl.reporting.words.scores import Scored, score_predictions
from megxl.signals.normalization import BLOCK_S
from megxl.signals.sensors import SensorArray

TIMES_S = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)
"""How much signal after the onset the decoder is given; the whole window comes last."""


@dataclass(kw_only=True, eq=False)
class SensorUse:
    """How much the sensors of one array move what is decoded, summed over items."""

    array: SensorArray
    saliency_sum_C: np.ndarray
    attention_sum_C: np.ndarray | None
    items_C: np.ndarray
    """Items in which each sensor was good."""

    @property
    def good_C(self) -> np.ndarray:
        """Sensors that were good in any item."""
        return self.items_C > 0

    @property
    def saliency_C(self) -> np.ndarray:
        """Mean of `sensor_saliency` over the items in which a sensor was good."""
        return self.saliency_sum_C / self.items_C.clip(min=1)

    @property
    def attention_C(self) -> np.ndarray | None:
        """Mean weight that a head which attends over sensors gives each; None for other heads."""
        return None if self.attention_sum_C is None else self.attention_sum_C / self.items_C.clip(min=1)


@dataclass(kw_only=True, eq=False)
class Examination:
    """What was seen."""

    uses: dict[tuple[str, ...], SensorUse] = field(default_factory=dict)
    """By the names of the sensors; empty where the features have no sensors any more."""
    times_s: tuple[float, ...] = ()
    scores: list[Scored] = field(default_factory=list)
    """The metric at each time; empty where words cannot be cut one by one."""
    groups: int = 0
    words: int = 0


class Examiner:
    """Shows a decoder test groups, one at a time.

    Parameters
    ----------
    saved : SavedDecoder
        In eval mode.
    subjects : mapping
        From the key of a recording to its subject, for decoders that know their listeners.
    rows : int
        Sensors of a batch, padding counted, as in training.
    device : str or torch.device
    """

    def __init__(self, saved: SavedDecoder, subjects: Mapping[str, str], rows: int, device: str | torch.device) -> None:
        self.saved, self.subjects, self.rows, self.device = saved, subjects, rows, device
        self._ranks = {word: rank for rank, word in enumerate(saved.vocabulary)}
        window_s = saved.grouping.window_s
        self._block_s = window_s if saved.grouping.layout == "tape" else BLOCK_S
        ends = window_s + saved.grouping.offset_s
        self.times_s = (*(time for time in TIMES_S if time < ends), ends)

    def examine(
        self,
        items: Sequence[Callable[[], Item]],
        occurrences: Occurrences,
        metric: Metric,
        resamples: int,
        advance: Callable[[int], None] | None = None,
    ) -> Examination:
        """Look at items (each read when it is called), whose words stand in `occurrences` one after the other."""
        seen, cut = Examination(groups=len(items), words=len(occurrences)), []
        heard: list[str] = []
        for read in items:
            item = read()
            batch = collate([item], {item.corpus: 0}).padded(self.rows).to(self.device).normalized(self._block_s)
            listeners = [self.subjects[item.key]]
            heard += item.words or ()
            self._add_use(seen, item, batch, listeners)
            if self.saved.grouping.layout == "tape":
                cut.append(decode_until(self.saved.decoder, batch, self.times_s, self.saved.grouping, listeners))
            if advance is not None:
                advance(1)
        assert tuple(heard) == occurrences.words, "the occurrences are those of the items"
        if cut:
            seen.times_s = self.times_s
            seen.scores = [
                score_predictions(f"{time_s:g} s", self._predictions(torch.cat(parts), occurrences), metric, resamples)
                for time_s, parts in zip(self.times_s, zip(*cut, strict=True), strict=True)
            ]
        return seen

    def _add_use(self, seen: Examination, item: Item, batch: Batch, listeners: Sequence[str]) -> None:
        decoder = self.saved.decoder
        with torch.no_grad():
            features = decoder.features(batch)
        if features.sensors is None or item.words is None:
            return
        targets_BWE, known_BW = self._targets(item.words)
        there_BW = torch.ones_like(known_BW)
        moved_BC = sensor_saliency(decoder, features, targets_BWE, known_BW, words_in_item_BW=there_BW,
                                   subjects=listeners)  # fmt: skip
        size = len(item.sensors)
        good_C = np.ones(size) if item.sensor_mask_C is None else item.sensor_mask_C.numpy()[:size].astype(float)
        use = seen.uses.setdefault(item.sensors.names, _nothing(item.sensors, decoder))
        use.saliency_sum_C += moved_BC[0, :size].cpu().numpy() * good_C
        use.items_C += good_C
        if use.attention_sum_C is not None:
            use.attention_sum_C += _attention(decoder, features, listeners)[0, :, :size].mean(0).cpu().numpy() * good_C

    def _targets(self, words: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Vectors of the true words (B, W, E), and which of them have one (B, W)."""
        ranks_W = torch.tensor([self._ranks.get(word, -1) for word in words])
        targets_WE = self.saved.targets_VE[ranks_W.clamp(min=0)]
        return targets_WE[None].float().to(self.device), (ranks_W >= 0)[None].to(self.device)

    def _predictions(self, vectors_NE: Tensor, occurrences: Occurrences) -> Predictions:
        saved = self.saved
        return Predictions(values_NX=vectors_NE, occurrences=occurrences, vocabulary=saved.vocabulary,
                           targets_VD=saved.targets_VE.float().cpu(), counts=saved.counts)  # fmt: skip


def spread(total: int, number: int) -> list[int]:
    """Numbers of at most so many of all, spread evenly."""
    return np.unique(np.linspace(0, total - 1, min(number, total)).round().astype(int)).tolist()


def _attention(decoder: Decoder, features: WordFeatures, listeners: Sequence[str]) -> Tensor:
    assert isinstance(decoder.head, SensorAttentionHead) and features.sensors is not None
    words_BWCD = features.words_BWCD
    if decoder.subjects is not None:
        words_BWCD = decoder.subjects(words_BWCD, listeners)
    return decoder.head.weights(words_BWCD, features.sensors, features.sensor_mask_BC)


def _nothing(array: SensorArray, decoder: Decoder) -> SensorUse:
    size = len(array)
    looks = isinstance(decoder.head, SensorAttentionHead)
    return SensorUse(array=array, saliency_sum_C=np.zeros(size), items_C=np.zeros(size),
                     attention_sum_C=np.zeros(size) if looks else None)  # fmt: skip
