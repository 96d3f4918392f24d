"""`megxl decode`: a table and a page from one command, and one clear sentence for what cannot be meant."""

import csv

import pytest

from megxl.checkpoints.folder import write_checkpoint
from megxl.cli import main
from megxl.data.channels import sensor_labels
from megxl.decoding.decoder_files import write_decoder
from megxl.decoding.retrieval import scores
from megxl.signals.sensors import SensorArray
from tests.decoding.small_decoder import small_decoder
from tests.small import short_recording, small_model

WORDS = "onset\tduration\tword\n1.0\t0.2\tthe\n2.0\t0.2\tZebra\n3.0\t0.2\tdoor\n5.8\t0.2\tnight\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A recording with words beside it, and the model of a run that knows its sensors."""
    folder = tmp_path_factory.mktemp("decode")
    raw = short_recording(6.0)
    raw.save(folder / "story_raw.fif", verbose="ERROR")
    (folder / "words.tsv").write_text(WORDS)
    (folder / "empty.tsv").write_text("onset\tword\n")
    (folder / "late.tsv").write_text("onset\tword\n60\tthe\n")
    sensors = SensorArray.from_info(raw.info)
    order = SensorArray(
        names=sensor_labels(sensors),
        positions_C3=sensors.positions_C3,
        orientations_C3=sensors.orientations_C3,
        kinds_C=sensors.kinds_C,
    )
    write_decoder(folder / "run" / "model", small_decoder(order))
    write_checkpoint(folder / "pretrained" / "model", small_model().to_checkpoint())
    (folder / "unfinished").mkdir()
    (folder / "unfinished" / "config.yaml").write_text("seed: 1\n")
    (folder / "other").mkdir()
    return folder


def decode(place, *more: str, words: str = "words.tsv", model: str = "run") -> int:
    events = words if words in ("annotations", "triggers", "stored") else str(place / words)
    return main(["decode", str(place / "story_raw.fif"), "--words", events, "--model", str(place / model), *more])


def test_a_table_and_a_page_are_written_and_the_rest_is_said(place, tmp_path, capsys):
    out, page = tmp_path / "w.tsv", tmp_path / "w.html"
    assert decode(place, "--out", str(out), "--report", str(page), "--top", "3") == 0
    rows = list(csv.DictReader(out.open(), delimiter="\t"))
    assert [row["word"] for row in rows] == ["the", "Zebra", "door", "night"]
    assert [bool(row["candidate_3"]) for row in rows] == [True, True, True, False] and "candidate_4" not in rows[0]
    assert "Words of story_raw" in page.read_text()
    said = capsys.readouterr().out
    assert "!! RANDOM WEIGHTS" in said
    assert "words    3 of 4 decoded" in said
    assert "Balanced top-10 among 12 words" in said and "only 2 words: take the shares as rough" in said
    assert "1 of 4 words were not decoded" in said


def test_without_a_place_to_write_the_words_are_printed(place, capsys):
    assert decode(place, "--top", "2", model="run/model") == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    (second,) = [line for line in lines if line.startswith("2.00 s")]
    assert second.count("(") == 2 and "Zebra: " in second
    (last,) = [line for line in lines if line.startswith("5.80 s")]
    assert last.endswith("night: its window leaves the recording")


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("nowhere", "nowhere does not exist: give the folder of a run; megxl finetune and megxl probe make decoders"),
        (
            "pretrained",
            "a model that was pre-trained names no words; megxl finetune and megxl probe make decoders of it",
        ),
        ("pretrained/model", "a model that was pre-trained names no words"),
        ("unfinished", "the run has no model yet"),
        ("other", "holds no decoder of words; megxl finetune and megxl probe make decoders"),
        ("words.tsv", "holds no decoder of words"),
    ],
)
def test_what_is_no_decoder_is_told_apart(place, capsys, model, problem):
    assert decode(place, model=model) == 2
    said = capsys.readouterr().err
    assert problem in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "more", "problem"),
    [
        ("empty.tsv", (), "empty.tsv has a line of names, but no row"),
        ("late.tsv", (), "late.tsv: all 1 onsets (60.00 to 60.00 s) lie outside the recording of 6.00 s"),
        ("nowhere.tsv", (), "nowhere.tsv does not exist; allowed: a table with onsets"),
        ("stored", (), "--words stored is for a recording of a store"),
        ("annotations", (), "No annotation fits 'word/*'"),
        ("words.tsv", ("--set", "onset_colum=x"), "--set onset_colum: no option of how words are written"),
        ("words.tsv", ("--exclude", "MEG 9999"), "1 channel to exclude is not in the recording"),
        ("words.tsv", ("--top", "0"), "--top 0: at least one candidate a word"),
        ("words.tsv", ("--out", "words.csv"), "give it a name that ends in .tsv"),
        ("words.tsv", ("--report", "words.txt"), "ends in .html"),
        ("words.tsv", ("--device", "abacus"), "--device abacus is not known"),
    ],
)
def test_what_cannot_be_meant_gets_one_sentence(place, capsys, words, more, problem):
    assert decode(place, *more, words=words) == 2
    said = capsys.readouterr().err
    assert problem in said and "Traceback" not in said


def test_older_output_is_replaced_only_if_told(place, tmp_path, capsys):
    out = tmp_path / "w.tsv"
    out.write_text("mine")
    assert decode(place, "--out", str(out)) == 2
    said = capsys.readouterr().err
    assert "exists already" in said and "decoding" not in said  # before the long work
    assert out.read_text() == "mine"
    assert decode(place, "--out", str(out), "--overwrite") == 0
    assert out.read_text().startswith("onset_s")


@pytest.mark.slow
def test_a_run_s_own_recordings_give_the_numbers_of_its_predictions(tmp_path, capsys):
    pytest.importorskip("lightning.pytorch")
    pytest.importorskip("wordllama")
    from megxl.decoding.predictions import read_predictions
    from megxl.training.words.engine import decode_words
    from tests.training.words.small_words import make_backbone, make_word_store, words_config

    store = make_word_store(tmp_path, subjects=1, sessions=2)
    make_backbone(tmp_path)
    run = decode_words(words_config(store, training__num_epochs=1, logging__tensorboard=False))
    predictions = read_predictions(run.path / "predictions" / "test")
    told = predictions.occurrences
    places = zip(told.recordings, (round(onset_s, 4) for onset_s in told.onsets_s), strict=True)
    expected = dict(zip(places, scores(predictions), strict=True))
    compared = 0
    for key in dict.fromkeys(told.recordings):
        arguments = ["--words", "stored", "--model", str(run.path), "--top", "1000", "--out", str(tmp_path / "w.tsv")]
        assert main(["decode", str(store / key), *arguments, "--overwrite"]) == 0
        for row in csv.DictReader((tmp_path / "w.tsv").open(), delimiter="\t"):
            scores_V = expected.get((key, float(row["onset_s"])))
            if scores_V is not None:
                named = {row[f"candidate_{n}"]: float(row[f"score_{n}"]) for n in range(1, len(scores_V) + 1)}
                assert [named[word] for word in predictions.vocabulary] == pytest.approx(list(scores_V), abs=1e-4)
                compared += 1
    assert compared == len(told) > 10
    assert "THE DECODER WAS TRAINED ON THIS RECORDING" in capsys.readouterr().out
