"""Fields of configurations: their types and ranges are checked, and what is wrong is told by the dotted key."""

import dataclasses
import difflib
import math
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from megxl.errors import InputError

_WORDS = {
    bool: "true, false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
}


class _WrongError(ValueError):
    """A value that its field cannot hold."""


def within(default: Any, *, least: float = -math.inf, above: float = -math.inf, most: float = math.inf) -> Any:
    """Make the field of a number, or of a number and null, that has a range: from `least` or `above`, to `most`."""
    return dataclasses.field(default=default, metadata={"range": (least, above, most)})


def check_fields(config: Any, place: str) -> None:
    """Bring the fields of a frozen dataclass into their annotated types, in place.

    Whole numbers become floats where those are wanted and the other way round (50 is 50.0), numbers in text too
    (YAML readers take 1e-4 for text), lists become tuples, one name a list of it.

    Raises
    ------
    InputError
        A value of another type or out of its range, by its dotted key.
    """
    hints = get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        try:
            fitted = _fitted(value, hints[field.name])
        except _WrongError:
            raise InputError(
                f"{dotted(place, field.name)} = {shown(value)}; allowed: {_allowed(hints[field.name])}."
            ) from None
        object.__setattr__(config, field.name, fitted)
        if "range" in field.metadata and fitted is not None:
            _check_range(dotted(place, field.name), fitted, *field.metadata["range"])


def refuse_unknown(given: Iterable[Any], known: Iterable[str], place: str) -> None:
    """Refuse a key that is not known, with the nearest one that is."""
    known = list(known)
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {dotted(place, near[0])}?" if near else f"there are: {', '.join(known)}."
            raise InputError(f"There is no key {dotted(place, str(key))}; {hint}")


def dotted(place: str, key: str) -> str:
    """Name a key as it is written on a command line."""
    return f"{place}.{key}" if place else key


def shown(value: Any) -> str:
    """Write a value as YAML would, for messages."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


def plain(value: Any) -> Any:
    """Turn dataclasses, mappings and tuples into dicts and lists, as JSON and YAML hold them."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def _fitted(value: Any, hint: Any) -> Any:
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin is Literal:
        if any(type(value) is type(choice) and value == choice for choice in get_args(hint)):
            return value
        if value is False and "off" in get_args(hint):
            # YAML reads the bare word so
            return "off"
        raise _WrongError
    if origin in (Union, types.UnionType):
        return _first_that_fits(value, get_args(hint))
    if origin is tuple:
        return _as_tuple(value, get_args(hint)[0])
    if origin is Mapping:
        if isinstance(value, Mapping):
            return dict(value)
        raise _WrongError
    return _as_scalar(value, hint)


def _first_that_fits(value: Any, hints: tuple[Any, ...]) -> Any:
    for hint in hints:
        # first the type that it has: the number 1 is no text where both are allowed
        if type(value) is hint:
            return _fitted(value, hint)
    for hint in hints:
        try:
            return _fitted(value, hint)
        except _WrongError:
            continue
    raise _WrongError


def _as_tuple(value: Any, hint: Any) -> tuple[Any, ...]:
    if isinstance(value, str | int):
        value = (value,)
    if not isinstance(value, list | tuple):
        raise _WrongError
    return tuple(_fitted(part, hint) for part in value)


def _as_scalar(value: Any, hint: Any) -> Any:
    if type(value) is hint and not (hint is float and not math.isfinite(value)):
        return value
    if hint in (int, float) and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            raise _WrongError from None
        if math.isfinite(number) and (hint is float or number.is_integer()):
            return value if isinstance(value, hint) else hint(number)
    if hint is str and type(value) is int:
        # a task or run may be called by a number, which YAML reads as one
        return str(value)
    if dataclasses.is_dataclass(hint) and isinstance(value, hint):  # type: ignore[arg-type]
        return value
    raise _WrongError


def _check_range(key: str, value: Any, least: float, above: float, most: float) -> None:
    values = value if isinstance(value, tuple) else (value,)
    if all(isinstance(number, str) or (least <= number <= most and number > above) for number in values):
        return
    lower = f"above {above:g}" if above > -math.inf else f"{least:g} and more"
    upper = f", at most {most:g}" if most < math.inf else ""
    raise InputError(f"{key} = {shown(value)}; allowed: {lower}{upper}.")


def _allowed(hint: Any) -> str:
    origin = get_origin(hint)
    if origin is Literal:
        return ", ".join(shown(choice).strip("'") for choice in get_args(hint))
    if origin in (Union, types.UnionType):
        return ", or ".join(_allowed(part) for part in get_args(hint))
    if origin is tuple:
        return f"a list of {'names' if get_args(hint)[0] is str else 'whole numbers'}"
    if origin is Mapping:
        return "a mapping, as in {name: value}"
    return _WORDS.get(hint, "something else")
