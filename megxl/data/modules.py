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

from megxl.data.batch import Batch, corpus_ids
from megxl.data.cached_codes import CachedCodes, open_codes
from megxl.data.channels import ChannelOrder, canonical_order
from megxl.data.code_grid import WindowGrid
from megxl.data.dataset import WindowDataset
from megxl.data.loading import RecordingLoader, StartMethod, make_loader
from megxl.data.orders import Order
from megxl.data.recording_split import RecordingSplit
from megxl.data.rows import CodeReader
from megxl.data.sampling import RecordingBatchSampler, Remainder
from megxl.data.sources import CorpusSource, Part, SplitRule
from megxl.data.windows import WindowSet, fixed_windows
from megxl.errors import InputError
from megxl.signals.normalization import BLOCK_S
from megxl.store.entry import StoredRecording
from megxl.tokenizer.biocodec import BioCodec

try:
    from lightning.pytorch import LightningDataModule
    from lightning.pytorch.loops.progress import _ProcessedTracker as ProcessedTracker
except ModuleNotFoundError as error:
    raise InputError("Data modules need Lightning: pip install 'megxl[train]'.") from error

_PARTS: tuple[Part, ...] = ("train", "validation", "test")


class MultiCorpusDataModule(LightningDataModule):
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
        super().__init__()
        names = [source.name for source in sources]
        if not names or len(set(names)) < len(names):
            raise InputError(f"sources = {names}; allowed: one corpus or more, each once.")
        self.sources = tuple(sources)
        self.corpus_ids = corpus_ids(names)
        """Number of each corpus in `Batch.corpus_B`: that of its name among the sorted names."""
        self.window_s = window_s
        self.batch_size = batch_size
        self.seed = seed
        self.order_seed = seed if order_seed is None else order_seed
        self.jitter = jitter
        self.bads: Literal["mask", "keep"] = bads
        self.channels: Literal["file", "canonical"] | Mapping[str, ChannelOrder] = channels
        self.order: Order = order
        self.remainder: Remainder = remainder
        self.codes = codes
        self.signal = signal
        self.normalize = normalize
        self.block_s = block_s
        self._loading: dict[str, Any] = {
            "num_workers": num_workers,
            "persistent": persistent_workers,
            "prefetch": prefetch,
            "pin_memory": pin_memory,
            "start_method": start_method,
        }
        self.notes: list[str] = []
        """What a person should know about how the recordings were chosen, from `setup` on."""
        self.splits: dict[str, RecordingSplit] = {}
        """Who is train, validation and test in each corpus, from `setup` on."""
        self._datasets: dict[Part, WindowDataset] = {}
        self._sampler: RecordingBatchSampler | None = None
        self._state: dict[str, Any] = {}

    def setup(self, stage: str | None = None) -> None:
        """Read which recordings there are and cut their windows, once; no signal is read.

        A training that begins (`stage` "fit") has an order of batches of its own.
        """
        if stage == "fit":
            self._sampler, self._state = None, {}
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

    def train_dataloader(self) -> RecordingLoader:
        """Make a loader of the training windows; it goes on where a loaded state was taken.

        All loaders of one training share its order: asking for another one, to count its batches, changes nothing.
        """
        dataset = self._dataset("train")
        # a tuner may have changed the size of a batch
        if self._sampler is None or self._sampler.batch_size != self.batch_size:
            self._sampler = self._make_sampler(dataset, self.order, self.remainder)
            if self._state:
                self._sampler.load_state_dict(self._state)
        return make_loader(dataset, self._sampler, self.corpus_ids, count=self.state_dict, **self._loading)

    def val_dataloader(self) -> RecordingLoader | list[RecordingLoader]:
        """Make the loader of the validation windows, in the order of the recordings, the last batch kept.

        On several ranks the last batches may come twice, so that all ranks have equally many: `Batch.repeated_B` says
        which items to leave out of a sum.
        """
        return self._sequential("validation") if "validation" in self.windows else []

    def test_dataloader(self) -> RecordingLoader:
        """Make the loader of the test windows, as for validation."""
        return self._sequential("test")

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Normalise on the device."""
        return batch.normalized(self.block_s) if self.normalize else batch

    def state_dict(self) -> dict[str, Any]:
        """Where the training is in its order of batches, by the Trainer's own count of finished steps."""
        if self._sampler is None or self.trainer is None:
            return self._state
        batches = self.trainer.fit_loop.epoch_loop.batch_progress.current
        assert isinstance(batches, ProcessedTracker)
        return self._sampler.state_dict(consumed=batches.processed)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the training where a state was taken; one that is only validated or tested has no use for it."""
        if self.trainer is not None and self.trainer.state.fn != "fit":
            return
        self._state = dict(state_dict)
        if self._sampler is not None and self._state:
            self._sampler.load_state_dict(self._state)

    def _dataset(self, part: Part) -> WindowDataset:
        self.setup()
        if part not in self._datasets:
            raise InputError(f"The splits of {', '.join(self.corpus_ids)} leave no recording for {part}.")
        return self._datasets[part]

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

    def _sequential(self, part: Part) -> RecordingLoader:
        dataset = self._dataset(part)
        return make_loader(dataset, self._make_sampler(dataset, "file", "keep"), self.corpus_ids, **self._loading)

    def _make_sampler(self, dataset: WindowDataset, order: Order, remainder: Remainder) -> RecordingBatchSampler:
        trainer = self.trainer
        world_size = 1 if trainer is None else trainer.world_size
        # Lightning has no public word for it, and its own sampler would mix the recordings of all ranks
        connector = getattr(trainer, "_accelerator_connector", None)
        if world_size > 1 and getattr(connector, "use_distributed_sampler", False):
            raise InputError(
                "On several devices the data module gives each its part: use Trainer(use_distributed_sampler=False)."
            )
        return RecordingBatchSampler(
            dataset.layout,
            batch_size=self.batch_size,
            seed=self.order_seed,
            order=order,
            remainder=remainder,
            rank=0 if trainer is None else trainer.global_rank,
            world_size=world_size,
        )


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
