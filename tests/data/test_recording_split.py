"""Made splits: disjoint by a check that can fail, kept in files, never smaller in silence."""

import json

import pytest

from megxl.data.recording_split import RecordingSplit, check_disjoint
from megxl.data.splits import apply_selections, split_by_fraction
from megxl.errors import InputError
from tests.data.test_splits import LEAKY, Recording, recordings


def test_a_split_is_a_file(tmp_path):
    split = split_by_fraction(recordings(), validation=0.25, test=0.25, seed=3)
    split.save(tmp_path / "split.json")
    assert RecordingSplit.load(tmp_path / "split.json") == split
    with pytest.raises(InputError, match="exists already"):
        split.save(tmp_path / "split.json")
    split.save(tmp_path / "split.json", overwrite=True)


def test_the_split_that_a_run_keeps_is_one_too(tmp_path):
    kept = {"a": {"train": ["a/1", "a/2"], "validation": ["a/3"]}, "b": {"train": ["b/1"]}}
    (tmp_path / "split.json").write_text(json.dumps(kept))
    split = RecordingSplit.load(tmp_path / "split.json")
    assert split.train == ("a/1", "a/2", "b/1") and split.validation == ("a/3",) and split.test == ()
    kept["b"]["validation"] = ["b/1"]
    (tmp_path / "split.json").write_text(json.dumps(kept))
    with pytest.raises(InputError, match="share 1 recording"):
        RecordingSplit.load(tmp_path / "split.json")
    (tmp_path / "split.json").write_text(json.dumps({"train": {"a/1": [0]}, "protocol": "strict"}))  # of word groups
    with pytest.raises(InputError, match="is no split"):
        RecordingSplit.load(tmp_path / "split.json")


def test_a_split_names_recordings_that_must_be_there():
    split = split_by_fraction(recordings(), validation=0.25)
    assert [r.key for r in split.part("validation", recordings())] == list(split.validation)
    missing = [r for r in recordings() if r.key != split.validation[1]]
    with pytest.raises(InputError, match=rf"1 of 3 validation recordings .* \(first: {split.validation[1]}\)"):
        split.part("validation", missing)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("no json", "no JSON file"),
        ("[]", "is no split"),
        ('{"format": "something"}', "is no split"),
        ('{"format": "megxl-split", "train": "a/b"}', "train must be a list"),
        ('{"format": "megxl-split", "train": ["a/b", "a/b"]}', "names a recording twice"),
        ('{"format": "megxl-split", "train": ["a/b", "a/c"], "test": ["a/c"]}', "train and test share 1 recording"),
        (
            '{"format": "megxl-split", "train": ["a/b"], "val": ["a/c"]}',
            "has a part 'val'; there are: train, validation",
        ),
        ('{"format": "megxl-split", "train": ["a/b"], "leak": "It leaks."}', "It leaks"),
    ],
)
def test_files_that_hold_no_clean_split_are_refused(tmp_path, content, words):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(InputError, match=words):
        RecordingSplit.load(tmp_path / "split.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"split\.json cannot be read"):
        RecordingSplit.load(tmp_path / "split.json")


def test_a_leak_that_is_known_is_written_down(tmp_path):
    apply_selections(recordings(), LEAKY, allow_leak=True).save(tmp_path / "leaky.json")
    assert json.loads((tmp_path / "leaky.json").read_text())["leak"] == "Train holds all."
    assert RecordingSplit.load(tmp_path / "leaky.json", allow_leak=True).leak == "Train holds all."


def test_persons_of_two_corpora_are_different_persons():
    check_disjoint({"train": [Recording("sub-1")], "test": [Recording("sub-1", corpus="b")]}, "subject")
    with pytest.raises(InputError, match="share 1 subject "):
        check_disjoint({"train": [Recording("sub-1", "run-1")], "test": [Recording("sub-1", "run-2")]}, "subject")
