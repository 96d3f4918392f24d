"""The MEG-MASC corpus: two hours of stories and word lists a listener."""

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from megxl.corpora.corpus import Corpus, RecordingFile, Selection, Split, Word, WordTable
from megxl.corpora.event_words import duration, read_words, seconds
from megxl.corpora.layouts import find_recordings
from megxl.corpora.names import beside
from megxl.corpora.tables import MalformedRowError, Row


@dataclass(frozen=True)
class MEGMASC(Corpus):
    """27 listeners to four stories mixed with word lists, in two equal sessions, KIT 208 (Gwilliams et al. 2023)."""

    name: ClassVar[str] = "meg_masc"
    citation: ClassVar[str] = (
        "Gwilliams, Flick, Marantz, Pylkkänen, Poeppel and King 2023, Introducing MEG-MASC, a high-quality "
        "magneto-encephalography dataset for evaluating natural speech processing, Scientific Data 10, 862, "
        "doi:10.1038/s41597-023-02752-5; OSF ag3kj"
    )
    licence: ClassVar[str] = "CC0"
    tasks: ClassVar[tuple[str, ...]] = ("0", "1", "2", "3")
    layout: ClassVar[str] = "Looked for: sub-*/ses-*/meg/sub-*_ses-*_task-*_meg.con."
    splits: ClassVar[Mapping[str, Split]] = {
        "published-subjects": Split(
            train=Selection(),
            validation=Selection(subjects=("sub-03", "sub-11")),
            source="The subjects that MEG-XL's pre-training was monitored on.",
        ),
        "published-sessions": Split(
            train=Selection(sessions=("ses-0",)),
            validation=Selection(sessions=("ses-1",)),
            test=Selection(sessions=("ses-1",)),
            source="MEG-XL's word decoding with its session split.",
            leak="Validation and test are the same recordings, and both sessions have the same stories and word lists.",
        ),
    }

    def recordings(self, root: str | Path) -> list[RecordingFile]:
        """Find the recordings."""
        return find_recordings(self.name, root, "sub-*/ses-*/meg/*_meg.con", needs=("sub", "ses", "task"))

    def events(self, file: RecordingFile) -> Path:
        """Say where the table of words is."""
        return beside(file.path, "_events.tsv")

    def words(self, file: RecordingFile) -> WordTable:
        """Read the words; a story is named by its task and name (``0-lw1``), the same for all listeners and sessions.

        Labels: ``condition`` ("sentence", "word_list"), ``pronounced`` (False: the word was not in the sound).
        """
        return read_words(self.events(file), lambda row: _word(row, file.task), ("onset", "trial_type"))


def _word(row: Row, task: str | None) -> Word | None:
    """Read a row whose ``trial_type`` is a dict of Python as text; the row's own onset counts."""
    event = _literal(row["trial_type"])
    if event.get("kind") != "word":
        return None
    text = event.get("word")
    if not isinstance(text, str):
        raise MalformedRowError("the event has no word" if text is None else f"its word is {text!r}")
    labels: dict[str, str | float | bool] = {}
    if isinstance(event.get("condition"), str):
        labels["condition"] = event["condition"]
    if event.get("pronounced") is not None:
        labels["pronounced"] = bool(event["pronounced"])
    sentence = [_number(event[name]) for name in ("sound_id", "sequence_id") if event.get(name) is not None]
    return Word(
        text=text,
        onset_s=seconds(row, "onset"),
        duration_s=duration(row),
        sentence="-".join(sentence) or None,
        story="-".join(filter(None, (task, event.get("story")))) or None,
        labels=labels,
    )


def _literal(text: str) -> dict[str, Any]:
    """Evaluate a dict written by Python; a bare ``nan``, which Python itself cannot read back, means no value."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
        event = ast.literal_eval(_NoNan().visit(tree))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise MalformedRowError("trial_type is no dict of Python") from error
    if not isinstance(event, dict):
        raise MalformedRowError("trial_type is no dict of Python")
    return event


class _NoNan(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.copy_location(ast.Constant(None), node) if node.id in ("nan", "NaN") else node


def _number(value: Any) -> str:
    """Write 3.0 as 3."""
    return f"{value:g}" if isinstance(value, float) and math.isfinite(value) else str(value)
