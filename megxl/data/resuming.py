"""A Lightning data module whose training goes on with the batch after the last one it was trained on."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from megxl.data.batch import Batch
from megxl.data.dataset import Layout, WindowDataset
from megxl.data.group_dataset import WordGroupDataset
from megxl.data.loading import RecordingLoader, make_loader
from megxl.data.orders import Order
from megxl.data.sampling import RecordingBatchSampler, Remainder
from megxl.data.sources import Part
from megxl.errors import InputError

try:
    from lightning.pytorch import LightningDataModule
    from lightning.pytorch.loops.progress import _ProcessedTracker as ProcessedTracker
except ModuleNotFoundError as error:
    raise InputError("Data modules need Lightning: pip install 'megxl[train]'.") from error

Items = TypeVar("Items", WindowDataset, WordGroupDataset)


class ResumingDataModule(LightningDataModule, Generic[Items]):
    """Loaders of the parts of stored data, with an exact state of the training's order of batches.

    Subclasses fill `_datasets` in `setup`.

    Parameters
    ----------
    corpus_ids : mapping
        Number of each corpus in `Batch.corpus_B`.
    batch_size : int
        Of one device.
    order_seed : int
        Of the order of the training batches.
    order, remainder
        Of the training batches (`megxl.data.sampling`).
    block_s : float, optional
        Seconds that are scaled together on the device of the model; None: batches stay as they are stored.
    loading : mapping
        Options of `make_loader`.
    """

    def __init__(
        self,
        corpus_ids: Mapping[str, int],
        *,
        batch_size: int,
        order_seed: int,
        order: Order,
        remainder: Remainder,
        block_s: float | None,
        loading: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.corpus_ids = dict(corpus_ids)
        """Number of each corpus in `Batch.corpus_B`: that of its name among the sorted names."""
        self.batch_size = batch_size
        self.order_seed = order_seed
        self._order: Order = order
        self.remainder: Remainder = remainder
        self._scaled_s = block_s
        self._loading = dict(loading)
        self.notes: list[str] = []
        """What a person should know about how the recordings were chosen, from `setup` on."""
        self._datasets: dict[Part, Items] = {}
        self._sampler: RecordingBatchSampler | None = None
        self._state: dict[str, Any] = {}

    def setup(self, stage: str | None = None) -> None:
        """Have the datasets; a training that begins (`stage` "fit") has an order of batches of its own."""
        if stage == "fit":
            self._sampler, self._state = None, {}

    def train_dataloader(self) -> RecordingLoader:
        """Make a loader of the training items; it goes on where a loaded state was taken.

        All loaders of one training share its order: asking for another one, to count its batches, changes nothing.
        """
        dataset = self._dataset("train")
        # a tuner may have changed the size of a batch
        if self._sampler is None or self._sampler.batch_size != self.batch_size:
            self._sampler = self._make_sampler(dataset, self._order, self.remainder)
            if self._state:
                self._sampler.load_state_dict(self._state)
        return make_loader(dataset, self._sampler, self.corpus_ids, count=self.state_dict, **self._loading)

    def val_dataloader(self) -> RecordingLoader | list[RecordingLoader]:
        """Make the loader of the validation items, in the order of the recordings, the last batch kept.

        On several ranks the last batches may come twice, so that all ranks have equally many: `Batch.repeated_B` says
        which items to leave out of a sum.
        """
        self.setup()
        return self._sequential("validation") if "validation" in self._datasets else []

    def test_dataloader(self) -> RecordingLoader:
        """Make the loader of the test items, as for validation."""
        return self._sequential("test")

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Normalise on the device."""
        return batch if self._scaled_s is None else batch.normalized(self._scaled_s)

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

    def _dataset(self, part: Part) -> Items:
        self.setup()
        if part not in self._datasets:
            raise InputError(f"The splits of {', '.join(self.corpus_ids)} leave no recording for {part}.")
        return self._datasets[part]

    def _layout(self, dataset: Items) -> Layout:
        return dataset.layout

    def _sequential(self, part: Part) -> RecordingLoader:
        dataset = self._dataset(part)
        return make_loader(dataset, self._make_sampler(dataset, "file", "keep"), self.corpus_ids, **self._loading)

    def _make_sampler(self, dataset: Items, order: Order, remainder: Remainder) -> RecordingBatchSampler:
        trainer = self.trainer
        world_size = 1 if trainer is None else trainer.world_size
        # Lightning has no public word for it, and its own sampler would mix the recordings of all ranks
        connector = getattr(trainer, "_accelerator_connector", None)
        if world_size > 1 and getattr(connector, "use_distributed_sampler", False):
            raise InputError(
                "On several devices the data module gives each its part: use Trainer(use_distributed_sampler=False)."
            )
        return RecordingBatchSampler(
            self._layout(dataset),
            batch_size=self.batch_size,
            seed=self.order_seed,
            order=order,
            remainder=remainder,
            rank=0 if trainer is None else trainer.global_rank,
            world_size=world_size,
        )
