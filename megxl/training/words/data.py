"""The words of a run as batches: `WordsData` prepares and encodes what is lacking, then reads groups of words."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np
import torch

from megxl.corpora.corpus import corpus_named
from megxl.data.batch import corpus_ids
from megxl.data.cached_codes import open_codes
from megxl.data.channels import ChannelOrder, canonical_order
from megxl.data.dataset import Layout
from megxl.data.group_dataset import WordGroupDataset
from megxl.data.groups import WordGroupSet
from megxl.data.loading import RecordingLoader, make_loader
from megxl.data.recording_split import PARTS
from megxl.data.resuming import ResumingDataModule
from megxl.data.rows import CodeReader
from megxl.data.sampling import RecordingBatchSampler
from megxl.data.sources import Part
from megxl.data.vocabulary import Vocabulary, vocabulary
from megxl.decoding.controls import ControlledGroups, SignalControl, shuffle_words
from megxl.decoding.occurrences import Occurrences
from megxl.errors import InputError
from megxl.store.entry import StoredRecording
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.preparation import Watcher, encode_lacking, prepare_lacking
from megxl.training.words.amounts import distinct_hours
from megxl.training.words.protocol import Protocol, make_protocol
from megxl.training.words.recordings import choose_recordings, group_words

if TYPE_CHECKING:
    from megxl.training.words.config import WordsConfig


class _Grouped(NamedTuple):
    groups: WordGroupSet
    protocol: Protocol
    notes: tuple[str, ...]


class WordsData(ResumingDataModule[WordGroupDataset]):
    """Groups of words of one corpus, in training, validation and test.

    Validation and test come in the order of `order`, the training mixed anew in every epoch.

    Parameters
    ----------
    config : WordsConfig
    tokenizer : BioCodec, optional
        Whose codes are cached; None: batches hold the signal, as they do where a control changes it.
    watch : Watcher, optional
        Is told how long work goes.
    """

    groups: WordGroupSet
    """All groups, in no part some of them; from `setup` on, as all that follows."""
    protocol: Protocol
    """Which of them train, validate and test."""
    vocabulary: Vocabulary
    """Words to retrieve from, the most frequent first."""
    texts: tuple[str, ...]
    """All different words of the parts and of the vocabulary."""
    channels: dict[str, ChannelOrder]
    """Order of the rows; empty: that of the files."""
    n_sensors: int
    """Rows of a batch."""
    subjects: dict[str, str]
    """Who was recorded (``corpus/subject``), by the recording's key."""
    hours: dict[str, float]
    """Signal of each part, each instant counted once."""

    def __init__(self, config: "WordsConfig", tokenizer: BioCodec | None, *, watch: Watcher | None = None) -> None:
        training, changed = config.training, config.control in get_args(SignalControl)
        self._corpus = corpus_named(config.data.dataset_type or "", config.data.options).name
        super().__init__(
            corpus_ids([self._corpus]),
            batch_size=training.batch_size,
            order_seed=config.seed,
            order="window",
            remainder="keep",
            block_s=config.block_s,
            loading={
                "num_workers": training.num_workers,
                "pin_memory": training.pin_memory and torch.cuda.is_available(),
            },
        )
        # one process of all machines does it: the store is on a disk that they share
        self.prepare_data_per_node = False
        self.config = config
        self._tokenizer = None if changed or config.data.codes == "online" else tokenizer
        self._watch = watch or Watcher()
        self._kept: _Grouped | None = None

    def prepare_data(self) -> None:
        """Prepare the recordings that the store lacks, and write the codes that it lacks.

        Raises
        ------
        InputError
            What cannot be prepared, encoded, grouped or split: a training never becomes smaller in silence.
        """
        chosen = choose_recordings(self.config)
        prepare_lacking(chosen.corpus, chosen.request, chosen.lacking, self._watch)
        if self._tokenizer is None:
            return
        grouped = self._grouped()
        encode_lacking(
            chosen.corpus,
            self.config.data.cache_dir,
            _used(grouped.groups, grouped.protocol.split.parts),
            self._tokenizer,
            grouped.groups.grouping,
            device=self._gpu(),
            watch=self._watch,
        )

    def setup(self, stage: str | None = None) -> None:
        """Group the words, split the groups and count what there is, once; no signal is read.

        Raises
        ------
        InputError
            Recordings that are not in the store; no words; parts that are empty or share what they may not; more
            sensors than there are places.
        """
        super().setup(stage)
        if self._datasets:
            return
        groups, self.protocol, told = self._grouped()
        parts = self.protocol.split.parts
        self.vocabulary = vocabulary(groups, self.protocol.counted, as_given=True)
        heard = [text for indices in parts.values() for index in indices for text in groups.groups[index].texts]
        self.texts = tuple(dict.fromkeys((*self.vocabulary.words, *heard)))
        if self.config.control == "shuffled_words":
            for indices in parts.values():
                groups = shuffle_words(groups, indices, self.config.seed)
        self.groups = groups
        self.subjects = {recording.key: f"{recording.corpus}/{recording.subject}" for recording in groups.recordings}
        self.hours = {part: distinct_hours(groups, indices) for part, indices in parts.items()}
        self._order_channels(groups)
        codes = self._open_codes(_used(groups, parts))
        datasets: dict[Part, WordGroupDataset] = {
            part: self._make_dataset(groups.part(parts[part]), codes) for part in PARTS
        }
        self._datasets = datasets
        self.notes = [*told, *self.protocol.notes, *self._on_parts()]

    def dataset(self, part: Part) -> WordGroupDataset:
        """Items of a part, in the order of `order`."""
        return self._dataset(part)

    def order(self, part: Part) -> tuple[int, ...]:
        """Which of the groups the items of a part are, one after another."""
        self.setup()
        return tuple(sorted(self.protocol.split.parts[part]))

    def occurrences(self, part: Part) -> Occurrences:
        """Words of a part, group by group and word by word in the order of `order`."""
        found = [
            (word, group, self.groups.recordings[group.recording])
            for group in (self.groups.groups[index] for index in self.order(part))
            for word in group.words
        ]
        return Occurrences(
            words=[word.text for word, _, _ in found],
            groups=[f"{recording.key}#{group.number}" for _, group, recording in found],
            recordings=[recording.key for *_, recording in found],
            subjects=[self.subjects[recording.key] for *_, recording in found],
            sessions=[recording.session or "" for *_, recording in found],
            onsets_s=[word.onset_s for word, _, _ in found],
        )

    def whole_loader(self, dataset: WordGroupDataset) -> RecordingLoader:
        """Items in the order of the files, each once, whatever other processes do."""
        sampler = RecordingBatchSampler(
            self._layout(dataset), batch_size=self.batch_size, seed=0, order="file", remainder="keep"
        )
        return make_loader(dataset, sampler, self.corpus_ids, **self._loading)

    def _grouped(self) -> "_Grouped":
        """Group and split what is stored, once: it takes a minute where there are hundreds of thousands of words."""
        if self._kept is None:
            chosen = choose_recordings(self.config)
            groups, told = group_words(chosen, self.config)
            protocol = make_protocol(groups, groups.recordings, self.config)
            self._kept = _Grouped(groups, protocol, (*chosen.notes, *told))
        return self._kept

    def _make_dataset(self, groups: WordGroupSet, codes: CodeReader | None) -> WordGroupDataset:
        control = self.config.control
        options = {
            "seed": self.config.seed,
            "bads": self.config.data.bads,
            "channels": self.channels or "file",
        }
        if control in get_args(SignalControl):
            return ControlledGroups(groups, control=control, **options)  # pyright: ignore[reportArgumentType]
        return WordGroupDataset(groups, codes=codes, signal=codes is None, **options)

    def _order_channels(self, groups: WordGroupSet) -> None:
        """Fix the rows: their order, and how many there are in a batch."""
        data = self.config.data
        canonical = data.channels == "canonical"
        self.channels = {self._corpus: canonical_order(groups.recordings)} if canonical else {}
        most = len(self.channels[self._corpus]) if canonical else max(len(r.sensors) for r in groups.recordings)
        if data.max_channel_dim is not None and most > data.max_channel_dim:
            where = "all recordings together" if canonical else "a recording"
            raise InputError(
                f"data.max_channel_dim = {data.max_channel_dim}, but {where} of {self._corpus} have {most} sensors; "
                f"allowed: at least {most}, or null."
            )
        self.n_sensors = data.max_channel_dim or most
        self._loading["sensors"] = self.n_sensors

    def _open_codes(self, recordings: list[StoredRecording]) -> CodeReader | None:
        if self._tokenizer is None:
            return None
        return open_codes(recordings, self.groups.grouping, self._tokenizer, device=self._gpu())

    def _layout(self, dataset: WordGroupDataset) -> Layout:
        # all batches are filled up to the same rows, so that items need not be sorted by theirs
        layout = dataset.layout
        return replace(layout, sensors_N=np.full_like(layout.sensors_N, self.n_sensors))

    def _gpu(self) -> torch.device | None:
        """GPU of this process, if it trains on one."""
        device = None if self.trainer is None else self.trainer.strategy.root_device
        return device if device is not None and device.type == "cuda" else None

    def _on_parts(self) -> list[str]:
        """Say how much each part holds, and what was asked for but cannot be."""
        parts = [
            f"{part}: {len(dataset)} groups, {sum(len(group.words) for group in dataset.groups)} words, "
            f"{self.hours[part]:.3g} h"
            for part, dataset in self._datasets.items()
        ]
        kind = "those of training" if self.protocol.vocabulary_from == "train" else "those of all parts"
        told = [f"{'; '.join(parts)}. {len(self.vocabulary)} different words are counted, {kind}."]
        if self.config.data.codes == "cached" and self.config.control in get_args(SignalControl):
            told.append(f"control = {self.config.control} changes the signal: codes are computed in each step.")
        return told


def _used(groups: WordGroupSet, parts: Mapping[str, tuple[int, ...]]) -> list[StoredRecording]:
    """Recordings that have a group in some part."""
    numbers = {groups.groups[index].recording for indices in parts.values() for index in indices}
    return [recording for number, recording in enumerate(groups.recordings) if number in numbers]
