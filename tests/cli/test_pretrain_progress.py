"""Lines before the first step: each names its corpus, none is said twice, and the first is there at once."""

from megxl.cli import pretrain_progress
from megxl.cli.pretrain_progress import PretrainLines


def test_who_encodes_is_said_before_the_first_recording_is_done(capsys):
    PretrainLines().encodes("camcan", 3)
    assert capsys.readouterr().err == "camcan: codes of 3 recordings: written where they lack\n"


def test_encoding_says_how_long_it_takes_by_the_pace_so_far(capsys, monkeypatch):
    times = iter([0.0, 100.0, 104.0, 120.0, 160.0])
    monkeypatch.setattr(pretrain_progress.time, "perf_counter", lambda: next(times))
    lines = PretrainLines()
    lines.encodes("camcan", 4)
    capsys.readouterr()
    lines.encoded(1, 4)  # after 4 s: too early for a line
    assert capsys.readouterr().err == ""
    lines.encoded(2, 4)
    assert capsys.readouterr().err == "camcan: codes of 2 of 4 pieces, about 20 s to go\n"
    lines.encoded(4, 4)
    assert capsys.readouterr().err == "camcan: codes of 4 of 4 pieces\n"


def test_what_is_said_of_preparing_names_the_corpus(capsys):
    lines = PretrainLines()
    lines.prepares("armeni", 2)
    assert capsys.readouterr().err == ""
    lines.waits(["armeni/sub-001"])
    assert capsys.readouterr().err.startswith("armeni: waiting for another process")
