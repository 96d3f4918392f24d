"""The command line as a whole: help that holds, exit codes, tracebacks, signals."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

import megxl
from megxl.cli import COMMANDS, _parser, main
from megxl.corpora.simulated import make_recording
from megxl.model.megxl import MEGXL
from megxl.sizes import PRESETS
from megxl.tokenizer.biocodec import BioCodec


def test_the_help_is_the_table_of_contents(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"    {name} " in said for name in COMMANDS) and "examples:" in said
    assert main([]) == 0 and capsys.readouterr().out == said


@pytest.mark.parametrize("words", [*([name] for name in COMMANDS), ["bench", "model"], []], ids=" ".join)
def test_every_help_has_examples_that_its_command_takes(capsys, words):
    assert main([*words, "--help"]) == 0
    said = capsys.readouterr().out
    lines = [line.strip() for line in said.split("examples:")[1].splitlines() if line.startswith("  megxl ")]
    assert lines and ("--debug" in said) == (len(words) == 1)
    for line in lines:
        example = shlex.split(re.split(r"\s{2,}", line)[0])[1:]  # what is said of it stands two spaces further
        assert example[: len(words)] == words
        assert _parser(example[0]).parse_args(example).command == example[0]


def test_help_and_version_load_nothing_heavy():
    script = (
        "import sys; from megxl.cli import main; main(['--help']); main(['--version']); main(['embed', '--help']);"
        "sys.exit(bool({'torch', 'mne', 'matplotlib', 'rich', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL).returncode == 0


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"megxl {megxl.__version__}\n"


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "megxl", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"megxl {megxl.__version__}\n")


def test_an_unknown_command_gets_a_suggestion(capsys):
    assert main(["embde", "x.fif"]) == 2
    said = capsys.readouterr().err
    assert said == "megxl: error: there is no command 'embde'; did you mean 'embed'?; see megxl --help.\n"
    assert main(["xyzzy"]) == 2 and "did you mean" not in capsys.readouterr().err


def test_a_wrong_option_ends_with_2(capsys):
    assert main(["info", "--colour"]) == 2
    assert "usage: megxl info" in capsys.readouterr().err


def test_a_misspelt_option_shows_the_usage_of_its_command(capsys):
    assert main(["embed", "a.fif", "--model", "m", "--out", "f", "--lyer", "3"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("usage: megxl embed ") and "unrecognized arguments: --lyer 3" in said
    assert main(["embed", "a.fif", "--mdel", "m", "--out", "f"]) == 2
    assert capsys.readouterr().err.startswith("usage: megxl embed ")


def test_a_gpu_without_room_gets_a_sentence_with_advice(monkeypatch, capsys):
    def fill_it(_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("megxl.cli.info.run", fill_it)
    assert main(["info", "x"]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("--dtype bfloat16", "--window", "--device cpu")) and said.count("\n") == 1
    with pytest.raises(torch.cuda.OutOfMemoryError):
        main(["info", "x", "--debug"])


def test_other_errors_of_a_program_are_not_hidden(monkeypatch):
    def fail(_):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("megxl.cli.info.run", fail)
    with pytest.raises(RuntimeError, match="mistake of ours"):
        main(["info", "x"])


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(megxl.errors.InputError, match="does not exist"):
        main(["info", str(tmp_path / "nothing.fif"), "--debug"])


def test_signals_are_handled_only_while_a_command_runs(tmp_path, capsys):
    before, codes = signal.getsignal(signal.SIGTERM), []
    words = ["info", str(tmp_path / "nothing.fif")]
    codes.append(main(words))
    elsewhere = threading.Thread(target=lambda: codes.append(main(words)))  # where no signal can be handled
    elsewhere.start()
    elsewhere.join()
    assert codes == [2, 2] and signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_it_and_nothing_half_written_is_left(tmp_path, number, code):
    make_recording(120).save(tmp_path / "long_raw.fif", verbose="ERROR")
    model = MEGXL(PRESETS["med"], BioCodec()).save_pretrained(tmp_path / "model")
    (tmp_path / "out").mkdir()
    arguments = [sys.executable, "-m", "megxl", "embed", tmp_path / "long_raw.fif", "--model", model, "--out"]
    arguments.append(tmp_path / "out" / "features.npz")
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert process.stderr is not None
    assert "preparing" in process.stderr.readline()
    time.sleep(1.0)  # in the middle of embedding
    assert any(path.name.endswith(".partial") for path in (tmp_path / "out").iterdir())
    process.send_signal(number)
    assert "megxl: stopped" in process.stderr.read()
    assert process.wait() == code
    assert list((tmp_path / "out").iterdir()) == []
