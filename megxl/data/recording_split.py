"""A split that is made: the keys of each part's recordings, disjoint by a check that can fail, kept in a file."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from megxl.corpora.corpus import natural
from megxl.errors import InputError
from megxl.placing import free_to_write, placed
from megxl.store.entry import StoredRecording

PARTS = ("train", "validation", "test")
Disjoint = Literal["recording", "subject"]
FORMAT = "megxl-split"


@dataclass(frozen=True, kw_only=True)
class RecordingSplit:
    """Keys of the recordings of each part.

    Parameters
    ----------
    train, validation, test : tuple of str
        Keys. A part that nobody asked for is empty.
    source : str
        Which rule made it.
    leak : str, optional
        How its parts share data, if they are known to.
    notes : tuple of str
        What a person should know about how it was made.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    source: str = ""
    leak: str | None = None
    notes: tuple[str, ...] = ()

    def part(self, name: str, recordings: Iterable[StoredRecording]) -> list[StoredRecording]:
        """Take the recordings of a part, in the order of its keys.

        Raises
        ------
        InputError
            A recording of the part that is not there: a split never becomes smaller in silence.
        """
        by_key = {recording.key: recording for recording in recordings}
        keys: tuple[str, ...] = getattr(self, name)
        missing = [key for key in keys if key not in by_key]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(keys)} {name} recordings of the split are not in the store (first: "
                f"{missing[0]}); prepare them, or make a split of what is there."
            )
        return [by_key[key] for key in keys]

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write it as JSON, a list of keys a part."""
        path = Path(path)
        free_to_write(path, overwrite=overwrite)
        fields = {name: list(getattr(self, name)) for name in PARTS}
        text = {"format": FORMAT, "source": self.source, "leak": self.leak, "notes": list(self.notes), **fields}
        with placed(path, folder=False) as part:
            part.write_text(json.dumps(text, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path, *, allow_leak: bool = False) -> "RecordingSplit":
        """Read what `save` wrote, or the ``split.json`` of a run on recordings, its corpora together.

        Raises
        ------
        InputError
            No such file, something else in it, a recording in two parts, a known leak that is not allowed.
        """
        path = Path(path)
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"The split {path.name} cannot be read ({error.strerror}).") from error
        except ValueError as error:
            raise InputError(f"{path.name} is no JSON file: {error}.") from error
        if _is_of_a_run(fields):
            joined = {part: [key for corpus in fields.values() for key in corpus.get(part, ())] for part in PARTS}
            fields = {"format": FORMAT, "source": "a run", **joined}
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            raise InputError(f'{path.name} is no split: a split is a JSON object with "format": "{FORMAT}".')
        check_manifest(fields, path.name, others=("format", "source", "leak", "notes"))
        split = cls(
            train=tuple(fields.get("train", ())),
            validation=tuple(fields.get("validation", ())),
            test=tuple(fields.get("test", ())),
            source=fields.get("source", ""),
            leak=fields.get("leak"),
            notes=tuple(fields.get("notes", ())),
        )
        refuse_leak(split.leak, path.name, allow_leak)
        if split.leak is None:
            _refuse_shared({name: getattr(split, name) for name in PARTS}, "recording")
        return split


def _is_of_a_run(fields: Any) -> bool:
    """Tell the parts of each corpus, as a run keeps them, from anything else."""
    return (
        isinstance(fields, dict)
        and bool(fields)
        and all(isinstance(parts, dict) and parts and set(parts) <= set(PARTS) for parts in fields.values())
        and all(isinstance(keys, list) for parts in fields.values() for keys in parts.values())
    )


def check_disjoint(parts: Mapping[str, Sequence[StoredRecording]], by: Disjoint = "recording") -> None:
    """Refuse parts that share a recording, or a person.

    Parameters
    ----------
    parts : mapping of name to recordings
    by : "recording" or "subject"
        Subjects are told apart within their corpus.

    Raises
    ------
    InputError
        Names the two parts and what they share.
    """
    if by not in ("recording", "subject"):
        raise InputError(f"disjoint = {by!r}; allowed: 'recording', 'subject'.")
    _refuse_shared({name: [unit_of(r, by) for r in recordings] for name, recordings in parts.items()}, by)


def unit_of(recording: StoredRecording, by: Disjoint) -> str:
    """Name of what a split must not cut: a recording, or a person of a corpus."""
    return recording.key if by == "recording" else f"{recording.corpus}/{recording.subject}"


def refuse_leak(leak: str | None, name: str, allow_leak: bool) -> None:
    """Refuse a split that is known to leak, unless it is asked for."""
    if leak is not None and not allow_leak:
        raise InputError(f"{name}: this split leaks: {leak} Ask for it with allow_leak=True, or use another split.")


def _refuse_shared(parts: Mapping[str, Iterable[str]], what: str) -> None:
    names = list(parts)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            shared = sorted(set(parts[one]) & set(parts[other]), key=natural)
            if shared:
                raise InputError(
                    f"{one} and {other} share {len(shared)} {what}{'s' if len(shared) > 1 else ''} "
                    f"(first: {shared[0]}): a result on one would say nothing about the other; take them out of one."
                )


def check_manifest(fields: Mapping[str, Any], name: str, others: Sequence[str] = ()) -> None:
    """Refuse what is no mapping of parts to lists of different keys; `others` are fields that may stand beside them."""
    unknown = [field for field in fields if field not in (*PARTS, *others)]
    if unknown:
        raise InputError(f"{name} has a part {unknown[0]!r}; there are: {', '.join(PARTS)}.")
    for part in PARTS:
        keys = fields.get(part, [])
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise InputError(f"{name}: {part} must be a list of recordings' keys.")
        if len(set(keys)) < len(keys):
            raise InputError(f"{name}: {part} names a recording twice.")
