"""The recordings of a run as rows of single sensors, for a tokenizer."""

from collections.abc import Iterator, Sequence
from itertools import islice

from megxl.data.batch import Batch, collate
from megxl.store.entry import StoredRecording
from megxl.training.preparation import Watcher
from megxl.training.recordings_data import RecordingsData
from megxl.training.tokenizer.config import TokenizerConfig
from megxl.training.tokenizer.rows import Rows, draw_rows, no_good_sensor


class TokenizerData(RecordingsData):
    """Windows whose rows are drawn on the CPU, and scaled on the device.

    Parameters
    ----------
    config : TokenizerConfig
        Checked (`megxl.training.tokenizer.checks.check_before_work`).
    watch : Watcher, optional
        Is told how long work goes.
    """

    config: TokenizerConfig

    def __init__(self, config: TokenizerConfig, *, watch: Watcher | None = None) -> None:
        super().__init__(config, watch=watch, normalize=False)

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Rows:
        """Draw the rows, so that these alone travel."""
        return draw_rows(batch, self.config.data.sensors_per_window)

    def on_after_batch_transfer(self, batch: Rows, dataloader_idx: int) -> Rows:
        """Scale them."""
        return batch.scaled(self.config.data.block_s, self.config.data.clip)

    def _prepared(self, corpus: str, recordings: Sequence[StoredRecording]) -> None:
        """Refuse, before the training, recordings of which no row could be drawn: their turn may come late."""
        for recording in recordings if self.config.data.bads == "mask" else ():
            if set(recording.sensors.names) <= set(recording.bads):
                raise no_good_sensor(recording.key)

    def first_rows(self, batches: int) -> Iterator[Rows]:
        """Rows of this rank's first batches of the first epoch, in SI units on the CPU."""
        dataset = self._dataset("train")
        sampler = self._make_sampler(dataset, self._order, self.remainder)
        for draws in islice(sampler, batches):
            yield self.on_before_batch_transfer(collate([dataset[draw] for draw in draws], self.corpus_ids), 0)
