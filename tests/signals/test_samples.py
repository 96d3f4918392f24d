"""Samples in blocks equal samples at once, within bounds of memory and disk."""

import errno
import os
import tempfile
import tracemalloc
from collections import namedtuple
from contextlib import nullcontext
from pathlib import Path

import mne
import numpy as np
import pytest

from megxl.errors import InputError
from megxl.signals import samples as module
from megxl.signals.preparation import prepare
from megxl.signals.reading import choose_channels, open_recording
from megxl.signals.samples import read_blocks
from tests.signals.test_preparation import assert_same_signal, by_mne, make_raw


def save(raw: mne.io.BaseRaw, path: Path) -> mne.io.BaseRaw:
    raw.save(path, fmt="double", verbose="ERROR")
    return open_recording(path)


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """How often each sample of each channel was asked of a file, by MNE's own reading, which goes on."""
    asked: list[tuple[int, int, int]] = []
    read = mne.io.BaseRaw._read_segment

    def counting(self, start=0, stop=None, sel=None, data_buffer=None, **options):
        channels = len(self.ch_names) if sel is None else len(np.arange(len(self.ch_names))[sel])
        asked.append((int(start), self.n_times if stop is None else int(stop), channels))
        return read(self, start, stop, sel, data_buffer, **options)

    monkeypatch.setattr(mne.io.BaseRaw, "_read_segment", counting)
    return asked


@pytest.mark.parametrize("chunk_bytes", [2**30, 100_000, 1])
def test_a_long_recording_is_read_once_in_the_order_of_time(tmp_path, monkeypatch, counted, chunk_bytes):
    raw = save(make_raw(seconds=1, sensors=70), tmp_path / "a_raw.fif")
    expected_CT = raw.get_data()
    counted.clear()
    monkeypatch.setattr(module, "BLOCK_BYTES", 7 * 8 * raw.n_times)
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    names = raw.ch_names[::-1][:60]
    blocks = list(read_blocks(raw, names))
    assert [len(block) for block, _ in blocks] == [7] * 8 + [4]
    np.testing.assert_array_equal(np.concatenate([data_KT for _, data_KT in blocks]), expected_CT[::-1][:60])
    assert {channels for *_, channels in counted} == {60}
    starts, stops = [start for start, *_ in counted], [stop for _, stop, _ in counted]
    assert (starts[0], stops[-1]) == (0, raw.n_times)
    assert starts[1:] == stops[:-1]
    assert max(np.subtract(stops, starts)) <= max(1, chunk_bytes // (8 * 70))


def test_a_short_recording_is_read_in_one_piece(tmp_path, counted):
    raw = save(make_raw(seconds=1), tmp_path / "a_raw.fif")
    assert [len(block) for block, _ in read_blocks(raw, raw.ch_names)] == [32, 32, 6]
    assert counted == [(0, raw.n_times, 70)]


def test_what_is_in_memory_is_not_copied_to_disk(monkeypatch):
    raw = make_raw(seconds=1)
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    monkeypatch.setattr(tempfile, "TemporaryDirectory", None)
    np.testing.assert_array_equal(np.concatenate([data for _, data in read_blocks(raw, raw.ch_names)]), raw.get_data())


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize(("block_bytes", "largest"), [(1, 1), (7 * 8 * 8000, 7), (2**30, 32)])
def test_the_size_of_blocks_changes_nothing(tmp_path, monkeypatch, block_bytes, largest, in_memory):
    made = make_raw(sensors=40)
    raw = made if in_memory else save(made, tmp_path / "a_raw.fif")
    monkeypatch.setattr(module, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * 40 * 1001)
    done = []
    prepared = prepare(raw, raw.ch_names, advance=done.append)
    assert_same_signal(prepared, by_mne(raw, raw.ch_names))
    assert (sum(done), max(done)) == (40, largest)


def test_a_real_recording_read_in_pieces_comes_out_as_mne_prepares_it_whole(shared, monkeypatch):
    raw = open_recording(shared / "realdata" / "meg_ctf" / "testdata_ctf_short_discontinuous.ds")
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * len(raw.ch_names) * 333)
    names = choose_channels(raw)[:40]
    assert_same_signal(prepare(raw, names), by_mne(raw, names))


def test_memory_stays_below_the_recording_read_whole(tmp_path, monkeypatch):
    raw = save(make_raw(sensors=120), tmp_path / "a_raw.fif")
    whole = 120 * raw.n_times * 8
    monkeypatch.setattr(module, "BLOCK_BYTES", whole // 20)
    monkeypatch.setattr(module, "CHUNK_BYTES", whole // 80)
    prepare(raw, raw.ch_names[:30])  # what is allocated once and for all
    tracemalloc.start()
    prepare(raw, raw.ch_names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < whole / 2


@pytest.mark.parametrize("fails", [False, True])
def test_the_temporary_file_goes_where_tmpdir_says_and_away_again(tmp_path, monkeypatch, fails):
    raw = save(make_raw(seconds=1), tmp_path / "a_raw.fif")
    place = tmp_path / "roomy"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", None)  # where the place is remembered
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    seen = []

    def look(_: int) -> None:
        seen.extend(file.stat().st_size for file in place.rglob("samples"))
        if fails:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) if fails else nullcontext():
        prepare(raw, raw.ch_names, advance=look)
    assert seen[0] >= 8 * 70 * raw.n_times
    assert list(place.iterdir()) == []


def test_a_full_disk_is_said_before_anything_is_copied(tmp_path, monkeypatch, counted):
    raw = save(make_raw(seconds=1), tmp_path / "a_raw.fif")
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(0, 0, 8 * 70 * 200 - 1))
    with pytest.raises(InputError, match=r"70 channels .*0\.0 GB.*TMPDIR"):
        prepare(raw, raw.ch_names)
    assert counted == []
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(0, 0, 8 * 70 * 200))
    prepare(raw, raw.ch_names)


def write_edf(path: Path, seconds: int = 40, rates: tuple[int, int, int] = (100, 100, 50)) -> Path:
    """Three channels, by default two of 100 samples a second and one of 50."""
    fields = [("A", "B", "C"), ("",) * 3, ("uV",) * 3, ("-3200",) * 3, ("3200",) * 3, ("-32000",) * 3, ("32000",) * 3]
    widths = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
    columns = [*fields, ("",) * 3, tuple(map(str, rates)), ("",) * 3]
    head = "0".ljust(8) + "".ljust(160) + "01.01.0001.01.01" + str(256 * 4).ljust(8) + "".ljust(44)
    head += str(seconds).ljust(8) + "1".ljust(8) + "3".ljust(4)
    head += "".join(text.ljust(width) for column, width in zip(columns, widths, strict=True) for text in column)
    samples = np.random.default_rng(0).normal(scale=1000, size=(seconds, sum(rates))).astype("<i2")
    path.write_bytes(head.encode("ascii") + samples.tobytes())
    return path


def test_channels_of_a_lower_rate_are_brought_to_the_highest_over_the_whole_length(tmp_path, monkeypatch):
    path = write_edf(tmp_path / "a.edf")
    names = ["C", "A"]
    expected_CT = mne.io.read_raw(path, preload=True, verbose="ERROR").get_data(picks=names)
    raw = open_recording(path)
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * 3 * 1000)
    blocks = list(read_blocks(raw, names))
    assert len(blocks) == 2
    np.testing.assert_array_equal(np.concatenate([data_KT for _, data_KT in blocks]), expected_CT)
    full_KT = np.concatenate([data_KT for _, data_KT in read_blocks(raw, ["A", "B"])])
    np.testing.assert_array_equal(full_KT[0], expected_CT[1])


def test_a_file_that_is_cut_after_it_was_opened_is_refused_by_name(shared, tmp_path):
    whole = (shared / "realdata" / "meg_kit" / "test.sqd").read_bytes()
    path = tmp_path / "cut.sqd"
    path.write_bytes(whole)
    raw = open_recording(path)
    path.write_bytes(whole[: int(len(whole) * 0.9)])
    with pytest.raises(InputError, match=r"samples of cut\.sqd cannot be read"):
        prepare(raw, choose_channels(raw))


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.EIO, os.strerror(errno.EIO)), r"^a_raw\.fif cannot be read: .*'Input/output error'\.$"),
        (ValueError("odd bytes in /mnt/Zaphod/part.fif"), r"a_raw\.fif cannot be read, .* odd bytes in part\.fif$"),
    ],
)
def test_what_goes_wrong_while_reading_is_said_without_folders(tmp_path, monkeypatch, error, sentence):
    raw = save(make_raw(seconds=1), tmp_path / "a_raw.fif")

    def fail(*args, **options):
        raise error

    monkeypatch.setattr(mne.io.BaseRaw, "_read_segment", fail)
    with pytest.raises(InputError, match=sentence):
        prepare(raw, raw.ch_names)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_disk_that_fills_meanwhile_is_told_in_a_sentence():
    with (
        Path("/dev/full").open("wb", buffering=0) as file,
        pytest.raises(InputError, match=r"No space left on device.*TMPDIR"),
    ):
        module.Scratch(2, 10, file).append(np.zeros((2, 10)))
