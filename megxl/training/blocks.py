"""Blocks of `datasets_config`: one dataclass a corpus type, which says who trains on it and who validates.

What a block names for validation (`val_subjects`, `val_runs`, `val_session`) is taken out of training, always.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from megxl.errors import InputError
from megxl.training.fields import check_fields, refuse_unknown

if TYPE_CHECKING:
    from megxl.corpora.corpus import Corpus, Selection
    from megxl.data.sources import CorpusSource, SplitRule
    from megxl.training.corpora_config import CorporaConfig

_VALIDATION = {"val_subjects": "subjects", "val_runs": "runs", "val_session": "sessions"}
_LEVELS = ("subjects", "sessions", "tasks", "runs")


@dataclass(frozen=True, kw_only=True)
class CorpusBlock:
    """What a run takes from one corpus. Levels that the corpus does not have are no keys of its block."""

    type: str
    """Name of the corpus: camcan, mous (schoffelen), smn4lang, meg_masc (gwilliams), ..., or package.module:Class."""
    data_root: str | None = None
    """Folder of the corpus; null: its recordings are in the store (`data.cache_dir`) already."""
    validation_only: bool = False
    """Train on none of its recordings."""
    split: str | Mapping[str, Any] | None = None
    """Name of a published split, a file of a split (.json), or a fraction, as in {validation: 0.1}; null: what the
    val_ key names validates, or else a tenth of the subjects."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the corpus, as `megxl prepare --set` takes them."""

    usual: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Who validates where neither a split nor a val_ key says so."""
    validation_tasks: ClassVar[tuple[str, ...] | None] = None
    """Tasks of validation, whatever is trained on."""

    def __post_init__(self) -> None:
        check_fields(self, "")
        given = [key for key in _VALIDATION if getattr(self, key, None)]
        if len(given) > 1 or (given and self.split is not None):
            both = " and ".join([*given, *(["split"] if self.split is not None else [])])
            raise InputError(
                f"{both} are both given; allowed: one of them, which says who validates. Set the others to null, as in "
                f"datasets_config.{self.type}.split=null."
            )

    def corpus(self) -> "Corpus":
        """Make the corpus with its options."""
        from megxl.corpora.corpus import corpus_named

        return corpus_named(self.type, self.options)

    def source(self, config: "CorporaConfig") -> "CorpusSource":
        """Say which recordings of the store train and validate.

        Raises
        ------
        InputError
            A corpus or option that does not exist.
        """
        from megxl.data.sources import CorpusSource
        from megxl.training.debug_source import DebugSource

        amount = config.data.recording_subsample_prop
        kind = DebugSource if config.data.debug_mode else CorpusSource
        level = self._named()[0]
        drawn_by = self.split.get("by", "subject") if isinstance(self.split, Mapping) else None
        return kind(
            store=config.data.cache_dir,
            # a dataset that gave itself a name lies under that in the store
            corpus=self.type if ":" in self.type else self.corpus().name,
            split=self._split(),
            selection=None if level else self._filter(),
            validation_only=self.validation_only,
            subsample=None
            if amount is None or self.validation_only
            else {"proportion": amount, "seed": config.training.sampler_seed},
            disjoint="subject" if level == "subjects" or drawn_by == "subject" else "recording",
        )

    def selection(self) -> "Selection":
        """Name the recordings that training and validation may need together."""
        from megxl.corpora.corpus import Selection

        level, names = self._named()
        wanted = {name: getattr(self, name, None) for name in _LEVELS}
        for name, others in ((level, names), ("tasks", self.validation_tasks if level else None)):
            if name is not None and others and (chosen := wanted[name]) is not None:
                wanted[name] = tuple(dict.fromkeys((*chosen, *others)))
        return Selection(**wanted)

    def _filter(self, **others: tuple[str, ...] | None) -> "Selection":
        from megxl.corpora.corpus import Selection

        return Selection(**{name: getattr(self, name, None) for name in _LEVELS} | others)

    def _named(self) -> tuple[str | None, tuple[str, ...]]:
        """Level and names of who validates; no level where a split or a draw says it."""
        for key, level in _VALIDATION.items():
            if names := getattr(self, key, None):
                return level, names
        for level, names in self.usual.items():
            if self.split is None:
                return level, names
        return None, ()

    def _split(self) -> "SplitRule | None":
        from megxl.corpora.corpus import Split

        level, names = self._named()
        if level is None:
            return self.split
        tasks = {"tasks": self.validation_tasks} if self.validation_tasks else {}
        return Split(
            train=None if self.validation_only else self._filter(),
            validation=self._filter(**{level: names}, **tasks),
            source=f"{level} named in the configuration",
        )


@dataclass(frozen=True, kw_only=True)
class CamCANBlock(CorpusBlock):
    """Cam-CAN: rest and a sensorimotor task."""

    subjects: tuple[str, ...] | None = None
    """Only these; null: all."""
    sessions: tuple[str, ...] | None = None
    """Only these; null: all."""
    tasks: tuple[str, ...] | None = None
    """Only these; null: all."""
    val_subjects: tuple[str, ...] | None = None
    """Subjects that validate."""


@dataclass(frozen=True, kw_only=True)
class MOUSBlock(CorpusBlock):
    """MOUS (`schoffelen`): sentences and word lists, heard."""

    subjects: tuple[str, ...] | None = None
    """Only these; null: all."""
    tasks: tuple[str, ...] | None = None
    """Only these; null: all."""
    val_subjects: tuple[str, ...] | None = None
    """Subjects that validate."""


@dataclass(frozen=True, kw_only=True)
class SMN4LangBlock(CorpusBlock):
    """SMN4Lang: stories in Mandarin, sixty runs a listener."""

    subjects: tuple[str, ...] | None = None
    """Only these; null: all."""
    runs: tuple[str, ...] | None = None
    """Only these; null: all."""
    tasks: tuple[str, ...] | None = None
    """Only these; null: all."""
    val_runs: tuple[str, ...] | None = None
    """Runs that validate, of every subject."""


@dataclass(frozen=True, kw_only=True)
class MEGMASCBlock(CorpusBlock):
    """MEG-MASC (`gwilliams`): four stories, heard twice."""

    subjects: tuple[str, ...] | None = None
    """Only these; null: all."""
    sessions: tuple[str, ...] | None = None
    """Only these; null: all."""
    tasks: tuple[str, ...] | None = None
    """Only these; null: all."""
    val_subjects: tuple[str, ...] | None = None
    """Subjects that validate."""


@dataclass(frozen=True, kw_only=True)
class ArmeniBlock(CorpusBlock):
    """Armeni: ten hours of stories a listener."""

    subjects: tuple[str, ...] | None = None
    """Only these; null: all."""
    sessions: tuple[str, ...] | None = None
    """Only these; null: all."""
    tasks: tuple[str, ...] | None = None
    """Only these; null: all."""
    val_session: tuple[str, ...] | None = None
    """Session that validates, of every subject; null: ses-010."""

    usual: ClassVar[Mapping[str, tuple[str, ...]]] = {"sessions": ("ses-010",)}


@dataclass(frozen=True, kw_only=True)
class LibriBrainBlock(CorpusBlock):
    """LibriBrain: fifty hours of one listener; sessions of one name exist in every book."""

    subjects: tuple[str, ...] | None = None
    """Only these; null: all."""
    sessions: tuple[str, ...] | None = None
    """Only these; null: all."""
    tasks: tuple[str, ...] | None = None
    """Only these books (Sherlock1 to Sherlock7); null: all."""
    val_session: tuple[str, ...] | None = None
    """Session of Sherlock1 that validates; null: ses-2. Sessions of that name in other books train."""

    usual: ClassVar[Mapping[str, tuple[str, ...]]] = {"sessions": ("ses-2",)}
    validation_tasks: ClassVar[tuple[str, ...] | None] = ("Sherlock1",)


@dataclass(frozen=True, kw_only=True)
class GeneralBlock(CorpusBlock):
    """Any other corpus: OMEGA, simulated, BIDS, files, one's own class."""

    subjects: tuple[str, ...] | None = None
    """Only these; null: all."""
    sessions: tuple[str, ...] | None = None
    """Only these; null: all."""
    tasks: tuple[str, ...] | None = None
    """Only these; null: all."""
    runs: tuple[str, ...] | None = None
    """Only these; null: all."""
    val_subjects: tuple[str, ...] | None = None
    """Subjects that validate."""
    val_session: tuple[str, ...] | None = None
    """Sessions that validate, of every subject."""
    val_runs: tuple[str, ...] | None = None
    """Runs that validate, of every subject."""


BLOCKS: Mapping[str, type[CorpusBlock]] = {
    "camcan": CamCANBlock,
    "mous": MOUSBlock,
    "smn4lang": SMN4LangBlock,
    "meg_masc": MEGMASCBlock,
    "armeni": ArmeniBlock,
    "libribrain": LibriBrainBlock,
    "omega": GeneralBlock,
    "simulated": GeneralBlock,
    "files": GeneralBlock,
    "bids": GeneralBlock,
}
"""Block of each corpus, by its name; classes of one's own have a `GeneralBlock`."""


def block_of(mapping: Mapping[str, Any], place: str = "datasets_config[]") -> CorpusBlock:
    """Read a block of the configuration.

    Parameters
    ----------
    mapping : mapping
        Its keys and values.
    place : str
        Where it stands, for errors.

    Raises
    ------
    InputError
        No mapping, an unknown type or key, a value of a wrong type.
    """
    if not isinstance(mapping, Mapping):
        raise InputError(
            f"{place} = {mapping!r}; allowed: keys of a corpus, as in {{type: camcan, data_root: FOLDER}}."
        )
    kind = block_kind(mapping.get("type"), place)
    refuse_unknown(mapping, [option.name for option in dataclasses.fields(kind)], place)
    try:
        return kind(**mapping)
    except InputError as error:
        raise InputError(f"{place}.{error}") from None


def block_kind(name: Any, place: str = "datasets_config[]") -> type[CorpusBlock]:
    """Find the class of the blocks of a corpus; a published name is as good as ours."""
    from megxl.corpora.corpus import PUBLISHED_NAMES

    if isinstance(name, str) and ":" in name:
        return GeneralBlock
    known = BLOCKS.get(PUBLISHED_NAMES.get(name, name) if isinstance(name, str) else "")
    if known is None:
        allowed = ", ".join([*BLOCKS, *PUBLISHED_NAMES])
        raise InputError(f"{place}.type = {name!r}; allowed: {allowed}, or package.module:Class of your own.")
    return known
