"""`megxl fetch`: licence and size before anything comes, steps where access is asked for, exit codes."""

import hashlib
import json

import pytest

from megxl.cli import main
from megxl.corpora.corpus import corpus_named
from megxl.corpora.fetching import origins
from megxl.corpora.fetching.remote import RemoteFile
from megxl.corpora.fetching.selection import Choice
from tests.corpora.fetching.server import FIF, hosted

FILES = {
    "README": b"about",
    "sub-01/meg/sub-01_task-RDR_run-1_meg.fif": FIF + b"1" * 50_000,
    "sub-02/meg/sub-02_task-RDR_run-1_meg.fif": FIF + b"2" * 30_000,
    "sub-01/anat/t1.nii.gz": b"\x1f\x8b",
}


@pytest.fixture
def published(monkeypatch):
    """SMN4Lang on a server of this machine; the command, the choice and the download are the real ones."""
    with hosted(FILES) as state:

        class Local(origins.HttpSource):
            def list(self, descend):
                return [
                    RemoteFile(path=path, url=f"{state.url}/{path}", size=len(content), **state.announced.get(path, {}))
                    for path, content in FILES.items()
                ]

        monkeypatch.setattr(origins.OpenNeuro, "list", Local.list)
        yield state


def fetch(*arguments):
    return main(["fetch", *map(str, arguments)])


def test_the_size_and_the_licence_come_first_and_a_dry_run_fetches_nothing(published, tmp_path, capsys):
    assert fetch("smn4lang", tmp_path / "data", "--dry-run") == 0
    said = capsys.readouterr().out
    assert f"licence  {corpus_named('smn4lang').licence}" in said and "OpenNeuro (ds004078)" in said
    assert "3 files, 80 kB" in said and "sub-02     1 file, 30 kB" in said and "none: checked by size alone" in said
    assert not published.requests and not (tmp_path / "data").exists()


def test_a_corpus_comes_without_its_anatomy_and_its_licence_is_written_down(published, tmp_path, capsys):
    root = tmp_path / "data"
    assert fetch("smn4lang", root, "--yes") == 0
    said = capsys.readouterr().out
    assert "complete: 3 files checked by size alone, the source tells no checksums; " in said
    assert f"next: megxl prepare smn4lang {root}" in said and "verified" not in said
    kept = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert kept == set(FILES) - {"sub-01/anat/t1.nii.gz"} | {".megxl-fetch.json", ".megxl-fetch.json.lock"}
    manifest = json.loads((root / ".megxl-fetch.json").read_text())
    assert manifest["licence"] == corpus_named("smn4lang").licence and manifest["corpus"] == "smn4lang"
    assert manifest["source"] == "OpenNeuro (ds004078)" and len(manifest["files"]) == 3
    assert fetch("smn4lang", root) == 0 and len(published.requests) == 3


def test_what_a_checksum_has_verified_is_told_from_the_rest(published, tmp_path, capsys):
    def announce(names):
        sums = {name: hashlib.sha256(FILES[name]).hexdigest() for name in names}
        published.announced = {name: {"checksum": told, "algorithm": "sha256"} for name, told in sums.items()}

    announce(["README"])
    assert fetch("smn4lang", tmp_path, "--yes") == 0
    said = capsys.readouterr().out
    assert "checksums  of 1 file; the others" in said
    assert "complete: 1 file verified by checksum, 2 checked by size alone;" in said
    announce(FILES)
    assert fetch("smn4lang", tmp_path / "other", "--yes") == 0
    said = capsys.readouterr().out
    assert "checksums  of all files" in said and "complete: 3 files verified by checksum;" in said


def test_readers_of_mous_are_told_how_to_get_words(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("RADBOUD_USERNAME", raising=False)
    fetch("mous", tmp_path)
    said = capsys.readouterr().out
    assert "readers, with words: --include 'sub-V*/meg/**'" in said
    choice = Choice(patterns=["sub-V*/meg/**"])
    assert choice.descend("sub-V1001/meg") and not choice.descend("sub-A2002")


def test_subjects_and_patterns_choose(published, tmp_path):
    assert fetch("smn4lang", tmp_path, "--yes", "--subjects", "sub-01", "--include", "sub-*/anat/**") == 0
    assert {path.name for path in tmp_path.rglob("*") if path.is_file() and path.name[0] != "."} == {
        "README",
        "t1.nii.gz",
    }


def test_without_a_terminal_consent_must_be_given(published, tmp_path, capsys):
    assert fetch("smn4lang", tmp_path) == 2
    assert "--yes accepts the licence" in capsys.readouterr().err and not published.requests


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("", 2), ("no", 2)])
def test_on_a_terminal_it_asks(published, tmp_path, monkeypatch, answer, code):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    questions = []
    monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or answer)
    assert fetch("smn4lang", tmp_path) == code
    assert questions[0].startswith("Download 80 kB under the licence 'CC0'") and bool(published.requests) == (code == 0)


def test_failures_are_listed_and_the_next_run_completes(published, tmp_path, capsys):
    name = "sub-02/meg/sub-02_task-RDR_run-1_meg.fif"
    published.files[name] = b"<html>log in</html>" + b" " * (len(FILES[name]) - 19)
    assert fetch("smn4lang", tmp_path, "--yes") == 1
    said = capsys.readouterr().out
    assert f"failed: {name}: a web page came in place of data" in said and "still to come: 1 file;" in said
    published.files[name] = FILES[name]
    assert fetch("smn4lang", tmp_path, "--yes") == 0 and (tmp_path / name).read_bytes() == FILES[name]


@pytest.mark.parametrize("corpus", ["camcan", "omega"])
def test_where_access_is_applied_for_the_steps_are_printed(tmp_path, capsys, corpus):
    assert fetch(corpus, tmp_path) == 1 and fetch(corpus, tmp_path, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "Access must be applied for" in said and "  2. " in said and corpus_named(corpus).layout in said
    assert list(tmp_path.iterdir()) == []


def test_where_an_account_is_needed_the_steps_are_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("RADBOUD_USERNAME", raising=False)
    monkeypatch.delenv("RADBOUD_PASSWORD", raising=False)
    assert fetch("schoffelen", tmp_path) == 1
    said = capsys.readouterr().out
    assert "RADBOUD_USERNAME and RADBOUD_PASSWORD not set" in said and "https://data.ru.nl" in said


def test_what_is_published_nowhere_is_refused(tmp_path, capsys):
    assert fetch("files", tmp_path) == 2
    assert "published nowhere that is known here" in capsys.readouterr().err
