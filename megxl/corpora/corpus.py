"""What a corpus is: `Corpus` finds recordings, opens them and knows their words; everything else is written once.

A new corpus is a frozen dataclass with a few short methods; its fields are its options.
"""

import difflib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from megxl.corpora.names import natural
from megxl.corpora.options import convert_options
from megxl.corpora.parts import parts_of
from megxl.corpora.simulation import LICENCE as SIMULATION_LICENCE
from megxl.corpora.simulation import is_simulated, mark_simulated
from megxl.errors import InputError
from megxl.store.keys import is_name

if TYPE_CHECKING:
    import mne

UNKNOWN_SUBJECT = "unknown"
"""Subject of recordings that nothing tells apart by person: all of a corpus count as one, so that none can leak."""


@dataclass(frozen=True, kw_only=True)
class RecordingFile:
    """One recording on disk, found by its name alone.

    Parameters
    ----------
    corpus : str
        Name of its corpus.
    path : Path
        The file or folder that opens it.
    subject, session, task, run : str
        As BIDS names them: ``sub-001``, ``ses-001``, ``compr``, ``run-1``; None where the corpus has no such level.
        Where nothing says who was measured, the subject is `UNKNOWN_SUBJECT`.
    root : Path
        Root of the corpus; names of files are told relative to it.
    """

    corpus: str
    path: Path
    root: Path
    subject: str
    session: str | None = None
    task: str | None = None
    run: str | None = None

    @property
    def id(self) -> str:
        """Name of the recording within its corpus; no two recordings share one."""
        levels = (self.session, self.task and f"task-{self.task}", self.run)
        known = [level for level in levels if level]
        return "_".join(known if known and self.subject == UNKNOWN_SUBJECT else [self.subject, *known])

    @property
    def key(self) -> str:
        """Corpus and id, as the store names the recording."""
        return f"{self.corpus}/{self.id}"


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word that a person heard, read or said.

    Parameters
    ----------
    text : str
        As the corpus writes it, without quotes and blanks around it; words are the same if they agree in lower case.
    onset_s : float
        Seconds after the first sample of the recording.
    duration_s : float, optional
        Seconds; None where the corpus does not say.
    sentence : str, optional
        What the word belongs to; equal texts mean the same sentence of the recording.
    story : str, optional
        What is told; equal texts mean the same story in all recordings of the corpus, whoever hears it: splits by
        story keep it in one part.
    labels : mapping
        What else the corpus says of the word (MEG-MASC: ``condition``, ``pronounced``).
    """

    text: str
    onset_s: float
    duration_s: float | None = None
    sentence: str | None = None
    story: str | None = None
    labels: Mapping[str, str | float | bool] = field(default_factory=dict)

    def to_row(self) -> dict[str, Any]:
        """Return a plain row, without what is not known."""
        return {name: value for name, value in asdict(self).items() if value is not None and value != {}}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Word":
        """Rebuild what `to_row` gave."""
        return cls(**row)


@dataclass(frozen=True, kw_only=True)
class WordTable:
    """The words of a recording in the order of time, and what was left out of their table.

    Parameters
    ----------
    words : tuple of Word
    notes : tuple of str
        One sentence for each kind of row that could not be used, with how many there were.
    """

    words: tuple[Word, ...] = ()
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Word]:
        return iter(self.words)

    def __len__(self) -> int:
        return len(self.words)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which recordings of a corpus; None means all of that level.

    The names are those of the folders (``sub-001``, ``ses-001``, ``run-1``), tasks are bare (``compr``).
    """

    subjects: tuple[str, ...] | None = None
    sessions: tuple[str, ...] | None = None
    tasks: tuple[str, ...] | None = None
    runs: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for level in fields(self):
            names = getattr(self, level.name)
            if isinstance(names, str):
                raise InputError(f"{level.name} = {names!r}; allowed: a list of names, or nothing for all.")
            if names is not None:
                object.__setattr__(self, level.name, tuple(map(str, names)))

    def matches(self, recording: Any) -> bool:
        """Say whether a recording (anything with subject, session, task and run) is one of these."""
        levels = ((self.subjects, "subject"), (self.sessions, "session"), (self.tasks, "task"), (self.runs, "run"))
        return all(names is None or getattr(recording, level) in names for names, level in levels)

    def of(self, recordings: Sequence[RecordingFile]) -> list[RecordingFile]:
        """Keep the recordings that match.

        Raises
        ------
        InputError
            A name that no recording has: a slip of the pen must not make a corpus smaller.
        """
        levels = ((self.subjects, "subject"), (self.sessions, "session"), (self.tasks, "task"), (self.runs, "run"))
        for names, level in levels:
            known = {value for recording in recordings if (value := getattr(recording, level)) is not None}
            unknown = [name for name in names or () if name not in known]
            if unknown:
                raise InputError(
                    f"No recording has the {level} {', '.join(map(repr, unknown))}; there are: {_listed(known)}."
                )
        return [recording for recording in recordings if self.matches(recording)]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Who is train, validation and test in one corpus, by name.

    Parameters
    ----------
    train, validation, test : Selection, optional
        None: nobody. What is chosen for validation or test is taken out of a wider train selection.
    source : str
        Who made this split.
    leak : str, optional
        How its parts share data, if they do; such a split is refused unless it is asked for by
        ``allow_leak=True``.
    """

    train: Selection | None = None
    validation: Selection | None = None
    test: Selection | None = None
    source: str = ""
    leak: str | None = None


@dataclass(frozen=True)
class Corpus(ABC):
    """A collection of recordings in one layout on disk. Subclasses are frozen dataclasses; their fields are options."""

    name: ClassVar[str]
    """Short name, also the folder in the store."""
    citation: ClassVar[str] = ""
    """Authors, year and DOI."""
    licence: ClassVar[str | None] = None
    """Under which the data may be used; recorded with every stored recording."""
    tasks: ClassVar[tuple[str, ...] | None] = None
    """Tasks that are taken unless others are asked for; None: all."""
    word_options: ClassVar[frozenset[str]] = frozenset()
    """Options that decide about words alone: if one changes, words are read again and stored signals stay."""
    later_options: ClassVar[frozenset[str]] = frozenset()
    """Options that came later: unset, they are not recorded, so that what was stored before them stays as it is."""
    splits: ClassVar[Mapping[str, Split]] = {}
    """Published splits by name."""

    def __post_init__(self) -> None:
        """Bring options, which may be text, into the types of their fields; call it where you override it."""
        convert_options(self)

    @abstractmethod
    def recordings(self, root: str | Path) -> list[RecordingFile]:
        """Find the recordings below a root by the names of files, reading none; in natural order."""

    def read(self, file: RecordingFile) -> "mne.io.BaseRaw":
        """Open a recording without reading its samples: by default, in any format that MNE reads."""
        from megxl.signals.reading import open_recording

        return mark_simulated(open_recording(file.path), file.root)

    def channels(self, raw: "mne.io.BaseRaw") -> list[str]:
        """Name the sensors that the corpus is used with, in the order of the file: all MEG sensors, or electrodes."""
        from megxl.signals.reading import choose_channels

        return choose_channels(raw)

    def events(self, file: RecordingFile) -> Path | None:
        """Say where the table of a recording's words is, whether it exists or not; None: the corpus has none."""
        return None

    def words(self, file: RecordingFile) -> WordTable:
        """Read the words of a recording; none by default."""
        return WordTable()

    def options_of(self, file: RecordingFile) -> dict[str, Any]:
        """Options that hold for a recording: by default, the corpus's own."""
        return asdict(self)

    def licence_of(self, file: RecordingFile) -> str | None:
        """Say under which licence a recording may be used: by default, that of the corpus; a simulation has its own."""
        return SIMULATION_LICENCE if is_simulated(file.root) else self.licence

    def sources(self, file: RecordingFile) -> list[Path]:
        """Files and folders whose content decides what is stored of a recording; when one changes, it is made again."""
        table = self.events(file)
        # a broken link counts as a source: who reads it then says so
        there = table is not None and (table.is_file() or table.is_symlink())
        return parts_of(file.path) + ([table] if table is not None and there else [])

    def select(self, root: str | Path, selection: Selection | None = None) -> list[RecordingFile]:
        """Find recordings and keep those of a selection (by default the corpus's usual tasks).

        Raises
        ------
        InputError
            No such folder, no recording in it, a selection that names what is not there, two recordings of one name.
        """
        root = Path(root)
        if not root.is_dir():
            raise InputError(f"{root}: there is no such folder; give the root of the {self.name} corpus.")
        found = self.recordings(root)
        selection = selection or Selection()
        if selection.tasks is None and self.tasks is not None:
            found = [file for file in found if file.task in self.tasks]
        if not found:
            raise InputError(f"{root} holds no recording in the layout of {self.name}. {self.layout}")
        _refuse_same_ids(found)
        return selection.of(found)

    layout: ClassVar[str] = ""
    """A sentence that says where recordings are looked for, for errors."""


CORPORA = {
    "camcan": "megxl.corpora.camcan:CamCAN",
    "mous": "megxl.corpora.mous:MOUS",
    "smn4lang": "megxl.corpora.smn4lang:SMN4Lang",
    "meg_masc": "megxl.corpora.meg_masc:MEGMASC",
    "armeni": "megxl.corpora.armeni:Armeni",
    "libribrain": "megxl.corpora.libribrain:LibriBrain",
    "omega": "megxl.corpora.omega:OMEGA",
    "bids": "megxl.corpora.bids:BIDS",
    "files": "megxl.corpora.files:Files",
    "simulated": "megxl.corpora.simulated:Simulated",
}
"""Name of a corpus: where its class is."""
PUBLISHED_NAMES = {"schoffelen": "mous", "gwilliams": "meg_masc"}
"""Names that the published configurations use."""


def corpus_named(name: str, options: Mapping[str, Any] | None = None) -> Corpus:
    """Make a corpus by its name.

    Parameters
    ----------
    name : str
        One of `CORPORA`, a published name, or ``package.module:Class`` for one's own.
    options : mapping, optional
        Its fields.

    Raises
    ------
    InputError
        An unknown name or option, with the nearest known one.
    """
    place = CORPORA.get(PUBLISHED_NAMES.get(name, name), name if ":" in name else None)
    if place is None:
        near = difflib.get_close_matches(name, [*CORPORA, *PUBLISHED_NAMES], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise InputError(f"There is no corpus {name!r}{hint} Allowed: {', '.join(CORPORA)}, or module:Class.")
    kind = _imported(place)
    known = {option.name: option for option in fields(kind)}
    for option in options or {}:
        if option not in known:
            allowed = f"allowed: {', '.join(known)}" if known else "it has none"
            raise InputError(f"The corpus {kind.name!r} has no option {option!r}; {allowed}.")
    for option in known.values():
        needed = option.default is MISSING and option.default_factory is MISSING
        if needed and option.name not in (options or {}):
            raise InputError(f"The corpus {kind.name!r} needs the option {option.name!r}.")
    return kind(**(options or {}))


def _imported(place: str) -> type[Corpus]:
    """Import the class of a corpus; what is wrong with a class of one's own is told in a sentence."""
    module, _, class_name = place.partition(":")
    if place in CORPORA.values():
        return getattr(import_module(module), class_name)
    try:
        kind = getattr(import_module(module), class_name)
    except Exception as error:  # the module is somebody's own: it may fail in any way
        from megxl.signals.messages import repeatable

        what = f"{type(error).__name__}: {repeatable(error)}"
        raise InputError(f"The corpus {place!r} cannot be imported: {what}.") from error
    if not (isinstance(kind, type) and issubclass(kind, Corpus)):
        raise InputError(f"{place!r} is no corpus: derive its class from megxl.corpora.corpus.Corpus.")
    if "__dataclass_fields__" not in vars(kind):
        raise InputError(f"The corpus {place!r} is no dataclass: write @dataclass(frozen=True) above it.")
    if inspect.isabstract(kind):
        lacking = ", ".join(sorted(kind.__abstractmethods__))
        raise InputError(f"The corpus {place!r} lacks what every corpus needs: {lacking}.")
    if not (isinstance(called := getattr(kind, "name", None), str) and is_name(called)):
        raise InputError(
            f"The corpus {place!r} needs a name for its folder in the store: name: ClassVar[str] = 'lab', without "
            "slashes and not beginning with a dot or blank."
        )
    return kind


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names, key=natural)
    more = f" and {len(ordered) - 12} more" if len(ordered) > 12 else ""
    return ", ".join(ordered[:12]) + more if ordered else "none"


def _refuse_same_ids(found: Sequence[RecordingFile]) -> None:
    by_id: dict[str, RecordingFile] = {}
    for file in found:
        other = by_id.setdefault(file.id, file)
        if other is not file:
            raise InputError(
                f"{other.path.name} and {file.path.name} would both be stored as {file.key}: give one of them another "
                "session or run in its name, or move it away."
            )
