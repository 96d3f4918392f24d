"""One recording from its files into the store: what each process does, and what it tells of it."""

import time
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from megxl.corpora.corpus import Corpus, RecordingFile, WordTable
from megxl.corpora.word_times import within
from megxl.errors import InputError
from megxl.signals.coils import ELECTRODE
from megxl.signals.messages import refusal_of_system, repeatable
from megxl.signals.preparation import PREPARATION_VERSION, Preparation, prepare
from megxl.signals.sensors import SensorArray
from megxl.store.entry import RecordingFacts
from megxl.store.keys import Busy, Damaged, StoreFull
from megxl.store.sources import changed, fingerprint
from megxl.store.store import Store
from megxl.store.writing import EntryWriter

Kind = Literal["made", "words", "elsewhere", "busy", "failed"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A recording that is to be in the store, as its corpus reads it; picklable."""

    corpus: Corpus
    file: RecordingFile
    store: Path
    settings: Preparation
    bads: Literal["mask", "interpolate", "keep"]
    repair: bool = False
    """Make a damaged entry again, in place of refusing it."""
    found: str = ""
    """What is wrong with the bytes that are stored, if they were read and something is."""

    @property
    def key(self) -> str:
        """As the store names it."""
        return self.file.key

    @property
    def signal_sources(self) -> list[Path]:
        """Files that decide about the signal."""
        table = self.corpus.events(self.file)
        return [path for path in self.corpus.sources(self.file) if path != table]

    @property
    def word_sources(self) -> list[Path]:
        """Files that decide about the words alone."""
        table = self.corpus.events(self.file)
        return [path for path in self.corpus.sources(self.file) if path == table]

    @property
    def preparation(self) -> dict[str, Any]:
        """What decides about the numbers besides the files; names no folder."""
        options = self._options(for_words=False)
        return {**asdict(self.settings), "bads": self.bads, "version": PREPARATION_VERSION, "corpus_options": options}

    @property
    def word_options(self) -> dict[str, Any]:
        """What decides about the words alone besides their files."""
        return self._options(for_words=True)

    def _options(self, *, for_words: bool) -> dict[str, Any]:
        options = self.corpus.options_of(self.file).items()
        return {
            name: _plain(value)
            for name, value in options
            if (name in self.corpus.word_options) == for_words
            and not (name in self.corpus.later_options and value in (None, ()))
        }

    def reason(self, store: Store) -> str | None:
        """Say why there is something to do for it, or None; cheap, no signal is read."""
        root = self.file.root
        why = store.stale(self.key, source=self.signal_sources, root=root, preparation=self._compared(store))
        return why or store.stale_words(self.key, source=self.word_sources, root=root, options=self.word_options)

    def _compared(self, store: Store) -> dict[str, Any]:
        """Give the settings that a stored recording must have: of a reference, only electrodes know."""
        wanted = self.preparation
        try:
            has = store.recording(self.key).reference if self.key in store else None
        except Damaged:  # which the store says when they are compared
            has = None
        if has in (None, wanted["reference"]):
            del wanted["reference"]
        return wanted


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a recording.

    Parameters
    ----------
    key : str
        As the store names it.
    kind : str
        "made"; "words": these alone were read again; "elsewhere": another process has made it meanwhile; "busy":
        another process is making it; "failed".
    reason : str
        Why it was made, or in a sentence why not.
    unexpected : bool
        Whether the failure is an error that nobody foresaw.
    details : str
        Its traceback.
    useless_to_go_on : bool
        Whether all others would fail as well.
    seconds : float
        Of work.
    """

    key: str
    kind: Kind
    reason: str = ""
    unexpected: bool = False
    details: str = ""
    useless_to_go_on: bool = False
    seconds: float = 0.0


def make_recording(job: Job) -> Outcome:
    """Bring the store up to date for one recording; every error becomes part of the outcome."""
    started = time.perf_counter()
    try:
        with Store(job.store).writing(job.key) as writer:
            outcome = _make(job, writer)
    except Busy:
        return Outcome(key=job.key, kind="busy")
    except Exception as error:  # whatever one recording does, the others are prepared; what it was is told at the end
        outcome = _failure(job, error)
    return replace(outcome, seconds=time.perf_counter() - started)


def _make(job: Job, writer: EntryWriter) -> Outcome:
    # looked at again under the lock: another process may have been here
    store = Store(job.store)
    why = job.found if job.found and store.verify([job.key]) else job.reason(store)
    if why is None:
        return Outcome(key=job.key, kind="elsewhere")
    if why.startswith("damaged") and not job.repair:
        return Outcome(key=job.key, kind="failed", reason=f"{why}; --repair makes it again.")
    root, file = job.file.root, job.file
    words_source = fingerprint(job.word_sources, root)
    if why.startswith("the words changed"):
        table = _words(job, store.recording(job.key).duration_s)
        writer.rewrite(
            words=[word.to_row() for word in table],
            word_notes=table.notes,
            source={"words": words_source},
            preparation={"word_options": job.word_options},
        )
        return Outcome(key=job.key, kind="words", reason=why)
    signal_source = fingerprint(job.signal_sources, root)
    raw = job.corpus.read(file)
    prepared = prepare(raw, job.corpus.channels(raw), job.settings, bads=job.bads, nonfinite="mask")
    table = _words(job, prepared.signal_CT.shape[1] / prepared.sfreq_hz)
    if meanwhile := changed(signal_source, job.signal_sources, root):
        raise InputError(f"{meanwhile} while it was read: prepare it again when nobody writes to it.")
    writer.write(
        prepared,
        facts=RecordingFacts(
            corpus=file.corpus, subject=file.subject, session=file.session, task=file.task, run=file.run
        ),
        words=[word.to_row() for word in table],
        word_notes=table.notes,
        source={"signal": signal_source, "words": words_source},
        licence=job.corpus.licence_of(file),
        # what was asked for decides whether the entry is current; what was done in its place is told beside it
        preparation=_told(job.preparation, prepared.sensors)
        | {"word_options": job.word_options, "method_used": prepared.provenance["preparation"]["method"]},
    )
    return Outcome(key=job.key, kind="made", reason=why)


def _told(preparation: dict[str, Any], sensors: SensorArray) -> dict[str, Any]:
    """Leave out the reference where nothing has one."""
    electrodes = bool((sensors.kinds_C == ELECTRODE).any())
    return {name: value for name, value in preparation.items() if electrodes or name != "reference"}


def _words(job: Job, duration_s: float) -> WordTable:
    """Read the words and see that their times are those of the recording, whatever the corpus."""
    table = job.corpus.events(job.file)
    return within(job.corpus.words(job.file), duration_s, (table or job.file.path).name)


def _failure(job: Job, error: Exception) -> Outcome:
    if isinstance(error, InputError):
        reason, foreseen = str(error).removeprefix(f"{job.key}: "), True
    elif refusal := refusal_of_system(error, job.file.path.name):
        reason, foreseen = refusal, True
    elif isinstance(error, MemoryError):
        reason, foreseen = "the memory is too small for it: try fewer --workers.", True
    else:
        reason, foreseen = f"{type(error).__name__}: {repeatable(error)}", False
    details = "" if foreseen else traceback.format_exc()
    return Outcome(
        key=job.key,
        kind="failed",
        reason=reason,
        unexpected=not foreseen,
        details=details,
        useless_to_go_on=isinstance(error, StoreFull),
    )


def _plain(value: Any) -> Any:
    """An option as JSON holds it; of a path, or a text that is one, the last name."""
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    return value if isinstance(value, bool | int | float | None) else repeatable(value)
