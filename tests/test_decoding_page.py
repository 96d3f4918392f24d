"""Every command on the page on word decoding, and of the README's, is one that megxl takes; nothing is trained here."""

import importlib
import re
import shlex
import sys
from pathlib import Path

import pytest

from megxl.cli import _parser
from megxl.training.configuring import compose
from megxl.training.sweep import Sweep, given_by
from megxl.training.words.config import WordsConfig
from megxl.training.words.table1 import cell_named

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "decoding.md"
TEXT = PAGE.read_text()
README = (ROOT / "README.md").read_text()
TRAINING = ("finetune", "probe")


def commands(text: str, program: str) -> list[str]:
    """Commands in indented blocks and in running text, lines that go on joined."""
    lines = text.replace("\\\n", " ").splitlines()
    blocks = [line.strip() for line in lines if re.match(rf"    {program} ", line)]
    return blocks + re.findall(rf"`({program} [^`]+)`", text)


MEGXL = [one for one in dict.fromkeys(commands(TEXT, "megxl") + commands(README, "megxl")) if "..." not in one]
PUBLISHED = dict.fromkeys(commands(TEXT, "python -m") + commands(README, "python -m"))


@pytest.mark.parametrize("command", MEGXL)
def test_a_command_is_parsed_and_composed(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)[1:]
    if words[1:] in ([], ["--help"]):  # its help
        return
    args = _parser(words[0]).parse_args(words)
    if words[0] in TRAINING:
        name, given = args.config_name or words[0], given_by(words[0])
        if args.multirun:
            assert len(Sweep.of(name, args.overrides, words[0]).combinations) > 1
        elif not any(word.startswith("resume=") for word in args.overrides):  # builds on the run that goes on
            assert compose(name, args.overrides, schema=WordsConfig, given=given).command == words[0]
    if words[:2] == ["reproduce", "table1"]:
        cells = [cell_named(cell) for cell in args.cell or ["armeni_13"]]
        compose(cells[0].config_name, args.overrides, schema=WordsConfig, given=given_by("finetune"))


def test_all_commands_were_found():
    for page, least in ((TEXT, 20), (README, 5)):
        own = [one for one in commands(page, "megxl") if one in MEGXL]
        assert len(own) >= least
    assert {one.split()[1] for one in commands(TEXT, "megxl")} >= {
        *TRAINING,
        "evaluate",
        "report",
        "decode",
        "reproduce",
    }
    assert len(PUBLISHED) >= 2


@pytest.mark.parametrize("command", PUBLISHED)
def test_a_published_command_reaches_training(command, monkeypatch):
    module, *words = shlex.split(command)[2:]
    configs = []
    monkeypatch.setattr(sys, "argv", [module, *words])
    kind = "probe" if "linear_probe" in module else "finetune"
    cli = importlib.import_module(f"megxl.cli.{kind}")
    monkeypatch.setattr(cli, "decode_words", lambda config, **_: configs.append(config))
    monkeypatch.setattr(cli, "say_result", lambda _: None)
    assert importlib.import_module(module).main() == 0
    (config,) = configs
    assert config.command == kind and config.data.protocol_name == "published"
    assert config.model.criss_cross_checkpoint == "meg-xl-med.ckpt" and "path" not in str(config.data.root)


def test_keys_and_values_of_the_page_exist():
    plain = compose("finetune", ["corpus=armeni"], schema=WordsConfig, given=given_by("finetune")).to_dict()
    sections = "|".join(name for name, value in plain.items() if isinstance(value, dict))
    keys = re.findall(rf"\b({sections})\.([a-z_0-9]+)=", TEXT) + re.findall(rf"`({sections})\.([a-z_0-9]+)`", TEXT)
    assert len(keys) >= 20
    assert not [f"{section}.{name}" for section, name in keys if name not in plain[section]]
    for column, key in (
        ("`control=`", "control"),
        ("`model.head`", "model.head"),
        ("`data.protocol=`", "data.protocol"),
    ):
        table = TEXT.partition(f"| {column} |")[2].partition("\n\n")[0]
        values = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
        assert len(values) >= 3
        for value in values:
            compose("finetune", ["corpus=armeni", f"{key}={value}"], schema=WordsConfig, given=given_by("finetune"))


def test_the_python_block_names_what_there_is():
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    compile(block, str(PAGE), "exec")
    from megxl.data.batch import Batch
    from megxl.decoding.building import DecoderSpec
    from megxl.decoding.saved_decoder import SavedDecoder

    fields = SavedDecoder.__dataclass_fields__
    assert all(name in fields for name in re.findall(r"saved\.(\w+)", block))
    assert all(hasattr(Batch, name) for name in ("padded", "normalized")) and hasattr(DecoderSpec, "rows")


def test_linked_pages_exist():
    for target in re.findall(r"\]\(((?!http|#)[^)]+)\)", TEXT):
        assert (PAGE.parent / target).exists(), target
