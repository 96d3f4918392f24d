"""The commands of the documentation run, page after page, as a person would give them (`tests/docs_ways.py`: how)."""

import re
from pathlib import Path

import pytest

from megxl.cli import main
from tests.docs_ways import BEFORE, ELSEWHERE, SCENES, shorter, smaller
from tests.docs_world import furnish
from tests.test_docs import ROOT, TEXTS, commands, commands_of

RUNS = {
    "tokenizers": {"runs/codec": "tokenizers.md"},
    "models": {"runs/first": "pretraining.md", "runs/words": "decoding.md"},
}
"""Runs at the end of a scene, and the pages that say what files they hold."""


def run_here(page: str) -> list[str]:
    """Commands of a page that are run by this test."""
    return [command for command in commands_of(f"docs/{page}") if not command.startswith(tuple(ELSEWHERE))]


@pytest.mark.parametrize("command", ELSEWHERE)
def test_what_is_run_elsewhere_is_on_a_page_and_there(command):
    assert any(said.startswith(command) for said in commands())
    assert (ROOT / ELSEWHERE[command]).exists()


def test_every_page_with_commands_belongs_to_a_scene():
    shown = {page.removeprefix("docs/") for page in TEXTS if commands_of(page)}
    assert shown - {page for pages in SCENES.values() for page in pages} == {"log.md"}  # what was done once


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
def test_commands_run_one_after_the_other(scene, tmp_path, mini, shared, monkeypatch):
    pytest.importorskip("wordllama")
    monkeypatch.chdir(furnish(tmp_path, mini, shared))
    monkeypatch.syspath_prepend(str(tmp_path))  # PYTHONPATH=. of one's own corpus
    told = [*BEFORE.get(scene, ()), *(one for page in SCENES[scene] for one in run_here(page))]
    for command in dict.fromkeys(map(shorter, told)):
        assert main(smaller(command, Path())) == 0, command
    for run, page in RUNS.get(scene, {}).items():
        assert files_told(f"docs/{page}") <= {path.relative_to(run).as_posix() for path in Path(run).rglob("*")}


def files_told(page: str) -> set[str]:
    """Files of a run that stand in the page's table of them."""
    table = TEXTS[page].partition("| file | what |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    names = {name.strip("/") for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    assert {"report.html", "config.yaml", "status.json", "model"} <= names
    # of a run that another way has replaced; of more steps than two
    return names - {"last.ckpt", "step-*.ckpt"} - {"judged.json", "metrics.csv"}
