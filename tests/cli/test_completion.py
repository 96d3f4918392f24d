"""Completion scripts, asked in real shells."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from megxl.cli import COMMANDS, main
from megxl.cli.completion_facts import all_commands
from megxl.cli.completion_scripts import SCRIPTS

ASK = """
source {script}
COMP_LINE={line}; COMP_POINT=${{#COMP_LINE}}
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_megxl megxl "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}" 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def commands():
    pytest.importorskip("lightning.pytorch")
    return all_commands()


@pytest.fixture(scope="module")
def scripts(commands, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    for shell, script in SCRIPTS.items():
        (folder / shell).write_text(script(commands))
    return folder


def shell(name: str, *arguments: str) -> str:
    """Output of a shell that is installed, else the test is skipped."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run([name, *arguments], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


def in_bash(scripts: Path, line: str) -> list[str]:
    """What bash would offer at the end of a line, whose words it splits at = too."""
    words = line.replace("=", " = ").split() + ([""] if line[-1] in " =" else [])
    ask = ASK.format(script=scripts / "bash", line=f"'{line}'", words=" ".join(f"'{word}'" for word in words))
    return shell("bash", "--norc", "-c", ask).split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("megxl em", ["embed"]),
        ("megxl --v", ["--version"]),
        ("megxl embed --pool", ["--pooling"]),
        ("megxl embed a.fif --pooling ", ["none", "sensor", "time"]),
        ("megxl embed a.fif --pooling s", ["sensor"]),
        ("megxl prepare li", ["libribrain"]),
        ("megxl fetch simul", []),  # published nowhere
        ("megxl simulate out --corpus rec", ["recipe"]),
        ("megxl fetch libribrain ", []),  # now a folder is wanted: bash offers files
        ("megxl embed ", []),
        ("megxl embed a.fif --out ", []),
        ("megxl completion z", ["zsh"]),
        ("megxl bench m", ["model"]),
        ("megxl pretrain mod", ["model=", "model."]),
        ("megxl pretrain model=ti", ["tiny"]),
        ("megxl pretrain run=x resume=a", ["auto"]),
        ("megxl pretrain -c training.learn", ["training.learning_rate="]),
        ("megxl pretrain run=", []),  # a folder
        ("megxl finetune --config-name eval_criss_cross_word_classification_arm",
         ["eval_criss_cross_word_classification_armeni"]),
    ],
)  # fmt: skip
def test_bash_offers(scripts, line, offered):
    assert in_bash(scripts, line) == offered


def test_bash_offers_all_commands_first(scripts):
    assert in_bash(scripts, "megxl ") == [*COMMANDS, "--help", "--version"]


def test_zsh_offers(scripts):
    ask = (
        f"compdef() {{ :; }}; compset() {{ :; }}; _files() {{ print files; }}\n"
        f'compadd() {{ print -r -- "$1" ${{(P)@[-1]}}; }}\nsource {scripts / "zsh"}\n'
        "ask() { words=($@); CURRENT=$#; PREFIX=$@[-1]; _megxl; }\n"
        "ask megxl em; ask megxl embed --pooling s; ask megxl pretrain model=ti; ask megxl embed ./x\n"
        "ask megxl pretrain training.learn; ask megxl embed --layer ''"
    )
    assert shell("zsh", "-f", "-c", ask).splitlines() == [
        "-a embed",
        "-a sensor",
        "-a model=tiny",
        "files",
        "-S training.learning_rate=",
    ]


def test_fish_offers(scripts):
    def offered(line: str) -> list[str]:
        return shell("fish", "--no-config", "-c", f"source {scripts / 'fish'}; complete -C '{line}'").split("\n")

    assert offered("megxl em")[0].split("\t") == ["embed", COMMANDS["embed"]]
    assert [line.split("\t")[0] for line in offered("megxl embed a.fif --pooling s")] == ["sensor", ""]
    assert "model=tiny" in offered("megxl pretrain model=t")
    assert any(line.startswith("--pooling") for line in offered("megxl embed --pool"))


def test_without_what_training_needs_the_rest_is_offered_and_the_lack_is_told(monkeypatch, capsys):
    from megxl.errors import InputError

    def lacking():
        raise InputError("Training needs Lightning: pip install 'megxl[train]'.")

    monkeypatch.setattr("megxl.cli.completion_facts._configured", lacking)
    assert main(["completion", "bash"]) == 0
    said = capsys.readouterr()
    assert "embed --pooling" in said.out and "model=tiny" not in said.out
    assert "keys of the commands that train are left out: Training needs Lightning" in said.err


def test_another_shell_is_refused_with_those_there_are(capsys):
    assert main(["completion", "tcsh"]) == 2
    assert "choose from" in (said := capsys.readouterr().err) and "fish" in said


def test_facts_hold_every_command_with_its_options(commands):
    assert [one.name for one in commands] == list(COMMANDS)
    assert all(any("--help" in option.names for option in one.options) for one in commands)


def test_the_script_is_text_alone(scripts):
    assert not os.access(scripts / "bash", os.X_OK) and "python" not in (scripts / "bash").read_text()
