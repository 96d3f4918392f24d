"""What is to be prepared and how, checked: `Request`."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from megxl.corpora.corpus import Corpus, Selection
from megxl.data.preparing.task import Job
from megxl.errors import InputError
from megxl.signals.preparation import Preparation


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be prepared and how.

    Parameters
    ----------
    corpus : Corpus
    root : path
        Where its recordings are.
    store : path
        Where they go; made if it is not there.
    selection : Selection, optional
        Which of them; by default the corpus's usual tasks.
    keys : collection of str, optional
        Only these of them, as the store names recordings.
    settings : Preparation
        Band, rate, method.
    bads : {"mask", "interpolate", "keep"}
        As in `megxl.signals.preparation.prepare`.
    workers : int, optional
        Processes at once, by default one a processor; 0: this process does it all.
    dask : str, optional
        A Dask scheduler's address, or ``local``, in place of our own processes.
    repair : bool
        Read what is stored, and make again what is damaged.
    limit : int, optional
        Make at most so many recordings.
    """

    corpus: Corpus
    root: str | Path
    store: str | Path
    selection: Selection | None = None
    keys: Collection[str] | None = None
    settings: Preparation = field(default_factory=Preparation)
    bads: Literal["mask", "interpolate", "keep"] = "mask"
    workers: int | None = None
    dask: str | None = None
    repair: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise InputError(f"workers = {self.workers}; allowed: 0 (this process alone) or more.")
        if self.limit is not None and self.limit < 0:
            raise InputError(f"limit = {self.limit}; allowed: 0 or more.")

    def jobs(self) -> list[Job]:
        """One a recording, in natural order; InputError if there is none, or not what was selected."""
        files = self.corpus.select(Path(self.root).absolute(), self.selection)
        shared = {"corpus": self.corpus, "store": Path(self.store).absolute(), "settings": self.settings}
        chosen = [file for file in files if self.keys is None or file.key in self.keys]
        return [Job(file=file, bads=self.bads, repair=self.repair, **shared) for file in chosen]
