"""Saved predictions: what is read is what was written, a metric included, and what may not be saved."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from megxl.decoding.metrics import measure
from megxl.decoding.occurrences import Occurrences
from megxl.decoding.predictions import TABLE, TENSORS, Predictions, read_predictions, write_predictions
from megxl.errors import InputError
from tests.decoding.predicting import predict


def some(dtype=torch.float32, **options) -> Predictions:
    targets = torch.randn(30, 12, dtype=torch.float64)
    labels = np.arange(100) % 33
    return predict((targets[labels % 30] + torch.randn(100, 12)).to(dtype), labels, targets.to(dtype), **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_what_is_read_is_what_was_written(tmp_path, dtype):
    written = some(dtype, counts=range(30), about={"split": "test", "seed": 3, "words": "é"})
    read = read_predictions(write_predictions(tmp_path / "new" / "test", written))
    for name in ("values_NX", "targets_VD"):
        assert getattr(read, name).dtype == dtype and torch.equal(getattr(read, name), getattr(written, name))
    assert read.occurrences == written.occurrences
    assert (read.vocabulary, read.counts, read.about) == (written.vocabulary, written.counts, written.about)


def test_odd_words_and_onsets_and_scores_survive(tmp_path):
    occurrences = Occurrences(
        words=["Don't", "naïve", 'say "x"'],
        groups=["g", "g", "h"],
        recordings=["c/r", "c/r", "c/q"],
        subjects=["s"] * 3,
        sessions=["", "", "ses-1"],
        onsets_s=[0.1 + 0.2, 1e-17, 12345.678901234567],
    )
    scores = torch.tensor([[-0.0, 1e-40, 3.0]] * 3)
    written = Predictions(
        values_NX=scores.T.contiguous().T, occurrences=occurrences, vocabulary=["naïve", "don't", "z"]
    )
    read = read_predictions(write_predictions(tmp_path / "p", written))
    assert read.occurrences == occurrences and read.targets_VD is None and read.counts is None
    assert read.values_NX.numpy().tobytes() == scores.numpy().tobytes()
    assert read.labels_N.tolist() == [1, 0, -1]


def test_a_metric_is_made_again_in_a_process_without_gpu_or_model(tmp_path):
    predictions = some()
    folder = write_predictions(tmp_path / "p", predictions)
    code = (
        "import sys, json; from megxl.decoding.predictions import read_predictions as r;"
        "from megxl.decoding.metrics import measure; v = measure(r(sys.argv[1]), (20,));"
        "assert not {'megxl.model.megxl', 'lightning', 'transformers'} & sys.modules.keys();"
        "print(json.dumps(v))"
    )
    command = [sys.executable, "-c", code, str(folder)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(told) == measure(predictions, (20,))


def test_older_predictions_are_replaced_only_if_wanted_and_nothing_else_ever(tmp_path):
    folder = write_predictions(tmp_path / "p", some())
    with pytest.raises(InputError, match="overwrite"):
        write_predictions(folder, some())
    newer = some()
    assert torch.equal(read_predictions(write_predictions(folder, newer, overwrite=True)).values_NX, newer.values_NX)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        write_predictions(folder, some(), overwrite=True)


def test_a_failed_write_leaves_the_older_predictions(tmp_path):
    older = some()
    folder = write_predictions(tmp_path / "p", older)
    with pytest.raises(TypeError):
        write_predictions(folder, some(about={"run": object()}), overwrite=True)
    assert torch.equal(read_predictions(folder).values_NX, older.values_NX)
    assert [entry.name for entry in tmp_path.iterdir()] == ["p"]


def test_damage_is_named(tmp_path):
    with pytest.raises(InputError, match="no predictions were saved"):
        read_predictions(tmp_path)
    folder = write_predictions(tmp_path / "p", some())
    content = bytearray((folder / TENSORS).read_bytes())
    content[-1] ^= 1
    (folder / TENSORS).write_bytes(content)
    with pytest.raises(InputError, match="not the file that"):
        read_predictions(folder)
    table = json.loads((folder / TABLE).read_text())
    for wrong, sentence in (
        ("{", "is not JSON"),
        (json.dumps(table | {"format_version": 9}), "another version"),
        (json.dumps({name: table[name] for name in ("format", "format_version")}), "damaged"),
    ):
        (folder / TABLE).write_text(wrong)
        with pytest.raises(InputError, match=sentence):
            read_predictions(folder)


def changed(predictions: Predictions, **changes) -> Predictions:
    return Predictions(**(vars(predictions) | changes))


def test_values_that_no_metric_may_take_are_refused_by_name():
    fine = some()
    for value in (math.nan, math.inf, -math.inf):
        values = fine.values_NX.clone()
        values[41, 3] = value
        with pytest.raises(InputError, match=r"1 of 100 predictions hold NaN .*'w8' at 41 s of r0"):
            changed(fine, values_NX=values)
    with pytest.raises(InputError, match=r"2 of 100 predictions are zero .*'w5' at 5 s of r1"):
        changed(fine, values_NX=fine.values_NX.index_fill(0, torch.tensor([5, 50]), 0))
    with pytest.raises(InputError, match=r"1 of 30 target vectors are zero .*'w29'"):
        changed(fine, targets_VD=fine.targets_VD.index_fill(0, torch.tensor([29]), 0))
    predict(np.zeros((4, 3)), [0, 1, 2, 0])  # scores of zero are a tie, and no harm
    with pytest.raises(InputError, match="floating-point"):
        changed(fine, values_NX=fine.values_NX.long())


def test_shapes_and_vocabularies_that_do_not_fit_are_refused():
    fine = some()
    for changes, sentence in (
        ({"values_NX": fine.values_NX[:99]}, r"shape \(99, 12\); allowed: \(100, 12\)"),
        ({"values_NX": fine.values_NX[:, :11]}, r"shape \(100, 11\); allowed: \(100, 12\)"),
        ({"targets_VD": None}, r"allowed: \(100, 30\)"),
        ({"targets_VD": fine.targets_VD[:29]}, "one vector for each word"),
        ({"vocabulary": ["w0", "W0", *fine.vocabulary[2:]]}, "'w0' is in the vocabulary 2 times"),
        ({"vocabulary": []}, "vocabulary is empty"),
        ({"counts": [1, 2]}, "one for each of the 30 words"),
        ({"counts": [-1] * 30}, "0 or above"),
    ):
        with pytest.raises(InputError, match=sentence):
            changed(fine, **changes)


def test_occurrences_that_would_mislead_a_metric_are_refused():
    columns = vars(predict(np.eye(2), [0, 1]).occurrences)
    for changes, sentence in (
        ({name: [] for name in columns}, "part that is evaluated is empty"),
        ({"groups": ["a"]}, "different lengths"),
        ({"onsets_s": [0, math.nan]}, "no finite onset"),
        ({"words": ["W0", "w0"], "onsets_s": [1, 1]}, "'w0' at 1 s is there 2 times"),
        ({"recordings": ["q", "r"]}, "'g0' is in q and in r"),
    ):
        with pytest.raises(InputError, match=sentence):
            Occurrences(**(columns | changes))
