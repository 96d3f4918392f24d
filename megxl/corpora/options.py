"""Options of a corpus as people write them (on a command line, in a table, in JSON) into what its fields hold."""

import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from megxl.errors import InputError

_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_MAPPING = "NAME:VALUE or NAME:VALUE,VALUE"


class _WrongError(ValueError):
    """A value that its field cannot hold; the message says what is allowed."""


def convert_options(corpus: Any) -> None:
    """Bring the fields of a dataclass into their annotated types, in place.

    ``bool`` is taken from true, false, yes, no, 1 and 0; ``int`` and ``float`` from text, with a decimal comma too;
    tuples and sequences from "a,b"; a mapping from "name:value,value"; None, where it is allowed, from "" and "null".
    Other annotations are left alone.

    Raises
    ------
    InputError
        The option, its value and what is allowed; an annotation that cannot be looked up.
    """
    try:
        hints = get_type_hints(type(corpus))
    except (NameError, TypeError) as error:
        raise InputError(
            f"The types of the options of {type(corpus).__name__} cannot be told ({error}): import them at the top "
            "of its module."
        ) from error
    for option in fields(corpus):
        value = getattr(corpus, option.name)
        try:
            object.__setattr__(corpus, option.name, _converted(value, hints[option.name]))
        except _WrongError as error:
            raise InputError(f"{option.name} = {value!r}; allowed: {error}.") from error


def _converted(value: Any, hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        return _first_that_fits(value, get_args(hint))
    if (convert := _OF_TYPE.get(hint)) is not None:
        return convert(value)
    kind = get_origin(hint) or hint
    if not isinstance(kind, type) or kind is object:
        return value
    if issubclass(kind, Mapping):
        return _mapping(value, get_args(hint))
    if issubclass(kind, Sequence):
        return _sequence(value, get_args(hint))
    return value


def _first_that_fits(value: Any, hints: Sequence[Any]) -> Any:
    optional = type(None) in hints
    if optional and (value is None or value in ("", "null")):
        return None
    problems = []
    for hint in hints:
        if hint is not type(None):
            try:
                return _converted(value, hint)
            except _WrongError as error:
                problems.append(str(error))
    raise _WrongError(", or ".join([*problems, *(["nothing"] if optional else [])]))


def _sequence(value: Any, hints: Sequence[Any]) -> tuple[Any, ...]:
    parts = _parts(value, blanks=int in hints)
    items = [hint for hint in hints if hint is not Ellipsis]
    return tuple(_converted(part, items[0]) for part in parts) if len(items) == 1 else tuple(parts)


def _parts(value: Any, *, blanks: bool) -> Sequence[Any]:
    """Take a list as it is, and text at its commas (numbers also at blanks); anything else is a list of one."""
    if isinstance(value, str):
        text = value.replace(",", " ") if blanks else value
        return [part for part in (text.split() if blanks else map(str.strip, text.split(","))) if part]
    if isinstance(value, Mapping) or value is None:
        raise _WrongError("a list, as in a,b")
    return list(value) if isinstance(value, Sequence | set | frozenset) else [value]


def _mapping(value: Any, hints: Sequence[Any]) -> dict[Any, Any]:
    if isinstance(value, str):
        name, colon, values = value.partition(":")
        if value and not (name and colon and values):
            raise _WrongError(_MAPPING)
        value = {name.strip(): values} if value else {}
    if not isinstance(value, Mapping):
        raise _WrongError(_MAPPING)
    if len(hints) != 2:
        return dict(value)
    return {_converted(name, hints[0]): _converted(part, hints[1]) for name, part in value.items()}


def _truth(value: Any) -> bool:
    truth = _TRUTHS.get(str(value).strip().lower())
    if truth is None:
        raise _WrongError("yes, no")
    return truth


def _whole(value: Any) -> int:
    number = _number(value, "whole numbers")
    if number != int(number):
        raise _WrongError("whole numbers")
    return int(number)


def _number(value: Any, allowed: str = "a number, as in 0.035") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _WrongError(allowed)
    try:
        number = float(value.replace(",", ".") if isinstance(value, str) else value)
    except ValueError as error:
        raise _WrongError(allowed) from error
    if not math.isfinite(number):
        raise _WrongError(allowed)
    return number


def _text(value: Any) -> str:
    # a name like 1 arrives as a number where options are read as JSON
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _WrongError("text")
    return str(value)


def _path(value: Any) -> Path:
    return value if isinstance(value, Path) else Path(_text(value))


_OF_TYPE: Mapping[Any, Callable[[Any], Any]] = {bool: _truth, int: _whole, float: _number, str: _text, Path: _path}
