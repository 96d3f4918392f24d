"""The words that the public reference read from the miniature corpora."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from megxl.corpora.corpus import Corpus, RecordingFile


def reference_words(corpus: Corpus, root: Path, shared: Path) -> Iterator[tuple[RecordingFile, list[str], list[float]]]:
    """Give each recording with the texts and onsets of its words in groups, in order."""
    run = f"{corpus.name}/words50"
    expected = json.loads((shared / "golden" / "data_reference.json").read_text())["expected"][run]
    onsets_GW = np.load(shared / "golden" / "data_reference.npz")[f"{run}/onsets"]
    by_path = {file.path: file for file in corpus.recordings(root)}
    first = 0
    for entry, count in zip(expected["recordings"], expected["groups_per_recording"], strict=True):
        groups = slice(first, first + count)
        first += count
        texts = [text for group in expected["words"][groups] for text in group]
        yield by_path[root.parent / entry["raw"]], texts, onsets_GW[groups].ravel().tolist()
