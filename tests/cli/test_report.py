"""`megxl report`: where the page of a run is and what it says, and a sentence for what is no run."""

import shutil

import pytest

pytest.importorskip("lightning.pytorch")

from megxl.cli import main
from megxl.training.engine import pretrain
from megxl.training.runs import Run
from tests.reporting.words.small_run import make_run
from tests.training.small_run import make_codec, make_store, small_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("trained")
    make_store(folder)
    make_codec(folder)
    return pretrain(small_config(folder, training__num_epochs=1))


def test_the_page_is_written_and_its_verdict_printed(trained, tmp_path, capsys):
    path = shutil.copytree(trained.path, tmp_path / "run")
    assert main(["report", str(path), "--windows", "1", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert str(path / "report.html") in out and "guesser" in out and "finished at step" in out
    assert "better guesser" in (path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("what", ["nothing", "folder", "file"])
def test_what_is_no_run_is_told_in_one_sentence(tmp_path, capsys, what):
    path = tmp_path / "some"
    if what == "folder":
        path.mkdir()
    if what == "file":
        path.write_text("hello")
    assert main(["report", str(path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("megxl: error: ") and err.count("\n") == 1 and str(path) in err and "megxl pretrain" in err
    assert not (path / "report.html").exists()


def test_no_window_is_refused(trained, capsys):
    assert main(["report", str(trained.path), "--windows", "0"]) == 2
    assert "--windows 0" in capsys.readouterr().err


def test_a_decoder_of_words_has_its_own_page_beside_other_runs(tmp_path, capsys):
    run, other = make_run(tmp_path), make_run(tmp_path, name="noise", noise=30.0, control="noise")
    assert main(["report", str(run.path), "--beside", str(other.path), "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "a decoder of words" in out and "above both" in out and str(run.path / "report.html") in out
    assert "noise (control: noise)" in (run.path / "report.html").read_text(encoding="utf-8")


def test_a_control_at_chance_is_told_and_not_praised(tmp_path, capsys):
    run = make_run(tmp_path, noise=300.0, control="noise")
    assert main(["report", str(run.path), "--device", "cpu"]) == 0
    assert "not shown to be better" in capsys.readouterr().out


def test_a_decoder_without_predictions_yet_has_a_page(tmp_path, capsys):
    run = make_run(tmp_path)
    shutil.rmtree(run.path / "predictions")
    assert main(["report", str(run.path), "--device", "cpu"]) == 0
    assert "no predictions" in capsys.readouterr().out and (run.path / "report.html").exists()


def test_only_decoders_of_words_stand_beside_each_other(trained, tmp_path, capsys):
    words = make_run(tmp_path)
    assert main(["report", str(trained.path), "--beside", str(words.path)]) == 2
    assert "--beside compares decoders of words or tokenizers" in capsys.readouterr().err
    assert main(["report", str(words.path), "--beside", str(trained.path), "--device", "cpu"]) == 2
    assert "megxl pretrain" in capsys.readouterr().err
