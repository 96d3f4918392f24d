"""Fingerprints of source files: what counts as a change, what does not, and under which names."""

import hashlib
import os

import pytest

from megxl.errors import InputError
from megxl.store import changed, fingerprint


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "sub-1" / "a.ds" / "inner").mkdir(parents=True)
    (folder / "sub-1" / "a.ds" / "a.meg4").write_bytes(b"signal")
    (folder / "sub-1" / "a.ds" / "inner" / "a.xml").write_bytes(b"more")
    (folder / "events.tsv").write_bytes(b"words")
    return folder


def test_files_and_folders_are_told_relative_to_the_corpus(root):
    known = fingerprint([root / "events.tsv", root / "sub-1" / "a.ds"], root)
    assert list(known) == ["events.tsv", "sub-1/a.ds/a.meg4", "sub-1/a.ds/inner/a.xml"]
    assert known["events.tsv"]["sha256"] == hashlib.sha256(b"words").hexdigest()
    assert known["events.tsv"]["bytes"] == 5
    assert known["events.tsv"]["mtime_ns"] == (root / "events.tsv").stat().st_mtime_ns


def test_of_a_file_elsewhere_the_name_alone_is_told(root, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "words.csv").touch()
    assert list(fingerprint([tmp_path / "one" / "words.csv"], root)) == ["words.csv"]
    with pytest.raises(InputError, match=r"Two source files outside of the corpus are called words\.csv"):
        fingerprint([tmp_path / "one" / "words.csv", tmp_path / "two" / "words.csv"], root)


def test_a_file_named_twice_counts_once(root):
    assert len(fingerprint([root / "events.tsv", root / "events.tsv", root], root)) == 3


def test_a_link_has_its_own_name_and_the_content_of_its_target(root, tmp_path):
    (tmp_path / "annex").write_bytes(b"linked")
    (root / "linked.fif").symlink_to(tmp_path / "annex")
    known = fingerprint([root / "linked.fif"], root)
    assert known["linked.fif"]["sha256"] == hashlib.sha256(b"linked").hexdigest()


def test_a_missing_file_is_named(root):
    with pytest.raises(InputError, match=r"sub-2\.fif cannot be read \(No such file or directory\)"):
        fingerprint([root / "sub-2.fif"], root)


def test_what_changed_is_said(root):
    paths = [root / "sub-1" / "a.ds", root / "events.tsv"]
    known = fingerprint(paths, root)
    assert changed(known, paths, root) is None
    (root / "sub-1" / "a.ds" / "new").touch()
    assert changed(known, paths, root) == "sub-1/a.ds/new is new"
    (root / "sub-1" / "a.ds" / "new").unlink()
    (root / "sub-1" / "a.ds" / "a.meg4").unlink()
    assert changed(known, paths, root) == "sub-1/a.ds/a.meg4 is missing"
    (root / "sub-1" / "a.ds" / "a.meg4").write_bytes(b"longer signal")
    assert changed(known, paths, root) == "sub-1/a.ds/a.meg4 has changed"
    assert changed(known, paths[1:], root) == "sub-1/a.ds/a.meg4 is missing"


def test_hidden_files_in_a_folder_do_not_count(root):
    known = fingerprint([root / "sub-1"], root)
    (root / "sub-1" / ".DS_Store").write_bytes(b"desktop")
    assert changed(known, [root / "sub-1"], root) is None


def test_another_content_of_the_same_size_is_a_change_and_another_time_alone_is_none(root):
    path = root / "events.tsv"
    known = fingerprint([path], root)
    os.utime(path, ns=(1, 1))
    assert changed(known, [path], root) is None
    path.write_bytes(b"WORDS")
    assert changed(known, [path], root) == "events.tsv has changed"


def test_content_is_read_only_where_size_agrees_and_time_differs(root, monkeypatch):
    path = root / "events.tsv"
    known = fingerprint([path], root)
    monkeypatch.setattr("megxl.store.sources._sha256", lambda *_: pytest.fail("read"))
    assert changed(known, [path], root) is None
    path.write_bytes(b"longer than before")
    assert changed(known, [path], root) == "events.tsv has changed"
