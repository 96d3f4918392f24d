"""What the configurations of all runs share: their sections, who may begin or go on where, and how they are written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_type_hints

from megxl.errors import InputError
from megxl.training.fields import check_fields, dotted, plain, refuse_unknown, within
from megxl.training.sections import LoggingConfig, Section

if TYPE_CHECKING:
    from typing import Self

PLACEHOLDER = "/path/to/"
"""What stands in a published configuration where a folder must be named."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A run.

    Raises
    ------
    InputError
        A value of a wrong type, out of its range, or against another; it is named by its dotted key.
    """

    sections: ClassVar[Mapping[str, type[Section]]] = {}
    """Sections by their keys."""
    groups: ClassVar[tuple[str, ...]] = ()
    """Folders of alternatives; the later ones decide where two of them set one key."""
    default: ClassVar[str] = ""
    """The configuration that is taken unless another is named."""
    may_change: ClassVar[tuple[str, ...]] = ()
    """Keys, or beginnings of keys that end with a dot, that may differ when a run goes on."""
    made_by: ClassVar[str] = "megxl"
    """The command that makes such runs."""

    told_by: ClassVar[Mapping[str, str]] = {}
    """What a file of such a configuration says, where files of other commands may have the same keys."""

    seed: int = within(42, least=0, most=2**32 - 1)
    """Of all that chance decides in training."""
    run: str | None = None
    """Folder of the run; null: `logging.experiment_name` below the folder of runs."""
    resume: bool | Literal["auto"] = False
    """Go on with the run in its folder; auto: or begin it, if there is none."""
    overwrite: bool = False
    """Replace an older run in the folder."""
    logging: LoggingConfig = field(default_factory=LoggingConfig)

    def __post_init__(self) -> None:
        check_fields(self, "")
        if self.resume and self.overwrite:
            raise InputError(f"resume={self.resume} and overwrite=true exclude each other; give one of them.")

    @property
    def run_dir(self) -> Path:
        """Folder of the run."""
        return Path(self.run) if self.run else self.usual_dir

    @property
    def usual_dir(self) -> Path:
        """Where the run lies unless a folder is named."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dicts and lists; `from_dict` makes the same configuration of them."""
        return plain(self)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> "Self":
        """Read a configuration.

        Raises
        ------
        InputError
            An unknown key, with the nearest known one; what construction refuses.
        """
        refuse_unknown(mapping, [one.name for one in fields(cls)], "")
        values: dict[str, Any] = dict(mapping)
        for name in values.keys() & cls.sections.keys():
            values[name] = cls.sections[name].of(values[name])
        return cls(**values)

    @classmethod
    def known_keys(cls) -> Iterator[str]:
        """All dotted keys."""
        for one in fields(cls):
            yield one.name
            if one.name in cls.sections:
                yield from _keys_below(cls.sections[one.name], one.name)


def refuse_placeholders(config: RunConfig) -> None:
    """Refuse a path that was left as published (``/path/to/...``), by its key."""
    for key, value in _leaves(config.to_dict(), ""):
        if isinstance(value, str) and value.startswith(PLACEHOLDER):
            raise InputError(f"{key} = {value!r} is a placeholder; give your own, as in {key}=FOLDER.")


def _keys_below(section: Any, place: str) -> Iterator[str]:
    hints = get_type_hints(section)
    for one in fields(section):
        yield dotted(place, one.name)
        if is_dataclass(hints[one.name]):
            yield from _keys_below(hints[one.name], dotted(place, one.name))


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, dotted(place, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _leaves(part, f"{place}.{index}")
    else:
        yield place, value
