"""Output appears whole under its final name or not at all, and never takes the place of anything else."""

import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from megxl.errors import InputError
from megxl.extraction.staging import META, GrowingArray, check_output, check_space, map_member, staging


def fill(folder, value: float = 1.0) -> None:
    np.save(folder / "features.npy", np.full((3, 5), value, np.float32))
    (folder / META).write_text("{}")


@pytest.mark.parametrize("name", ["out", "out.npz"])
def test_an_error_inside_leaves_nothing_behind(tmp_path, name):
    with pytest.raises(RuntimeError, match="half way"), staging(tmp_path / name) as folder:
        fill(folder)
        raise RuntimeError("half way")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out", "out.npz"])
def test_the_name_appears_only_at_the_end(tmp_path, name):
    with staging(tmp_path / name) as folder:
        fill(folder)
        assert not (tmp_path / name).exists()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["out", "out.npz"])
def test_a_killed_process_leaves_nothing_under_the_final_name(tmp_path, name):
    script = """
        import os, signal, sys
        from pathlib import Path
        from megxl.extraction.staging import staging
        with staging(Path(sys.argv[1])) as folder:
            (folder / "features.npy").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), tmp_path / name])
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / name).exists()
    with staging(tmp_path / name) as folder:
        fill(folder)
    assert [path.name for path in tmp_path.iterdir()] == [name]  # what was left is swept by the next run


@pytest.mark.parametrize("name", ["out", "out.npz"])
def test_older_output_is_replaced_only_when_allowed(tmp_path, name):
    out = tmp_path / name
    for value, overwrite in ((1.0, False), (2.0, True)):
        with staging(out, overwrite=overwrite) as folder:
            fill(folder, value)
    with pytest.raises(InputError, match="exists already"), staging(out):
        pass
    stored = np.load(out)["features"] if name.endswith("z") else np.load(out / "features.npy")
    assert (stored == 2.0).all()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(InputError, match="something else"):
        check_output(tmp_path / "thesis", overwrite=True)
    with pytest.raises(InputError, match=r"\(chapter\.txt\)"):
        check_output(tmp_path / "thesis", overwrite=True)
    np.save(tmp_path / "thesis" / "features.npy", np.zeros(3))
    (tmp_path / "thesis" / META).write_text("{}")
    with pytest.raises(InputError, match="something else"):  # features are not all that it holds
        check_output(tmp_path / "thesis", overwrite=True)
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path / "folder.npz", overwrite=True)


@pytest.mark.parametrize(
    "ending", [".npy", ".html", ".h5", ".fif", ".pt", ".ckpt", ".json", ".mat", ".CSV", ".txt", ".parquet", ".gz"]
)
def test_a_name_that_promises_another_format_is_refused(tmp_path, ending):
    with pytest.raises(InputError, match=r"ends in \.npz, or to a folder"):
        check_output(tmp_path / f"features{ending}", overwrite=True)
    check_output(tmp_path / "features.v2", overwrite=False)


@pytest.mark.parametrize("moment", ["Path.replace", "shutil.rmtree"])
def test_a_process_killed_while_an_archive_is_put_in_place_leaves_what_the_next_run_sweeps(tmp_path, moment):
    script = f"""
        import os, shutil, signal, sys
        from pathlib import Path
        from megxl.extraction.staging import META, staging
        with staging(Path(sys.argv[1])) as folder:
            (folder / META).write_text("{{}}")
            {moment} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    """
    out = tmp_path / "out.npz"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), out])
    assert done.returncode == -signal.SIGKILL and len(list(tmp_path.iterdir())) == 1 + out.exists()
    with staging(out, overwrite=True) as folder:
        fill(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]


def test_an_archive_is_put_where_a_link_leads(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "real.npz").touch()
    (tmp_path / "out.npz").symlink_to(tmp_path / "far" / "real.npz")
    with staging(tmp_path / "out.npz", overwrite=True) as folder:
        fill(folder)
    assert (tmp_path / "out.npz").is_symlink() and np.load(tmp_path / "far" / "real.npz")["features"].shape == (3, 5)


def test_a_missing_parent_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        check_output(tmp_path / "no" / "out.npz", overwrite=False)


def test_more_than_the_disk_holds_is_refused(tmp_path):
    check_space(tmp_path, 1)
    with pytest.raises(InputError, match="GB free"):
        check_space(tmp_path, 10**18)


def test_an_array_in_an_archive_is_mapped_not_read(tmp_path):
    array = np.random.default_rng(0).standard_normal((7, 11, 3)).astype(np.float32)
    with staging(tmp_path / "out.npz") as folder:
        fill(folder)
        np.save(folder / "features.npy", array)
    mapped = map_member(tmp_path / "out.npz", "features")
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, array)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["features"], array)  # plain numpy reads it too


def test_a_compressed_archive_is_read_instead(tmp_path):
    array = np.arange(12.0).reshape(3, 4)
    np.savez_compressed(tmp_path / "out.npz", features=array)
    np.testing.assert_array_equal(map_member(tmp_path / "out.npz", "features"), array)


@pytest.mark.parametrize("in_file", [False, True])
def test_an_array_grows_part_by_part(tmp_path, in_file):
    growing = GrowingArray((2, 6), tmp_path / "a.npy" if in_file else None)
    growing.write((slice(None), slice(0, 4)), np.ones((2, 4), np.float32))
    growing.write((slice(None), slice(4, 6)), np.full((2, 2), 2, np.float32))
    np.testing.assert_array_equal(growing.read(), [[1, 1, 1, 1, 2, 2]] * 2)
    assert isinstance(growing.read(), np.memmap) == in_file


def test_an_array_in_a_file_does_not_fill_the_memory(tmp_path):
    script = """
        import resource, sys
        from pathlib import Path
        import numpy as np
        from megxl.extraction.staging import GrowingArray
        part = np.ones((300, 20, 512), np.float32)
        growing = GrowingArray((300, 600, 512), Path(sys.argv[1]))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for first in range(0, 600, 20):
            growing.write((slice(None), slice(first, first + 20)), part)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, growing.read()[:, -1].sum())
    """
    words = [sys.executable, "-c", textwrap.dedent(script), tmp_path / "a.npy"]
    grown_kib, total = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    assert float(total) == 300 * 512
    assert int(grown_kib) < 100_000  # of 360 MB
