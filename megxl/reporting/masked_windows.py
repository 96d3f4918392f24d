"""Windows of a run's validation recordings: signal, codes, and what validation hides of them."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from megxl.data.batch import collate, corpus_ids
from megxl.data.dataset import WindowDataset
from megxl.data.windows import fixed_windows
from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.reporting.reconstruction import MaskedWindow
from megxl.signals.normalization import BLOCK_S, scale_blocks
from megxl.store.store import Store
from megxl.training.masks import hide
from megxl.training.runs import Run


def validation_windows(run: Run, model: MEGXL, per_corpus: int) -> list[Callable[[], MaskedWindow]]:
    """Choose windows, spread evenly over the validation recordings of each corpus; each is read when it is called.

    Codes are made from the signal by the model's tokenizer, as they were when they were cached.

    Parameters
    ----------
    run : Run
    model : MEGXL
        With its tokenizer; where it lies, windows are encoded.
    per_corpus : int
        At most so many windows of a corpus.

    Raises
    ------
    InputError
        A run that has no split yet, recordings that are no longer in the store, no window.
    """
    data, split = run.config.data, run.split()
    if split is None:
        raise InputError("The run has not yet chosen its recordings.")
    keys = [key for corpus in sorted(split) for key in split[corpus]["validation"]]
    if not keys:
        raise InputError("No recording of the run validates.")
    windows = fixed_windows(Store(data.cache_dir).recordings(keys), data.segment_length)
    dataset = WindowDataset(windows, seed=run.config.seed, bads=data.bads)
    corpora = np.array([windows.recordings[window.recording].corpus for window in windows.windows])
    chosen: list[int] = []
    for corpus in np.unique(corpora):
        of_corpus = np.flatnonzero(corpora == corpus)
        count = min(per_corpus, len(of_corpus))
        chosen += of_corpus[((np.arange(count) + 0.5) * len(of_corpus) / count).astype(int)].tolist()
    return [partial(_read, dataset, model, index) for index in chosen]


def _read(dataset: WindowDataset, model: MEGXL, index: int) -> MaskedWindow:
    item = dataset[index]
    assert item.signal_CT is not None
    signal_CS = scale_blocks(item.signal_CT[None], round(BLOCK_S * item.sfreq_hz))[0]
    codes_CTQ = model.codes(signal_CS[None].to(model.head.weight.device))[0].cpu()
    batch = collate([item], corpus_ids([item.corpus]))
    good_C = torch.ones(len(item.sensors), dtype=torch.bool) if item.sensor_mask_C is None else item.sensor_mask_C
    return MaskedWindow(
        key=item.key,
        corpus=item.corpus,
        start_s=item.start_s,
        sfreq_hz=item.sfreq_hz,
        samples_per_token=model.config.samples_per_token,
        array=item.sensors,
        good_C=good_C.numpy(),
        signal_CS=signal_CS,
        codes_CTQ=codes_CTQ,
        sensors=batch.sensors,
        hidden_T=hide(batch, model.config, codes_CTQ.shape[1]).mask_BT[0],
    )
