"""`megxl evaluate` of tokenizers: what is printed and written, for a run and for checkpoints, and what is refused."""

import json
from pathlib import Path

import pytest

from megxl.cli import main
from megxl.data.recording_split import RecordingSplit
from megxl.training.runs import SPLIT, Run, write_json
from megxl.training.tokenizer.config import TokenizerConfig
from tests.training.small_run import small_codec
from tests.training.tokenizer.judged_codecs import recordings


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A store of three recordings, two codecs, and a run with one of them."""
    folder = tmp_path_factory.mktemp("made")
    recordings(folder / "store", 3)
    for seed, name in enumerate(("first", "second")):
        small_codec(seed).save_pretrained(folder / name)
    return folder


@pytest.fixture
def run(made, tmp_path) -> Run:
    """Trained on one recording, validated on two."""
    config = TokenizerConfig.from_dict(
        {
            "datasets_config": [{"type": "armeni"}],
            "data": {"cache_dir": str(made / "store"), "segment_length": 6.0, "block_s": 2.0, "clip": 4.0},
            "run": str(tmp_path / "run"),
        }
    )
    run = Run.create(config, environment={})
    keys = [f"armeni/sub-{number}" for number in range(3)]
    write_json(run.path / SPLIT, {"armeni": {"train": keys[:1], "validation": keys[1:]}})
    small_codec(2).save_pretrained(run.path / "model")
    return run


def evaluate(*words: object) -> int:
    return main(["evaluate", *map(str, words), "--device", "cpu"])


def test_a_run_is_judged_on_what_validated_it_beside_a_checkpoint(made, run, capsys):
    assert evaluate(run.path, made / "first") == 0
    said = capsys.readouterr().out
    told = json.loads((run.path / "judged.json").read_text())
    assert list(told["tokenizers"]) == ["run", "first"]
    facts = told["windows"]
    assert facts["recordings"] == {"armeni/sub-1": 2, "armeni/sub-2": 2}
    assert (facts["window_s"], facts["block_s"], facts["clip"], facts["rows"]) == (6.0, 2.0, 4.0, 16)
    run_r, first_r = (told["tokenizers"][name]["r"] for name in ("run", "first"))
    assert f"{run_r['mean']:.3f} [{run_r['low']:.3f}, {run_r['high']:.3f}]" in said
    assert f"{first_r['mean']:.3f} [{first_r['low']:.3f}, {first_r['high']:.3f}]" in said
    beside = told["tokenizers"]["first"]["r_beside_first"]["mean"]
    assert beside == pytest.approx(first_r["mean"] - run_r["mean"]) and "r beside run" in said
    assert f"{beside:+.3f}" in said
    assert "16 rows of 4 windows of 6 s at 50 Hz, 2 recordings" in said
    for line in ("error, delta (dB)", "level 3: r, used, perplexity", "noise 0 dB: codes kept, r", "shuffled codes: r"):
        assert line in said
    assert "note: first: RANDOM WEIGHTS" in said and f"written: {run.path}/judged.json" in said


def test_checkpoints_are_judged_on_a_store_that_is_named(made, tmp_path, capsys):
    file = tmp_path / "both.json"
    words = ("--store", made / "store", "--window-s", 6, "--windows", 3, "--sensors", 2, "--seed", 4, "--json", file)
    assert evaluate(made / "first", made / "second", *words) == 0
    told = json.loads(file.read_text())
    assert list(told["tokenizers"]) == ["first", "second"] and told["windows"]["seed"] == 4
    assert (told["windows"]["number"], told["windows"]["of"], told["windows"]["rows"]) == (3, 6, 6)
    said = capsys.readouterr().out
    assert "note: At most 2 sensors of each window, drawn by the seed 4." in said
    assert "note: second: Its checkpoint does not say which recordings" in said
    assert evaluate(made / "first", made / "second", *words) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["--recordings", "armeni/sub-2"], {"armeni/sub-2": 2}),
        (["--corpus", "armeni"], {"armeni/sub-0": 2, "armeni/sub-1": 2, "armeni/sub-2": 2}),
        (["--split-file", "split.json"], {"armeni/sub-1": 2}),
        (["--split-file", "split.json", "--split", "train"], {"armeni/sub-0": 2}),
    ],
)
def test_recordings_of_a_store_are_chosen(made, run, tmp_path, monkeypatch, words, keys):
    monkeypatch.chdir(tmp_path)
    RecordingSplit(train=("armeni/sub-0",), validation=("armeni/sub-1",)).save("split.json")
    # the run says how windows are cut, not which
    assert evaluate(run.path, "--store", made / "store", "--json", "found.json", *words) == 0
    facts = json.loads(Path("found.json").read_text())["windows"]
    assert facts["recordings"] == keys and facts["clip"] == 4.0
    assert not (run.path / "judged.json").exists()


def test_tokenizers_of_one_name_are_told_apart_by_their_folders(made, run, tmp_path):
    assert evaluate(run.path / "model", run.path, "--windows", 1, "--sensors", 1) == 0
    assert list(json.loads((run.path / "judged.json").read_text())["tokenizers"]) == ["model", "run"]
    for name in ("a", "b"):
        small_codec().save_pretrained(tmp_path / name / "model")
    words = ("--store", made / "store", "--window-s", 6, "--windows", 1, "--json", tmp_path / "found.json")
    assert evaluate(tmp_path / "a" / "model", tmp_path / "b" / "model", *words) == 0
    assert list(json.loads((tmp_path / "found.json").read_text())["tokenizers"]) == ["a/model", "b/model"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("{made}/first", "A checkpoint has no recordings to be judged on: name a store"),
        ("{made}/first --corpus armeni", "--corpus chooses from a store; name it, too"),
        ("{made}/first --store {made}/store --corpus omega", "--corpus omega: the store has armeni."),
        ("{made}/first --store {made}/store --recordings armeni/sub-9", "no recording 'armeni/sub-9'"),
        ("{made}/first --store {made}/store --corpus armeni --recordings armeni/sub-1", "give one of them"),
        ("{made}/first --store {made}/store", "as long as a window of 150 s"),
        ("{made}/first --store {made}/nowhere", "is no store"),
        ("{run} {run}", "A tokenizer is given twice"),
        ("{run} --context-s 5", "--context-s is for runs of pretrain, and"),
        ("{run} --k 5", "--k is for runs of finetune or probe, and"),
        ("{run} --windows 0", "At least one window"),
        ("{run} --window-s 0.1", "a token has 12 samples, and windows of 0.1 s have 5"),
        ("{run} {made}/third", "No such file or folder"),
        ("{made}/third", "is no run"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(made, run, capsys, words, sentence):
    assert evaluate(*words.format(made=made, run=run.path).split()) == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said
    assert not (run.path / "judged.json").exists()


def test_a_run_without_a_codec_or_a_split_says_so(run, capsys):
    (run.path / SPLIT).unlink()
    assert evaluate(run.path) == 2
    assert "has no split yet" in capsys.readouterr().err
    (run.path / "model").rename(run.path / "other")
    assert evaluate(run.path) == 2
    assert "has no checkpoint yet" in capsys.readouterr().err


def test_numbers_of_training_recordings_do_not_stay_in_the_run(run, capsys):
    assert evaluate(run.path, "--split", "train", "--windows", 1) == 0
    assert "written" not in capsys.readouterr().out and not (run.path / "judged.json").exists()
