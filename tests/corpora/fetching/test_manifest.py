"""The manifest of a root: what it holds for fetched, what it writes, who may write."""

import hashlib
import json
import os
from dataclasses import replace

import pytest

from megxl.corpora.fetching import manifest as room
from megxl.corpora.fetching.manifest import NAME, Entry, Manifest, digest
from megxl.corpora.fetching.remote import RemoteFile
from megxl.errors import InputError

CONTENT = b"hello\n"
SHA256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"  # sha256sum
GIT = "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
FILE = RemoteFile(path="a/x.txt", url="https://host/x?version=1", size=6)


def kept(root, file=FILE) -> Manifest:
    (root / "a").mkdir()
    (root / file.path).write_bytes(CONTENT)
    manifest = Manifest.of(root, {"corpus": "mous"})
    manifest.add(file.path, Entry.of(root / file.path, file, '"tag"'))
    return manifest


def test_what_is_written_is_read_back(tmp_path):
    manifest = kept(tmp_path, replace(FILE, checksum=GIT, algorithm="git"))
    manifest.write()
    stored = json.loads((tmp_path / NAME).read_text())
    assert stored["corpus"] == "mous"
    entry = stored["files"]["a/x.txt"]
    assert (entry["bytes"], entry["sha256"], entry["url"]) == (6, hashlib.sha256(CONTENT).hexdigest(), FILE.url)
    assert (entry["version"], entry["checksum"]) == ('"tag"', GIT)
    again = Manifest.of(tmp_path)
    assert again.files == manifest.files and again.facts == {"corpus": "mous"}


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        ({}, True),
        ({"size": None}, True),
        ({"size": 7}, False),
        ({"url": "https://host/x?version=2"}, False),
        ({"path": "a/y.txt"}, False),
        # where there is a checksum the address does not matter
        ({"checksum": SHA256.upper(), "algorithm": "sha256", "url": "https://mirror/x"}, True),
        ({"checksum": "0" * 64, "algorithm": "sha256"}, False),
        ({"checksum": GIT, "algorithm": "git"}, False),  # not verified by it: yet to be seen
    ],
)
def test_a_file_is_held_if_it_is_what_the_source_announces(tmp_path, changes, held):
    assert kept(tmp_path).holds(replace(FILE, **changes)) is held


def test_a_checksum_of_git_is_compared_with_the_one_it_was_verified_by(tmp_path):
    file = replace(FILE, checksum=GIT, algorithm="git")
    manifest = kept(tmp_path, file)
    assert manifest.holds(file) and manifest.holds(replace(file, url="https://host/x?version=2"))
    assert not manifest.holds(replace(file, checksum=GIT[::-1]))


def test_a_file_that_was_changed_or_is_gone_is_not_held(tmp_path):
    manifest = kept(tmp_path)
    path, times = tmp_path / FILE.path, (tmp_path / FILE.path).stat().st_mtime_ns
    os.utime(path, ns=(times, times + 1))
    assert not manifest.holds(FILE)
    os.utime(path, ns=(times, times))
    assert manifest.holds(FILE)
    path.unlink()
    assert not manifest.holds(FILE)


def test_it_is_written_now_and_then_and_at_the_end(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    (tmp_path / "x").write_bytes(CONTENT)
    manifest, entry = Manifest.of(tmp_path), Entry.of(tmp_path / "x", FILE, None)

    def on_disk() -> int:
        return len(Manifest.of(tmp_path).files)

    with pytest.raises(KeyboardInterrupt), manifest.kept():
        for name, at_s, written in (("a", 100, 1), ("b", 104, 1), ("c", 106, 3), ("d", 107, 3)):
            now[0] = at_s
            manifest.add(name, entry)
            assert on_disk() == written
        raise KeyboardInterrupt
    assert on_disk() == 4


def test_two_fetches_to_one_root_do_not_mix(tmp_path):
    with Manifest.of(tmp_path).kept(), pytest.raises(InputError, match="another process"), Manifest.of(tmp_path).kept():
        pass


def test_a_root_of_another_corpus_is_refused(tmp_path):
    Manifest.of(tmp_path, {"corpus": "mous"}).write()
    with pytest.raises(InputError, match="holds the corpus 'mous'"):
        Manifest.of(tmp_path, {"corpus": "armeni"})


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"files": {"a": {"bytes": 1}}}', '{"files": 3}'])
def test_one_that_is_damaged_says_what_to_do(tmp_path, content):
    (tmp_path / NAME).write_text(content)
    with pytest.raises(InputError, match="is damaged: delete it"):
        Manifest.of(tmp_path)


def test_digests_are_those_of_other_tools(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(CONTENT)
    assert digest(path, "git") == GIT
    assert digest(path, "md5") == "b1946ac92492d2347c6235b4d2611184"  # md5sum
    assert digest(path, "sha256") == SHA256
    with pytest.raises(InputError, match="checksums of the kind 'crc32'"):
        digest(path, "crc32")
