"""Writing beside and renaming: a place is taken whole, by consent, and without litter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from megxl.errors import InputError
from megxl.placing import free_to_write, placed
from tests.rights import forbidden

OVERWRITE = r"exists already.*--overwrite \(in Python: overwrite=True\)"


def holds_mark(folder: Path) -> bool:
    return [entry.name for entry in folder.iterdir()] == ["mark"]


def folder_with(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).write_text(name)
    return path


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_new_name_and_an_empty_folder_are_free(tmp_path):
    empty = folder_with(tmp_path / "empty")
    assert free_to_write(tmp_path / "new", overwrite=False) is None
    assert free_to_write(empty, overwrite=False, ours=holds_mark) is None
    assert names(tmp_path) == ["empty"] and names(empty) == []


def test_what_stands_there_is_replaced_by_consent_only(tmp_path):
    file, folder = tmp_path / "a.txt", folder_with(tmp_path / "f", "mark")
    file.touch()
    for path, ours in ((file, None), (folder, holds_mark)):
        with pytest.raises(InputError, match=OVERWRITE):
            free_to_write(path, overwrite=False, ours=ours)
        free_to_write(path, overwrite=True, ours=ours)


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_that_is_not_ours_is_never_replaced(tmp_path, overwrite):
    with pytest.raises(InputError, match="something else in it and is never replaced"):
        free_to_write(folder_with(tmp_path / "f", "mark", "thesis.txt"), overwrite=overwrite, ours=holds_mark)
    with pytest.raises(InputError, match="is a folder, where a file is to be written"):
        free_to_write(folder_with(tmp_path / "x.ckpt"), overwrite=overwrite)


def test_a_file_in_the_place_of_a_folder_is_left(tmp_path):
    (tmp_path / "f").touch()
    with pytest.raises(InputError, match="is a file, where a folder"):
        free_to_write(tmp_path / "f", overwrite=True, ours=holds_mark)


@pytest.mark.parametrize("name", ["absent/x", "file/x", "", "..", "a" * 250, "a" * 300])
def test_a_place_that_cannot_be_is_named(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(InputError, match=r"does not exist; make it first|is no name for an output|name too long"):
        free_to_write(Path(name), overwrite=True)


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="needs a way to give up root")
@pytest.mark.parametrize("name", ["new", "old"])
def test_a_folder_that_cannot_be_written_to_is_named(name):
    with (
        forbidden(0o444, old=b"old") as read_only,
        pytest.raises(InputError, match=rf"{name}: the folder {read_only} cannot be written to"),
    ):
        free_to_write(read_only / name, overwrite=True)


def test_a_file_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with placed(target, folder=False) as part:
        part.write_text("new")
        assert part.parent == tmp_path and part.name.startswith(".a.txt.") and part.suffix == ".partial"
        assert target.read_text() == "old"
    assert target.read_text() == "new" and names(tmp_path) == ["a.txt"]


def test_a_folder_replaces_another_whole(tmp_path):
    target = folder_with(tmp_path / "f", "old")
    with placed(target, folder=True) as part:
        (part / "new").touch()
        assert names(target) == ["old"]
    assert names(target) == ["new"] and names(tmp_path) == ["f"]


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_what_was_there_and_no_litter(tmp_path, folder, error):
    target = folder_with(tmp_path / "f", "old") if folder else tmp_path / "f"
    target.touch()
    with pytest.raises(error), placed(target, folder=folder) as part:
        ((part / "new") if folder else part).touch()
        raise error
    assert names(tmp_path) == ["f"] and (not folder or names(target) == ["old"])


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_rename_that_fails_brings_the_old_folder_back(tmp_path, monkeypatch, error):
    target, rename = folder_with(tmp_path / "f", "old"), Path.replace

    def refuse_new(self, place):
        if self.suffix == ".partial":
            raise error
        return rename(self, place)

    monkeypatch.setattr(Path, "replace", refuse_new)
    with pytest.raises(error), placed(target, folder=True) as part:
        (part / "new").touch()
    assert names(target) == ["old"] and names(tmp_path) == ["f"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(folder_with(tmp_path / "f", "old"))
    with placed(tmp_path / "link", folder=True) as part:
        (part / "new").touch()
    assert (tmp_path / "link").is_symlink() and names(tmp_path / "f") == ["new"]
    assert names(tmp_path) == ["f", "link"]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere nobody can ask whether a process still runs")
def test_leftovers_of_killed_runs_are_swept_and_those_of_living_ones_stay(tmp_path):
    target = tmp_path / "out[1].x"
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom megxl.placing import placed\n"
        f"with placed(Path({str(target)!r}), folder=True) as part:\n"
        "    (part / 'half').touch()\n    print(part.name, flush=True)\n"
        "    sys.stdin.read() if sys.argv[1] == 'wait' else os._exit(9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    living, killed = (
        subprocess.Popen(
            [sys.executable, "-c", code, what],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for what in ("wait", "die")
    )
    left = [run.stdout.readline().strip() for run in (living, killed)]
    killed.wait()
    assert names(tmp_path) == sorted(left)
    foreign = [".out[1].x.00000000-1-00000000.partial", ".out[1].x.partial", "..partial", ".out1.x.0-0-0.partial"]
    for name in foreign:
        (tmp_path / name).touch()
    with placed(target, folder=False) as part:
        part.touch()
        assert names(tmp_path) == sorted([part.name, left[0], *foreign])
    living.communicate("")
    assert names(tmp_path) == sorted([target.name, *foreign])


def test_a_workspace_leaves_the_one_file_and_nothing_else(tmp_path):
    out = tmp_path / "out.bin"
    with placed(out, folder=False, workspace=True) as part:
        (part / "scratch").write_bytes(b"aside")
        (part / "out.bin").write_bytes(b"result")
    assert out.read_bytes() == b"result" and list(tmp_path.iterdir()) == [out]
    with pytest.raises(KeyError), placed(out, folder=False, workspace=True) as part:
        (part / "out.bin").write_bytes(b"half")
        raise KeyError
    assert out.read_bytes() == b"result" and list(tmp_path.iterdir()) == [out]
