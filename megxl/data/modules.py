"""Lightning data modules: the windows of one corpus or of several, for a user's own Trainer.

    data = CorpusDataModule(store="prepared", corpus="camcan", split={"validation": 0.1}, batch_size=4)
    trainer = Trainer(max_epochs=10, use_distributed_sampler=False)
    trainer.fit(model, data)

Batches (`megxl.data.batch.Batch`) reach the model normalised, on its device. A run that is resumed
(``trainer.fit(model, data, ckpt_path=...)``) goes on with the batch after the last one it was trained on.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from megxl.data.batch import corpus_ids
from megxl.data.cached_codes import CachedCodes, open_codes
from megxl.data.channels import ChannelOrder, canonical_order
from megxl.data.code_grid import WindowGrid
from megxl.data.dataset import WindowDataset
from megxl.data.loading import StartMethod
from megxl.data.orders import Order
from megxl.data.recording_split import RecordingSplit
from megxl.data.resuming import ResumingDataModule
from megxl.data.rows import CodeReader
from megxl.data.sampling import Remainder
from megxl.data.sources import CorpusSource, Part, SplitRule
from megxl.data.windows import WindowSet, fixed_windows
from megxl.errors import InputError
from megxl.signals.normalization import BLOCK_S
from megxl.store.entry import StoredRecording
from megxl.tokenizer.biocodec import BioCodec

_PARTS: tuple[Part, ...] = ("train", "validation", "test")


class MultiCorpusDataModule(ResumingDataModule[WindowDataset]):
    """Windows of several corpora in one stream of batches.

    Parameters
    ----------
    sources : sequence of CorpusSource
        The corpora; in any order, each once.
    window_s : float
        Length of a window in seconds.
    batch_size : int
        Windows in a batch of one device.
    num_workers : int
        Processes that read ahead, for each loader.
    persistent_workers : bool
        Whether they stay from epoch to epoch.
    seed : int
        Of the training: order of the batches, shifts, seeds of the items. Splits have their own.
    order_seed : int, optional
        Of the order of the batches, where it is to be another one than `seed`.
    jitter : bool
        Shift the training windows in every epoch; validation windows stay in place.
    bads : "mask" or "keep"
        Whether sensors that are marked bad are masked.
    channels : "file", "canonical", or mapping of corpus to ChannelOrder
        Rows as in the files; in one order of all recordings that the store holds of a corpus, whoever trains; or in
        an order that was kept (`channel_orders`).
    order, remainder
        Of the training batches (`megxl.data.sampling`).
    codes : BioCodec, str, Path or CodeReader, optional
        A tokenizer, or where it is (a file, a folder, a name on the hub): batches hold its codes, which
        `megxl prepare --codes` wrote for windows of this length; a sample is encoded again when they are opened.
    signal : bool
        Whether batches hold the signal.
    normalize : bool
        Scale the signal in blocks (`scale_blocks`) on the device of the model.
    block_s : float
        Length of these blocks.
    prefetch : int
        Batches that each worker reads ahead.
    pin_memory : bool
        For training on a GPU.
    start_method : str, optional
        How workers start.
    """

    def __init__(
        self,
        sources: Sequence[CorpusSource],
        *,
        window_s: float = 150.0,
        batch_size: int = 1,
        num_workers: int = 0,
        persistent_workers: bool = True,
        seed: int = 0,
        order_seed: int | None = None,
        jitter: bool = False,
        bads: Literal["mask", "keep"] = "mask",
        channels: Literal["file", "canonical"] | Mapping[str, ChannelOrder] = "file",
        order: Order = "recording",
        remainder: Remainder = "repeat",
        codes: BioCodec | CodeReader | str | Path | None = None,
        signal: bool = True,
        normalize: bool = True,
        block_s: float = BLOCK_S,
        prefetch: int = 2,
        pin_memory: bool = False,
        start_method: StartMethod | None = None,
    ) -> None:
        names = [source.name for source in sources]
        if not names or len(set(names)) < len(names):
            raise InputError(f"sources = {names}; allowed: one corpus or more, each once.")
        super().__init__(
            corpus_ids(names),
            batch_size=batch_size,
            order_seed=seed if order_seed is None else order_seed,
            order=order,
            remainder=remainder,
            block_s=block_s if normalize else None,
            loading={
                "num_workers": num_workers,
                "persistent": persistent_workers,
                "prefetch": prefetch,
                "pin_memory": pin_memory,
                "start_method": start_method,
            },
        )
        self.sources = tuple(sources)
        self.window_s = window_s
        self.seed = seed
        self.jitter = jitter
        self.bads: Literal["mask", "keep"] = bads
        self.channels: Literal["file", "canonical"] | Mapping[str, ChannelOrder] = channels
        self.codes = codes
        self.signal = signal
        self.block_s = block_s
        self.splits: dict[str, RecordingSplit] = {}
        """Who is train, validation and test in each corpus, from `setup` on."""

    def setup(self, stage: str | None = None) -> None:
        """Read which recordings there are and cut their windows, once; no signal is read.

        A training that begins (`stage` "fit") has an order of batches of its own.
        """
        super().setup(stage)
        if self._datasets:
            return
        recordings: dict[Part, list[StoredRecording]] = {part: [] for part in _PARTS}
        orders: dict[str, ChannelOrder] = {}
        splits: dict[str, RecordingSplit] = {}
        for source in sorted(self.sources, key=lambda source: source.name):
            stored = source.stored()
            splits[source.name] = split = source.resolve(stored, least_s=self.window_s)
            for part, some in recordings.items():
                some += split.part(part, stored)
            if self.channels == "canonical":
                orders[source.name] = canonical_order(stored)
        channels = orders if self.channels == "canonical" else self.channels
        windows: dict[Part, WindowSet] = {part: self._cut(part, some) for part, some in recordings.items() if some}
        codes = self._open_codes([recording for some in recordings.values() for recording in some])
        datasets: dict[Part, WindowDataset] = {
            part: WindowDataset(
                cut,
                seed=self.seed,
                jitter=self.jitter and part == "train",
                bads=self.bads,
                channels=channels,
                codes=codes,
                signal=self.signal,
            )
            for part, cut in windows.items()
        }
        self._datasets, self.splits = datasets, splits
        self.notes = [f"{name}: {note}" for name, split in splits.items() for note in split.notes]

    @property
    def windows(self) -> dict[Part, WindowSet]:
        """Windows of each part that has any, with what they leave out (`WindowSet.summary`)."""
        self.setup()
        return {name: dataset.windows for name, dataset in self._datasets.items()}

    @property
    def channel_orders(self) -> dict[str, ChannelOrder]:
        """Order of each corpus's rows, to be kept with a model and given as `channels` again; empty: the files'."""
        self.setup()
        return {corpus: order for dataset in self._datasets.values() for corpus, order in dataset.rows.orders.items()}

    def _cut(self, part: Part, recordings: list[StoredRecording]) -> WindowSet:
        try:
            return fixed_windows(recordings, self.window_s)
        except InputError as error:
            raise InputError(f"The {part} windows: {error}") from error

    def _open_codes(self, recordings: list[StoredRecording]) -> CodeReader | None:
        """Open the codes that a tokenizer made of the windows."""
        tokenizer = self.codes
        if isinstance(tokenizer, str | Path):
            tokenizer = BioCodec.from_pretrained(tokenizer)
        grid = WindowGrid(window_s=self.window_s, block_s=self.block_s)
        if isinstance(tokenizer, BioCodec):
            return open_codes(recordings, grid, tokenizer)
        if isinstance(tokenizer, CachedCodes) and tokenizer.grid != grid:
            raise InputError(f"The codes are those of {tokenizer.grid}; this data module needs those of {grid}.")
        return tokenizer


class CorpusDataModule(MultiCorpusDataModule):
    """Windows of one corpus.

    Parameters
    ----------
    store : str or Path
        The store that holds its recordings.
    corpus : str
        Its name.
    split : str, Path, Split, RecordingSplit or mapping, optional
        Who is train, validation and test (`CorpusSource.split`).
    allow_leak, partial : bool
        As in `megxl.data.splits.apply_selections`.
    **options
        Those of `MultiCorpusDataModule`.
    """

    def __init__(
        self,
        store: str | Path,
        corpus: str,
        split: SplitRule | None = None,
        *,
        allow_leak: bool = False,
        partial: bool = False,
        **options: Any,
    ) -> None:
        source = CorpusSource(store=store, corpus=corpus, split=split, allow_leak=allow_leak, partial=partial)
        super().__init__([source], **options)
