"""What a page needs besides the tables of a run: its codec, held-out windows, and scores, kept or made now."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from megxl.errors import InputError
from megxl.reporting.tokenizer.score_figures import Scores
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.runs import Run
from megxl.training.tokenizer.config import TokenizerConfig
from megxl.training.tokenizer.judged_sources import JUDGED, open_source, run_windows, source_names
from megxl.training.tokenizer.judged_windows import WINDOWS, JudgedWindows
from megxl.training.tokenizer.judging import judge

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """What can be found of a run; what cannot is told in `lacking`."""

    codec: BioCodec | None
    """The newest one."""
    windows: JudgedWindows | None
    """Held-out ones."""
    judged: Mapping[str, Any] | None
    """As `megxl.training.tokenizer.judged` lists it, the run's own scores first."""
    notes: Sequence[str]
    lacking: Sequence[str]

    @property
    def tokenizers(self) -> Mapping[str, Scores]:
        """Scores of all tokenizers that were judged, the run's own first."""
        return self.judged["tokenizers"] if self.judged else {}

    @property
    def scores(self) -> Scores | None:
        """The run's own."""
        return next(iter(self.tokenizers.values()), None)


def look_at(
    run: Run[TokenizerConfig],
    *,
    windows: int = WINDOWS,
    device: str | torch.device = "cpu",
    beside: Sequence[str | Path] = (),
    advance: Callable[[int, int], None] | None = None,
) -> Look:
    """Open the codec of a run and held-out windows, and judge it on them.

    It is not judged again if judged.json is of the very same weights and of held-out recordings, and nothing is to
    stand beside it. Parameters are those of `write_tokenizer_report`.

    Raises
    ------
    InputError
        Less than one window; a tokenizer beside it that cannot be read; a damaged judged.json.
    """
    if windows < 1:
        raise InputError(f"windows = {windows}: at least one held-out window has to be looked at.")
    lacking: list[str] = []
    codec = _or_why(lambda: open_source(run.path).codec.to(device), lacking)
    shown = _or_why(lambda: run_windows(run, number=windows), lacking)
    judged, notes = (None, []) if beside or codec is None else _kept(run, codec)
    if judged is None and codec is not None and shown is not None:
        names = source_names([str(run.path), *map(str, beside)])
        codecs = [codec, *(open_source(place).codec.to(device) for place in beside)]
        judged = judge(dict(zip(names, codecs, strict=True)), shown, advance=advance).to_dict()
        notes.append(f"Judged for this page alone, on {len(shown)} windows; megxl evaluate keeps what it finds.")
    if judged is not None and judged["windows"]["flat_rows"] == judged["windows"]["rows"]:
        lacking.append("All rows of the held-out windows are flat (they do not vary): nothing can be told of them.")
        shown = judged = None
    return Look(codec=codec, windows=shown, judged=judged, notes=notes, lacking=lacking)


def _kept(run: Run[TokenizerConfig], codec: BioCodec) -> tuple[dict[str, Any] | None, list[str]]:
    """What ``megxl evaluate`` found of these weights, or why it is not shown."""
    kept = read_judged(run)
    if kept is None:
        return None, []
    if (ordered := _with_first(kept, codec)) is None:
        return None, [f"{JUDGED} is of other weights than these and is not shown."]
    held_out = {key for parts in (run.split() or {}).values() for key in parts["validation"]}
    if trained := kept["windows"]["recordings"].keys() - held_out:
        return None, [f"{JUDGED} is of recordings that do not validate (first: {min(trained)}) and is not shown."]
    return ordered, []


def read_judged(run: Run[TokenizerConfig]) -> dict[str, Any] | None:
    """What ``megxl evaluate`` wrote of a run; None: nothing yet.

    Raises
    ------
    InputError
        The file is damaged.
    """
    path = run.path / JUDGED
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{JUDGED} of the run {run.name} is damaged ({error}); delete it, or make it anew with megxl evaluate."
        ) from error


def _with_first(judged: Mapping[str, Any], codec: BioCodec) -> dict[str, Any] | None:
    """The same with the scores of these weights first; None: they are not among them."""
    told: Mapping[str, Any] = judged["tokenizers"]
    digest = codec.provenance["sha256"]
    own = [name for name, scores in told.items() if scores["provenance"].get("sha256") == digest]
    if not own:
        return None
    return {**judged, "tokenizers": {own[0]: told[own[0]], **told}}


def _or_why(make: Callable[[], T], lacking: list[str]) -> T | None:
    """What `make` gives; where it cannot, the reason goes to what the page says is lacking."""
    try:
        return make()
    except InputError as error:
        lacking.append(str(error))
        return None
