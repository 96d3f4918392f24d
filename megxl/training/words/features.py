"""What a frozen backbone says of words, computed once and kept on disk: a head then trains in seconds an epoch.

Letters: N words of a part, W words of a group, C sensors, D width.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch.utils.data import Dataset

from megxl.data.dataset import Draw, Item, Layout
from megxl.data.group_dataset import WordGroupDataset
from megxl.data.recording_split import PARTS
from megxl.data.sources import Part
from megxl.decoding.controls import SignalControl
from megxl.decoding.decoder import Backbone, MEGXLBackbone
from megxl.errors import InputError
from megxl.placing import placed
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.fingerprint import fingerprint
from megxl.training.preparation import Watcher
from megxl.training.words.config import WordsConfig
from megxl.training.words.data import WordsData
from megxl.training.words.precision import in_precision

FORMAT = "megxl-word-features 2"
HIDDEN = ".features"
"""Folder in a store: runs of other seeds, heads, splits and amounts of data share what it holds."""
_SPARE = 1.05
"""Of the disk, no less than so many times what is written has to be free."""


class FeatureData(WordsData):
    """The words of a run as batches of features.

    Parameters
    ----------
    config, tokenizer, watch
        As in `WordsData`.
    backbone : Backbone
        Frozen.
    place : Path
        Folder of the features, in which each group has a file of its own.
    tell : callable
        Is told what is computed.
    """

    def __init__(
        self,
        config: WordsConfig,
        tokenizer: BioCodec | None,
        backbone: Backbone,
        place: Path,
        *,
        watch: Watcher | None = None,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(config, tokenizer, watch=watch)
        self._backbone = backbone
        self._place = place
        self._tell = tell
        self._computed_by = ""

    def prepare_data(self) -> None:
        """Prepare recordings and codes, and compute the features that are lacking.

        Raises
        ------
        InputError
            As `WordsData`; a disk that is too small, features that float16 cannot hold.
        """
        super().prepare_data()
        self.setup()
        for part in PARTS:
            lacking = [number for number, file in enumerate(self.files(part)) if not file.is_file()]
            if lacking:
                self._compute(part, lacking)

    def setup(self, stage: str | None = None) -> None:
        """Read which groups there are; a training that begins (`stage` "fit") opens their features."""
        super().setup(stage)
        if stage != "fit":
            return
        for part, dataset in self._datasets.items():
            if isinstance(dataset, WordGroupDataset):
                self._datasets[part] = FeatureGroups(dataset, self.files(part))  # pyright: ignore[reportArgumentType]

    def files(self, part: Part) -> list[Path]:
        """Where the features of each group of a part are, by all that they depend on."""
        dataset: Any = self._dataset(part)
        groups, rows = dataset.groups, dataset.rows
        self._computed_by = self._computed_by or self._computation()
        # what a control puts in the signal's place follows from the seed and the group; words as such tell nothing
        controlled = self.config.control in get_args(SignalControl)
        folders: dict[int, Path] = {}
        files = []
        for group in groups:
            if group.recording not in folders:
                stored, (sensors, mask_C) = groups.recordings[group.recording], rows.sensors(group.recording)
                mask = None if mask_C is None else mask_C.tolist()
                told = [stored.key, stored.signal_sha256, stored.n_samples, sensors.to_json(), mask]
                folders[group.recording] = self._place / self._computed_by / _digest(told)
            told = [groups.grouping, group.starts, group.stops]
            if controlled:
                told += [self.config.seed, group.number, [word.duration_s for word in group.words]]
            files.append(folders[group.recording] / f"{_digest(told)}.npy")
        return files

    def _computation(self) -> str:
        """Fingerprint of how features are computed, whatever the group."""
        config = self.config
        control = config.control if config.control in get_args(SignalControl) else None
        how = [self.n_sensors, config.block_s, config.data.subsegment_duration, control]
        return _digest([FORMAT, _weights(self._backbone), config.machine.precision, *how])

    def _compute(self, part: Part, lacking: Sequence[int]) -> None:
        files = self.files(part)
        dataset = self.dataset(part).only(lacking)
        counts = [len(group.words) for group in dataset.groups]
        needed = 2 * sum(counts) * self.n_sensors * self._backbone.width
        self._tell(f"Computing the features of {sum(counts)} words of the {part} part once ({needed / 1e9:.2g} GB).")
        self._place.mkdir(parents=True, exist_ok=True)
        _refuse_small_disk(self._place, needed)
        for number, words_WCD in zip(lacking, self._features(dataset), strict=True):
            files[number].parent.mkdir(parents=True, exist_ok=True)
            with placed(files[number], folder=False) as unfinished, unfinished.open("wb") as file:
                np.save(file, words_WCD)

    @torch.no_grad()
    def _features(self, dataset: WordGroupDataset) -> Iterator[np.ndarray]:
        """Features (W, C, D) of one group after another, in the order of the dataset."""
        device = self._gpu() or torch.device("cpu")
        backbone: Any = self._backbone
        backbone.to(device).eval()
        for batch in self.whole_loader(dataset):
            assert batch.word_starts_BW is not None
            counts_B = (batch.word_starts_BW >= 0).sum(1).tolist()
            batch = self.on_after_batch_transfer(batch.to(device), 0)
            with in_precision(device, self.config.machine.precision):
                words_BWCD = backbone(batch).words_BWCD
            for words_WCD, count, key in zip(words_BWCD, counts_B, batch.keys, strict=True):
                _refuse_large(words_WCD[:count], key)
                yield words_WCD[:count].half().cpu().numpy()


class FeatureGroups(Dataset):
    """Word groups with the features of their words in place of their signal.

    Parameters
    ----------
    source : WordGroupDataset
    files : sequence of Path
        Of the features of each group.
    """

    def __init__(self, source: WordGroupDataset, files: Sequence[Path]) -> None:
        self.source = source
        self.groups = source.groups
        self._files = tuple(files)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int | Draw) -> Item:
        """Read an item; a plain number means epoch 0.

        Raises
        ------
        InputError
            Features that cannot be read or are of other words.
        """
        item = self.source.described(index)
        number = Draw.of(index, len(self)).index
        rows_WCD = _opened(self._files[number], len(item.words or ()))[:, : len(item.sensors)]
        return replace(item, features_WCD=torch.from_numpy(np.array(rows_WCD)))

    @property
    def layout(self) -> Layout:
        """What a sampler needs to know."""
        return self.source.layout


def feature_place(store: Path, run: Path) -> Path:
    """Where features are kept: in the store, which other runs read too; in the run if the store cannot be written."""
    return store / HIDDEN if os.access(store, os.W_OK | os.X_OK) else run


def _weights(backbone: Any) -> str:
    """Fingerprint of a backbone: its kind, sizes, way of computing, and weights."""
    inner = backbone.model if isinstance(backbone, MEGXLBackbone) else backbone.tokenizer
    kind = {"kind": type(backbone).__name__, "compat": getattr(inner, "compat", None)}
    return fingerprint({**kind, **asdict(inner.config)}, backbone.state_dict())


def _digest(told: Iterable[Any]) -> str:
    return hashlib.sha256("\n".join(map(str, told)).encode()).hexdigest()[:24]


def _opened(path: Path, words: int) -> np.ndarray:
    try:
        rows_WCD = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); delete it to compute it again.") from error
    if len(rows_WCD) != words:
        raise InputError(f"{path} holds features of {len(rows_WCD)} words, not {words}; delete it to compute it again.")
    return rows_WCD


def _refuse_small_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < _SPARE * needed:
        raise InputError(
            f"The features of a part take {needed / 1e9:.2g} GB in {folder}, where {free / 1e9:.2g} GB are free: make "
            "room, move the store (data.cache_dir), or take less (data.train_hours). `megxl finetune` needs none."
        )


def _refuse_large(words_WCD: torch.Tensor, key: str) -> None:
    most = float(words_WCD.abs().max())
    if not most <= torch.finfo(torch.float16).max:
        what = f"reach {most:.3g}, above what float16 holds (65504)" if np.isfinite(most) else "are not finite"
        raise InputError(
            f"The features of {key} {what}, and a probe keeps them so: look at the signal there, probe another "
            "checkpoint, or use `megxl finetune`, which keeps none."
        )
