"""The recordings of a pre-training as batches of codes: `PretrainData` writes the codes that the store lacks."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from megxl.data.batch import Batch, collate
from megxl.data.cached_codes import encode, placed_codec
from megxl.data.code_grid import WindowGrid
from megxl.data.dataset import Item
from megxl.data.sampling import RecordingBatchSampler
from megxl.data.sources import Part
from megxl.store.entry import StoredRecording
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.config import PretrainConfig
from megxl.training.preparation import Watcher, encode_lacking
from megxl.training.recordings_data import RecordingsData, spread


class PretrainData(RecordingsData):
    """The recordings of a run as batches of codes, or of signals to be encoded on the device.

    Codes that the store lacks are written beside the recordings before the training.

    Parameters
    ----------
    config : PretrainConfig
        Checked (`megxl.training.checks.check_before_work`).
    tokenizer : BioCodec
        Whose codes are cached.
    watch : Watcher, optional
        Is told how long work goes.
    """

    def __init__(self, config: PretrainConfig, tokenizer: BioCodec, *, watch: Watcher | None = None) -> None:
        cached = config.data.codes == "cached"
        super().__init__(
            config, watch=watch, codes=tokenizer if cached else None, signal=not cached, normalize=not cached
        )
        self._tokenizer = tokenizer

    def guesser_batches(self, part: Part, limit: int | None = None) -> Iterator[Batch]:
        """Batches of a part on the CPU with their codes, in file order, as epoch 0 has them.

        On several devices too these are all of the part, each window once.

        Parameters
        ----------
        part : "train" or "validation"
        limit : int, optional
            At most so many batches, spread evenly over the part.
        """
        dataset = self._dataset(part)
        sampler = RecordingBatchSampler(
            dataset.layout, batch_size=self.batch_size, seed=self.order_seed, order="file", remainder="keep"
        )
        batches, codec = list(sampler), placed_codec(self._tokenizer, self._gpu())
        for place in spread(len(batches), limit):
            yield collate([self._with_codes(dataset[draw], codec) for draw in batches[place]], self.corpus_ids)

    def _with_codes(self, item: Item, codec: BioCodec) -> Item:
        if item.signal_CT is None:
            return item
        codes_CTQ = encode(item.signal_CT.numpy(), round(self.block_s * item.sfreq_hz), codec)
        return replace(item, codes_CTQ=torch.from_numpy(codes_CTQ))

    def _prepared(self, corpus: str, recordings: Sequence[StoredRecording]) -> None:
        """Write the codes that the store lacks."""
        if self.codes is None:
            return
        grid = WindowGrid(window_s=self.window_s, block_s=self.block_s)
        store = self.config.data.cache_dir
        encode_lacking(corpus, store, recordings, self._tokenizer, grid, device=self._gpu(), watch=self._watch)
