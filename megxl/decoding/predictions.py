"""Predictions of words, saved with all that a metric needs, so that it can be made again without model or GPU.

Letters: N word occurrences, V words of the vocabulary, D width of a target.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from megxl.decoding.occurrences import Occurrences
from megxl.errors import InputError
from megxl.placing import free_to_write, placed

FORMAT, FORMAT_VERSION = "megxl-predictions", 1
TENSORS, TABLE = "predictions.safetensors", "predictions.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """What a decoder says of each word, and what it chooses from.

    Parameters
    ----------
    values_NX : Tensor of floats
        Predicted vectors, shape (N, D), if there are `targets_VD`; else scores of the vocabulary, shape (N, V): the
        higher, the likelier.
    occurrences : Occurrences
    vocabulary : sequence of str
        Candidates, the most frequent first (`megxl.data.vocabulary`).
    targets_VD : Tensor, optional
        Vector of each.
    counts : sequence of int, optional
        How often each occurs in the training part.
    about : mapping
        What a reader should know: run, split, protocol, control; plain values.

    Raises
    ------
    InputError
        Shapes that do not fit, NaN or infinite values, a vector of zeros, a word that is twice in the vocabulary.
    """

    values_NX: Tensor
    occurrences: Occurrences
    vocabulary: Sequence[str]
    targets_VD: Tensor | None = None
    counts: Sequence[int] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))
        object.__setattr__(self, "counts", None if self.counts is None else tuple(map(int, self.counts)))
        self._check_vocabulary()
        width = len(self.vocabulary) if self.targets_VD is None else self.targets_VD.shape[-1]
        if self.values_NX.shape != (len(self.occurrences), width):
            raise InputError(
                f"The predictions have shape {tuple(self.values_NX.shape)}; allowed: {(len(self.occurrences), width)}, "
                "a row for each word, as wide as the targets or, without targets, as the vocabulary."
            )
        check_rows(self.values_NX, self.occurrences.place, "predictions", zeros=self.targets_VD is None)
        if self.targets_VD is not None:
            check_rows(self.targets_VD, lambda number: repr(self.vocabulary[number]), "target vectors", zeros=False)

    def _check_vocabulary(self) -> None:
        if not self.vocabulary:
            raise InputError("The vocabulary is empty: there is no word to choose from.")
        word, times = Counter(map(str.lower, self.vocabulary)).most_common(1)[0]
        if times > 1:
            raise InputError(f"{word!r} is in the vocabulary {times} times; words are the same if they agree in lower "
                             "case, and each is there once.")  # fmt: skip
        if self.targets_VD is not None and (self.targets_VD.ndim != 2 or len(self.targets_VD) != len(self.vocabulary)):
            raise InputError(
                f"targets_VD has shape {tuple(self.targets_VD.shape)}; allowed: ({len(self.vocabulary)}, D), one "
                "vector for each word of the vocabulary."
            )
        if self.counts is not None and (len(self.counts) != len(self.vocabulary) or min(self.counts) < 0):
            raise InputError(f"counts holds {len(self.counts)} numbers; allowed: one for each of the "
                             f"{len(self.vocabulary)} words of the vocabulary, 0 or above.")  # fmt: skip

    def __len__(self) -> int:
        return len(self.occurrences)

    @property
    def labels_N(self) -> np.ndarray:
        """Place of each true word in the vocabulary (int64); -1 where it is not there and cannot be found."""
        ranks = {word.lower(): rank for rank, word in enumerate(self.vocabulary)}
        return np.array([ranks.get(word, -1) for word in self.occurrences.words], dtype=np.int64)

    def part(self, numbers: Sequence[int] | np.ndarray) -> "Predictions":
        """Keep some occurrences, in the order given."""
        kept = [int(number) for number in numbers]
        return replace(self, values_NX=self.values_NX[kept], occurrences=self.occurrences.part(kept))


def check_rows(rows_NX: Tensor, place: Any, what: str, *, zeros: bool) -> None:
    """Refuse rows with NaN or infinite values and, where they need a direction, rows of zeros.

    `place` says of a row's number which it is.
    """
    if not rows_NX.is_floating_point():
        raise InputError(f"The {what} are of type {rows_NX.dtype}; allowed: floating-point numbers.")
    bad_N = ~rows_NX.isfinite().all(dim=1)
    trouble = "hold NaN or infinite values: the decoder diverged, or its input was not finite"
    if not bad_N.any() and not zeros:
        bad_N, trouble = (rows_NX == 0).all(dim=1), "are zero and point nowhere, so that no cosine can rank them"
    if bad_N.any():
        raise InputError(
            f"{int(bad_N.sum())} of {len(bad_N)} {what} {trouble} (first: {place(int(bad_N.int().argmax()))})."
        )


def write_predictions(folder: str | Path, predictions: Predictions, *, overwrite: bool = False) -> Path:
    """Write a folder of safetensors and JSON, put in place whole.

    Raises
    ------
    InputError
        The folder holds something else, or older predictions that may not be replaced.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    free_to_write(folder, overwrite=overwrite, ours=is_predictions)
    tensors = {"values": predictions.values_NX}
    if predictions.targets_VD is not None:
        tensors["targets"] = predictions.targets_VD
    with placed(folder, folder=True) as part:
        # a copy: safetensors refuses tensors that share memory or are views
        save_file({name: rows.detach().cpu().clone().contiguous() for name, rows in tensors.items()}, part / TENSORS)
        table = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "tensors_sha256": _sha256(part / TENSORS),
            "about": dict(predictions.about),
            "vocabulary": predictions.vocabulary,
            "counts": predictions.counts,
            "occurrences": asdict(predictions.occurrences),
        }
        (part / TABLE).write_text(json.dumps(table, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        # safetensors writes for the owner alone
        (part / TENSORS).chmod((part / TABLE).stat().st_mode)
    return folder


def read_predictions(folder: str | Path) -> Predictions:
    """Read what `write_predictions` wrote, to the bit.

    Raises
    ------
    InputError
        No such folder, another format, or damage.
    """
    folder = Path(folder)
    if not (folder / TABLE).is_file() or not (folder / TENSORS).is_file():
        raise InputError(f"{folder} has no {TABLE} and {TENSORS}: no predictions were saved there.")
    try:
        table = json.loads((folder / TABLE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{folder.name}/{TABLE} is not JSON ({error}); evaluate or copy again.") from error
    if not isinstance(table, dict) or (table.get("format"), table.get("format_version")) != (FORMAT, FORMAT_VERSION):
        raise InputError(f"{folder.name}/{TABLE} is not {FORMAT}, version {FORMAT_VERSION}: another program or another "
                         "version of megxl wrote it.")  # fmt: skip
    try:
        if table["tensors_sha256"] != _sha256(folder / TENSORS):
            raise InputError(f"{folder.name}/{TENSORS} is not the file that {TABLE} was written with; copy both again.")
        tensors = load_file(folder / TENSORS)
        return Predictions(
            values_NX=tensors["values"],
            targets_VD=tensors.get("targets"),
            occurrences=Occurrences(**table["occurrences"]),
            vocabulary=table["vocabulary"],
            counts=table["counts"],
            about=table["about"],
        )
    except (KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{folder.name}: the predictions are damaged ({error}); evaluate or copy again.") from error


def is_predictions(folder: Path) -> bool:
    """Whether a folder holds saved predictions and nothing else, so that it may be replaced."""
    return {entry.name for entry in folder.iterdir()} == {TENSORS, TABLE}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
