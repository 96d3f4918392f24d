"""What is not data is known by how it begins; real recordings of all formats pass."""

import pytest

from megxl.corpora.fetching.impostors import why_impostor


@pytest.mark.parametrize(
    ("name", "head", "reason"),
    [
        ("a.fif", b"<!DOCTYPE html>", "a web page"),
        ("a.con", b"\xef\xbb\xbf\r\n<HTML><body>", "a web page"),
        ("events.tsv", b"<html>", "a web page"),
        ("a.h5", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "an error message"),
        ("a.meg4", b"version https://git-lfs.github.com/spec/v1\noid", "a pointer"),
        ("a.fif", b"../../.git/annex/objects/x/y", "a pointer"),
        ("a.fif", b"\x89HDF\r\n\x1a\n", "does not begin as a .fif file"),
        ("a.res4", b"MEG42CP\x00", "does not begin as a .res4 file"),
        ("t1.nii.gz", b"plain", "does not begin as a .gz file"),
    ],
)
def test_impostors(name, head, reason):
    assert reason in why_impostor(name, head)


@pytest.mark.parametrize("name", ["index.html", "readme.md", "a.json", "empty.fif"])
def test_what_may_be(name):
    assert why_impostor(name, b"<html>" if name == "index.html" else b"") is None


def test_real_files_pass(mini, shared):
    kinds = set()
    for folder in (mini, shared / "realdata"):
        for path in folder.rglob("*"):
            if path.is_file() and "bids_layouts" not in path.parts:  # whose files are empty on purpose
                with path.open("rb") as file:
                    head = file.read(1024)
                assert why_impostor(path.name, head) is None, path
                kinds.add(path.suffix)
    assert {".fif", ".h5", ".meg4", ".res4", ".con", ".tsv", ".set"} <= kinds
