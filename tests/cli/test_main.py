import os
import signal
import subprocess
import sys
import time

import pytest

import megxl
from megxl.cli import COMMANDS, main


def test_the_help_is_the_table_of_contents(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"    {name} " in said for name in COMMANDS) and "examples:" in said
    assert main([]) == 0 and capsys.readouterr().out == said


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples_in_its_help(capsys, command):
    assert main([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert "--debug" in said
    # a command of commands shows the examples with each of them
    assert f"megxl {command}" in said and ("examples:" in said or "WHAT" in said)


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


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(megxl.errors.InputError, match="does not exist"):
        main(["info", str(tmp_path / "nothing.fif"), "--debug"])


@pytest.mark.slow
def test_the_keyboard_stops_it_with_130_and_nothing_half_written(tmp_path):
    arguments = [sys.executable, "-m", "megxl", "demo", "--out", tmp_path / "demo", "--seconds", "120"]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert process.stderr is not None
    assert "preparing" in process.stderr.readline()
    time.sleep(1.0)  # in the middle of embedding
    process.send_signal(signal.SIGINT)
    assert "megxl: stopped" in process.stderr.read()
    assert process.wait() == 130
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["simulated_raw.fif"]
