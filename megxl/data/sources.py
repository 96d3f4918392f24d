"""What a run takes from one corpus: which store, which split, how much of it, what for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from megxl.corpora.corpus import PUBLISHED_NAMES, Corpus, Selection, Split, corpus_named
from megxl.data.recording_split import PARTS, Disjoint, RecordingSplit, check_disjoint, refuse_leak
from megxl.data.splits import apply_selections, named_split, published_split, select, split_by_fraction
from megxl.data.subsampling import subsample
from megxl.errors import InputError
from megxl.store.entry import StoredRecording
from megxl.store.store import Store

Part = Literal["train", "validation", "test"]
SplitRule = str | Path | Split | RecordingSplit | Mapping[str, Any]
_OPTIONS = ("validation", "test", "by", "seed")
_AMOUNTS = ("seed", "number", "proportion", "hours", "per_corpus")


@dataclass(frozen=True, kw_only=True)
class CorpusSource:
    """Recordings of one corpus and their split.

    Parameters
    ----------
    store : str or Path
        The store that holds them.
    corpus : str
        Name of the corpus in the store, or ``package.module:Class`` of one's own.
    split : str, Path, Split, RecordingSplit or mapping, optional
        Name of one of the corpus's published splits, or a file that `RecordingSplit.save` wrote (``*.json``);
        selections; lists of keys (``{"train": [...], "validation": [...]}``); or options of `split_by_fraction`. By
        default a tenth of the subjects validates, or all recordings if the corpus is for validation alone.
    selection : Selection, optional
        Take only these recordings of the store.
    validation_only : bool
        Train on none of them: without a split all validate, with one its validation part.
    subsample : mapping, optional
        Options of `megxl.data.subsampling.subsample`: less training data on purpose.
    disjoint : "recording" or "subject"
        What no two parts may share.
    allow_leak, partial : bool
        As in `apply_selections`.

    Raises
    ------
    InputError
        An option of the subsample that does not exist, or a subsample of a corpus that nobody trains on.
    """

    store: str | Path
    corpus: str
    split: SplitRule | None = None
    selection: Selection | None = None
    validation_only: bool = False
    subsample: Mapping[str, Any] | None = None
    disjoint: Disjoint = "recording"
    allow_leak: bool = False
    partial: bool = False

    def __post_init__(self) -> None:
        if self.subsample is None:
            return
        if self.validation_only:
            raise InputError(f"{self.corpus}: subsample is about training data, but validation_only leaves none.")
        _refuse_unknown(self.subsample, _AMOUNTS, f"The subsample of {self.corpus}")
        if "seed" not in self.subsample:
            raise InputError(f"The subsample of {self.corpus} has no seed, as in {{'hours': 10, 'seed': 0}}.")

    @property
    def name(self) -> str:
        """Name of the corpus in the store; a published name becomes ours."""
        return corpus_named(self.corpus).name if ":" in self.corpus else PUBLISHED_NAMES.get(self.corpus, self.corpus)

    def stored(self) -> list[StoredRecording]:
        """Open all recordings of the corpus in the store, whatever is selected.

        Raises
        ------
        InputError
            A store or corpus that is not there, a damaged entry.
        """
        store = Store(self.store)
        recordings = store.recordings(corpus=self.name)
        if not recordings:
            raise InputError(
                f"The store {store.path.name} holds no recording of {self.corpus} (there are: "
                f"{', '.join(store.corpora()) or 'none'}); prepare them with "
                f"`megxl prepare {self.corpus} ROOT --store STORE`."
            )
        return recordings

    def resolve(self, stored: Sequence[StoredRecording], least_s: float = 0.0) -> RecordingSplit:
        """Say which of the stored recordings train, validate and test; what was left out stands in the notes.

        Parameters
        ----------
        stored : sequence of StoredRecording
            All of the corpus.
        least_s : float
            A subsample does not choose recordings that are shorter.

        Raises
        ------
        InputError
            A selection or split that names what is not there, or that is refused.
        """
        recordings = list(stored) if self.selection is None else select(stored, self.selection)
        split = self._split(recordings)
        parts = {part: split.part(part, recordings) for part in PARTS}
        if split.leak is None:
            check_disjoint(parts, self.disjoint)
        if self.validation_only:
            left = len(recordings) - len(split.validation) - len(split.test)
            note = f"{len(split.validation)} recordings for validation alone; {left} are not used."
            return replace(split, train=(), notes=(*split.notes, note))
        if self.subsample is None:
            return split
        long = [recording for recording in parts["train"] if recording.duration_s >= least_s]
        chosen = subsample(long, **self.subsample)
        note = f"{len(chosen)} of {len(long)} recordings for training, by choice of the subsample."
        return replace(split, train=tuple(recording.key for recording in chosen), notes=(*split.notes, note))

    def parts(self, least_s: float = 0.0) -> dict[Part, list[StoredRecording]]:
        """Read which recordings there are, and split them (`resolve`)."""
        stored = self.stored()
        split = self.resolve(stored, least_s)
        train, validation, test = (split.part(part, stored) for part in PARTS)
        return {"train": train, "validation": validation, "test": test}

    def _split(self, recordings: list[StoredRecording]) -> RecordingSplit:
        rule = self.split
        if rule is None:
            if self.validation_only:
                return RecordingSplit(train=(), validation=tuple(r.key for r in recordings), source="all validate")
            return split_by_fraction(recordings)
        if isinstance(rule, RecordingSplit):
            refuse_leak(rule.leak, rule.source or f"The split of {self.corpus}", self.allow_leak)
            return rule
        if isinstance(rule, Path) or (isinstance(rule, str) and rule.endswith(".json")):
            return RecordingSplit.load(rule, allow_leak=self.allow_leak)
        if isinstance(rule, Mapping):
            return self._of_mapping(rule, recordings)
        options: dict[str, Any] = {"disjoint": self.disjoint, "allow_leak": self.allow_leak, "partial": self.partial}
        if isinstance(rule, Split):
            return apply_selections(recordings, rule, **options)
        if not isinstance(rule, str):
            raise InputError(f"split = {rule!r}; allowed: a name, a file, a split, or a mapping.")
        corpus: Corpus = corpus_named(self.corpus)
        return published_split(recordings, corpus, rule, **options)

    def _of_mapping(self, rule: Mapping[str, Any], recordings: list[StoredRecording]) -> RecordingSplit:
        if any(isinstance(value, list | tuple) for value in rule.values()):
            return named_split(rule)
        _refuse_unknown(rule, _OPTIONS, f"The split of {self.corpus}")
        return split_by_fraction(recordings, **rule)


def _refuse_unknown(given: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise InputError(f"{what} has no option {unknown[0]!r}; there are: {', '.join(known)}.")
