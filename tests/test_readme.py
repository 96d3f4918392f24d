"""The README's commands and blocks run (`tests/readme_ways.py` says how), and its tables say what stands elsewhere."""

import re
import runpy
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from megxl.checkpoints.released import write_released
from megxl.cli import COMMANDS, main
from megxl.corpora.corpus import corpus_named
from megxl.corpora.fetching.origins import ORIGINS
from tests.brainstorm import test_evaluation_commands as published_words
from tests.readme_ways import ELSEWHERE, FEW_SENSORS, MINIATURES, OWN, PRETRAINING, PUBLISHED_WORDS
from tests.small import small_model

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
ALONE = re.compile(r"`megxl ([a-z][a-z-]+)`")


def blocks(language: str) -> list[str]:
    """Code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def section(heading: str) -> str:
    """What stands below a heading of the second level."""
    return TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def table(heading: str) -> list[list[str]]:
    """Rows of the table below a heading, without its head."""
    lines = [line.strip("| ") for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split(" | ")] for line in lines[2:]]


def commands() -> list[str]:
    """Commands of shell blocks, lines that go on joined, and those in running text that are more than a name."""
    lines = [line for block in blocks("bash") for line in re.sub(r" *\\\n *", " ", block).splitlines()]
    prose = TEXT.replace(section("What was measured"), "")  # a test of its own looks at these
    prose = re.sub(r"```.*?```", "", prose, flags=re.DOTALL)
    inline = re.findall(r"`((?:megxl|make|python|pip) [^`]+)`", prose)
    return lines + [one for one in inline if not ALONE.fullmatch(f"`{one}`")]


def test_every_command_is_in_a_table_and_every_row_in_the_readme():
    assert set(commands()) == {*OWN, PRETRAINING, *PUBLISHED_WORDS, *ELSEWHERE}
    assert not re.search(r"^    megxl|^    python|```(?!bash|python|\n)", TEXT, re.MULTILINE)


def test_commands_that_are_named_alone_exist():
    named = set(ALONE.findall(TEXT))
    assert len(named) > 15 and named <= set(COMMANDS)


def run_block(block: str) -> dict:
    """Run a block as a program of its own would; returns its names."""
    names = {"__name__": "__main__"}
    exec(compile(block, "README.md", "exec"), names)
    return names


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A working directory with the files that the README names; weights are random and small."""
    place = tmp_path_factory.mktemp("readme")
    torch.manual_seed(0)
    model = small_model()
    write_released(place / "meg-xl-med.ckpt", model.to_checkpoint())
    write_released(place / "brainstorm/neuro_tokenizers/biocodec_ckpt.pt", model.tokenizer.to_checkpoint())
    new = place / "new"
    assert main(["simulate", str(new), "--corpus", "bids", "--minutes", "0.5", *FEW_SENSORS.split()]) == 0
    for kind, name in (("meg.fif", "sub-01_meg.fif"), ("events.tsv", "sub-01_words.tsv")):
        (made,) = new.glob(f"sub-01/**/*_{kind}")
        shutil.copy(made, place / name)
    return place


@pytest.mark.slow
def test_commands_on_your_own_data_run(folder, monkeypatch):
    pytest.importorskip("wordllama")
    monkeypatch.chdir(folder)
    for command, way in OWN.items():
        assert main(way.words(command)[1:]) == 0, command
        assert all((folder / made).exists() for made in way.makes), command


def test_your_own_recording_is_embedded_from_python(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (block,) = (block for block in blocks("python") if "embed" in block)
    names = run_block(block)
    assert names["embedding"].features.shape == (24, 125, 64) and len(names["embedding"].times_s) == 125


@pytest.fixture
def checkout(golden, tmp_path, monkeypatch) -> Path:
    """A working directory with the golden checkpoints where the published README has the released ones."""
    (tmp_path / "brainstorm/neuro_tokenizers").mkdir(parents=True)
    (tmp_path / "meg-xl-med.ckpt").symlink_to(golden.model)
    (tmp_path / "brainstorm/neuro_tokenizers/biocodec_ckpt.pt").symlink_to(golden.codec)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_published_quick_start_runs(checkout, golden):
    (block,) = (block for block in blocks("python") if "brainstorm" in block)
    model = run_block(block)["model"].eval()
    with torch.no_grad():
        output = model(golden["meg"][:1], *(one[:1] for one in golden.sensors), torch.ones(1, 20), apply_mask=False)
    assert (output["codes"] == golden["codes"][:1]).float().mean() > 0.99


@pytest.mark.slow
def test_the_published_pretraining_runs_on_the_miniature_corpora(checkout, mini, monkeypatch):
    script, *words = MINIATURES.words(PRETRAINING)[1:]
    monkeypatch.setattr(sys, "argv", [script, *(word.replace("{mini}", str(mini)) for word in words)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    assert not ended.value.code
    (run,) = (checkout / "checkpoints").iterdir()
    assert (run / "model").is_dir() and (run / "report.html").is_file()
    assert {"smn4lang", "mous", "camcan", "armeni", "meg_masc"} <= {
        one.name for one in (checkout / "data/cache").iterdir()
    }


@pytest.mark.parametrize("command", PUBLISHED_WORDS)
def test_published_word_commands_are_those_that_are_run(command):
    name = PUBLISHED_WORDS[command]
    module, corpus, _ = published_words.RUNS[name]
    assert shlex.split(command)[2:4] == [
        f"brainstorm.{module}", f"--config-name=eval_{module.removeprefix('evaluate_')}_{name}"
    ]  # fmt: skip
    assert corpus == name


@pytest.mark.parametrize("command", ELSEWHERE)
def test_a_command_that_is_run_elsewhere_is_there(command):
    place, said = ELSEWHERE[command]
    assert any(said in file.read_text() for file in ROOT.glob(place) if file.is_file())


def test_make_targets_and_optional_parts_exist():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {one.split()[1] for one in commands() if one.startswith("make ")} <= set(targets)
    parts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {part for said in re.findall(r"\.\[([a-z,]+)\]", TEXT) for part in said.split(",")} <= set(parts)


@pytest.mark.parametrize("row", table("What was measured"), ids=lambda row: row[0][:30])
def test_measured_numbers_stand_in_their_table_with_the_command(row):
    _, measured, source, again = row
    path = ROOT / re.findall(r"\((.+?)\)", source)[0]
    source = path.read_text()
    numbers = [number.rstrip(".,") for number in re.findall(r"\d[\d.,]*(?:e-?\d+)?", measured)]
    assert numbers and not [one for one in numbers if not re.search(rf"(?<![\d.,]){re.escape(one)}(?!\d|\.\d)", source)]
    told = " ".join((source + (ROOT / "benchmarks/README.md").read_text()).split())
    assert again.startswith("the commands stand") or again.strip("`") in told


@pytest.mark.parametrize("name", ORIGINS)
def test_a_corpus_has_its_page_licence_and_miniatures(name, mini):
    (row,) = (row for row in table("The corpora") if row[0].startswith(f"[`{name}`]"))
    corpus = corpus_named(name)
    assert f"({ORIGINS[name].page})" in row[0] and corpus.licence.partition(" (")[0] in row[1]
    assert row[1].startswith("open") == (ORIGINS[name].source is not None and not ORIGINS[name].needs)
    assert int(row[-1].split()[0]) == len(corpus.recordings(mini / name))
    assert (row[-2] == "none") == (not corpus.splits)


def heading_names(page: Path) -> set[str]:
    """Names by which links reach the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!http)[^)]+)\)", TEXT))))
def test_a_linked_page_exists(target):
    name, _, heading = target.partition("#")
    page = ROOT / (name or "README.md")
    assert page.is_file() and (not heading or heading in heading_names(page))
