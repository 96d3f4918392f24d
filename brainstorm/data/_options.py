"""Options of the published data modules (alias): all are looked at before any file is."""

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from megxl.errors import InputError
from megxl.signals.preparation import Preparation


def refuse_unknown(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a name that is not known, with the nearest one that is."""
    known = list(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; allowed: {', '.join(known)}."
            raise InputError(f"{what} has no option {name!r}{hint}")


def parameters(function: Callable) -> list[str]:
    """Names that a method takes by keyword, without `self`."""
    found = inspect.signature(function).parameters.values()
    return [option.name for option in found if option.kind != option.VAR_KEYWORD and option.name != "self"]


def loading_options(
    batch_size: int, num_workers: int, pin_memory: bool, persistent_workers: bool, collate: Callable
) -> dict[str, Any]:
    """Options of a `DataLoader`; those of workers are left out where there is none."""
    _at_least("batch_size", batch_size, 1)
    _at_least("num_workers", num_workers, 0)
    return {
        "batch_size": batch_size,
        "num_workers": num_workers,
        "pin_memory": pin_memory,
        "persistent_workers": persistent_workers and num_workers > 0,
        "collate_fn": collate,
    }


def window_options(**options: Any) -> dict[str, Any]:
    """Options of a dataset of segments, if their numbers can be."""
    Preparation(low_hz=options["l_freq"], high_hz=options["h_freq"], sfreq_hz=options["target_sfreq"])
    for name in options.keys() & {"segment_length", "shuffle_segment_duration"}:
        if not options[name] * options["target_sfreq"] >= 1:
            raise InputError(f"{name} = {options[name]}; allowed: one sample (1/target_sfreq seconds) and more.")
    if options["max_channel_dim"] is not None:
        _at_least("max_channel_dim", options["max_channel_dim"], 1)
    return options


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"{name} = {value}; allowed: {least} and more.")
