"""The commands of the documentation run, page after page, as a person would give them (`tests/docs_ways.py`: how)."""

from pathlib import Path

import pytest

from megxl.cli import main
from tests.docs_ways import BEFORE, ELSEWHERE, SCENES, smaller
from tests.docs_world import furnish
from tests.test_docs import TEXTS, commands_of


def run_here(page: str) -> list[str]:
    """Commands of a page that are run by this test."""
    return [command for command in commands_of(f"docs/{page}") if not command.startswith(tuple(ELSEWHERE))]


def test_every_page_with_commands_belongs_to_a_scene():
    shown = {page.removeprefix("docs/") for page in TEXTS if commands_of(page)}
    assert shown - {page for pages in SCENES.values() for page in pages} == {"log.md"}  # what was done once


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
def test_commands_run_one_after_the_other(scene, tmp_path, mini, shared, monkeypatch):
    pytest.importorskip("wordllama")
    monkeypatch.chdir(furnish(tmp_path, mini, shared))
    monkeypatch.syspath_prepend(str(tmp_path))  # PYTHONPATH=. of one's own corpus
    for command in (*BEFORE.get(scene, ()), *(one for page in SCENES[scene] for one in run_here(page))):
        assert main(smaller(command, Path())) == 0, command
