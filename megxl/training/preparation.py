"""What a store lacks is made: recordings are prepared and codes written, by one process before the training."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

import torch

from megxl.data import preparing
from megxl.data.code_grid import Grid
from megxl.data.codes import write_codes
from megxl.data.preparing import Request, prepare_corpus
from megxl.data.preparing.summary import counted
from megxl.errors import InputError
from megxl.store.entry import StoredRecording
from megxl.store.store import Store
from megxl.tokenizer.biocodec import BioCodec


class Watcher(preparing.Watcher):
    """Is told how the recordings of a run are prepared and encoded; shows nothing by itself."""

    def prepares(self, corpus: str, count: int) -> None:
        """Know that recordings of a corpus are prepared now; the methods of `preparing.Watcher` tell how it goes."""

    def encodes(self, corpus: str, count: int) -> None:
        """Know that the codes of so many recordings of a corpus are looked at, and written where they lack."""

    def encoded(self, done: int, total: int) -> None:
        """Know how many windows or word groups have their codes, of all in the corpus."""


def prepare_lacking(corpus: str, request: Request | None, lacking: Iterable[str], watch: Watcher) -> None:
    """Prepare the recordings of a corpus that the store lacks.

    Raises
    ------
    InputError
        One that cannot be prepared: a training never becomes smaller in silence.
    """
    if request is None or not list(lacking):
        return
    watch.prepares(corpus, len(request.keys or ()))
    result = prepare_corpus(request, watch)
    told = {outcome.key: outcome.reason for outcome in result.failed} | result.damaged
    if told:
        _refuse_failed(corpus, told, "prepared")


def encode_lacking(
    corpus: str,
    store: str,
    recordings: Sequence[StoredRecording],
    tokenizer: BioCodec,
    grid: Grid,
    *,
    device: torch.device | None,
    watch: Watcher,
) -> None:
    """Write the codes of recordings that have none of this tokenizer and grid.

    Raises
    ------
    InputError
        A recording that cannot be encoded.
    """
    watch.encodes(corpus, len(recordings))
    report = write_codes(Store(store), recordings, tokenizer, grid, device=device, advance=watch.encoded)
    if report.failed:
        _refuse_failed(corpus, report.failed, "encoded")


def _refuse_failed(corpus: str, told: Mapping[str, str], done: str) -> NoReturn:
    key, why = next(iter(told.items()))
    raise InputError(
        f"{counted(len(told), 'recording')} of {corpus} could not be {done} (first: {key}: {why}). The others are in "
        "the store: mend these and run the same again, or name the recordings to use by subjects, runs or a split file."
    )
