"""`megxl simulate`: a corpus by one command, with sentences for what cannot be."""

import json

import numpy as np
import pytest

from megxl.cli import main
from megxl.corpora.corpus import corpus_named
from megxl.corpora.simulation.story import vocabulary


def test_the_command_makes_a_corpus_and_says_so(tmp_path, capsys):
    out = tmp_path / "here"
    words = ["simulate", str(out), "--corpus", "smn4lang", "--minutes", "0.3", "--runs", "2", "--snr", "0.5"]
    assert main([*words, "--seed", "4", "--words-per-minute", "120"]) == 0
    said = capsys.readouterr()
    assert "2 (0.01 h, 306 sensors)" in said.out and "0.5 (power" in said.out and "ground_truth" in said.out
    assert "2 of 2 recordings" in said.err
    files = corpus_named("smn4lang").select(out)
    assert [file.run for file in files] == ["run-1", "run-2"]
    (first, _) = json.loads((out / "ground_truth" / "simulation.json").read_text())["recordings"]
    assert (first["seed"], first["snr"], first["words_per_minute"], first["sfreq_hz"]) == (4, 0.5, 120.0, 1000.0)


def test_an_older_simulation_is_replaced_only_with_leave(tmp_path, capsys):
    words = ["simulate", str(tmp_path / "here"), "--corpus", "recipe", "--minutes", "1"]
    assert main(words) == 0
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--corpus", "librebrain"], "Nothing can be simulated as 'librebrain'; did you mean 'libribrain'?"),
        (["--corpus", "recipe", "--snr", "-1"], "snr = -1.0; allowed: a number from 0"),
        (["--corpus", "recipe", "--minutes", "1e9"], "minutes = 1000000000.0; allowed: a number from 0.01 to 1440"),
        (["--corpus", "recipe", "--vectors", "no.npz"], "no.npz cannot be read as meaning vectors"),
        (["--corpus", "libribrain", "--sfreq", "1000"], "libribrain are at 250 Hz"),
        (["--corpus", "libribrain", "--sessions", "0"], "at least one of each"),
        (["--corpus", "armeni"], "armeni cannot be written from nothing: give a CTF recording (a folder *.ds)"),
        (["--corpus", "meg_masc", "--template", "no.con"], "no.con does not exist"),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(tmp_path, capsys, more, said):
    assert main(["simulate", str(tmp_path / "here"), *more]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_template_gives_the_sensors_and_the_rate(tmp_path, capsys, shared):
    template = shared / "realdata" / "meg_kit" / "test_old_5s_kit157.sqd"
    words = ["simulate", str(tmp_path / "here"), "--corpus", "meg_masc", "--minutes", "0.2", "--sessions", "2"]
    assert main([*words, "--template", str(template)]) == 0
    assert "157 sensors" in capsys.readouterr().out
    assert [file.session for file in corpus_named("meg_masc").select(tmp_path / "here")] == ["ses-0", "ses-1"]
    facts = json.loads((tmp_path / "here" / "ground_truth" / "simulation.json").read_text())["recordings"]
    assert [one["sfreq_hz"] for one in facts] == [1000.0] * 2 and facts[0]["system"] == template.name


def test_vectors_of_ones_own(tmp_path):
    words = vocabulary()
    np.savez(tmp_path / "v.npz", word_W=np.array(words), vector_WD=np.eye(len(words), 5))
    out = tmp_path / "here"
    command = ["simulate", str(out), "--corpus", "recipe", "--minutes", "1", "--vectors", str(tmp_path / "v.npz")]
    assert main(command) == 0
    assert np.load(out / "ground_truth" / "sub-01.npz")["weight_JMD"].shape[2] == 5


def test_vectors_of_an_encoder(tmp_path):
    pytest.importorskip("wordllama")
    from megxl.decoding.targets import open_encoder

    out = tmp_path / "here"
    command = ["simulate", str(out), "--corpus", "recipe", "--minutes", "1", "--vectors", "wordllama"]
    assert main(command) == 0
    with np.load(out / "ground_truth" / "words.npz") as table:
        words, vectors_WD = table["word_W"].tolist(), table["vector_WD"]
    assert set(words) == set(vocabulary())
    np.testing.assert_array_equal(vectors_WD, open_encoder("wordllama").encode(words).numpy())
