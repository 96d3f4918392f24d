"""The fast method gives the signal of MNE's own functions, in one pass and in bounded memory."""

import tracemalloc
from pathlib import Path

import mne
import numpy as np
import pytest
import torch

from megxl.errors import InputError
from megxl.signals import fast
from megxl.signals import samples as module
from megxl.signals.normalization import scale_blocks
from megxl.signals.preparation import Preparation, prepare
from megxl.signals.reading import choose_channels, open_recording
from tests.signals.test_preparation import by_mne, make_raw
from tests.signals.test_samples import counted, write_edf  # noqa: F401 - a fixture

NEUROMAG = "camcan/rest/sub-CC110033/ses-rest/meg/*_meg.fif"
CTF = "armeni/sub-001/ses-001/meg/*_task-compr_meg.ds"
KIT = "meg_masc/sub-01/ses-0/meg/*_task-0_meg.con"


def real(mini: Path, pattern: str) -> mne.io.BaseRaw:
    (path,) = mini.glob(pattern)
    raw = open_recording(path)
    assert raw.n_times / raw.info["sfreq"] >= 160
    return raw


def used(prepared) -> str:
    return prepared.provenance["preparation"]["method"]


def assert_near(found_CT, expected_CT, sfreq_hz=50.0, *, inside=3e-6, ends=3e-5):
    """Compare each sensor; allowed were ten and thirty times as much."""
    assert found_CT.shape == expected_CT.shape
    second = round(sfreq_hz)
    for part, limit in (
        (slice(second, -second), inside),
        (slice(0, second), ends),
        (slice(-second, None), ends),
    ):
        expected = expected_CT[:, part].astype(np.float64)
        error_C = np.sqrt(((found_CT[:, part] - expected) ** 2).mean(axis=1) / (expected**2).mean(axis=1))
        assert error_C.max() < limit, part


def assert_same_codes(codec, found_CT, expected_CT):
    codes = [codec.tokenize(scale_blocks(torch.from_numpy(signal_CT[None]))) for signal_CT in (found_CT, expected_CT)]
    assert (codes[0] == codes[1]).double().mean() >= 0.999


@pytest.mark.parametrize("pattern", [NEUROMAG, CTF, KIT])
def test_real_recordings_come_out_as_by_mne(mini, golden_codec, pattern):
    raw = real(mini, pattern)
    names = choose_channels(raw)[::12]
    prepared = prepare(raw, names)
    expected_CT = prepare(raw, names, Preparation(method="mne")).signal_CT
    assert used(prepared) == "fast"
    assert_near(prepared.signal_CT, expected_CT)
    assert_same_codes(golden_codec, prepared.signal_CT[:5, :3000], expected_CT[:5, :3000])


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [NEUROMAG, CTF, KIT])
def test_whole_real_recordings_come_out_as_by_mne_to_the_code(mini, golden_codec, pattern):
    raw = real(mini, pattern)
    names = choose_channels(raw)
    signal_CT = prepare(raw, names).signal_CT
    expected_CT = by_mne(raw, names).astype(np.float32)
    assert_near(signal_CT, expected_CT)
    assert_same_codes(golden_codec, signal_CT[::4, :7500], expected_CT[::4, :7500])


def hard(sfreq_hz: float, samples: int) -> mne.io.RawArray:
    """Noise at a large offset that drifts, with waves of the mains, up to the converter's edge of the spectrum."""
    raw = make_raw(seconds=samples / sfreq_hz, sfreq_hz=sfreq_hz, sensors=5)
    time = raw.times
    raw._data[0] += 1e-10 * np.sin(2 * np.pi * 0.004 * time) + 3e-9
    raw._data[1] += 5e-11 * np.sin(2 * np.pi * 50 * time + 1)
    raw._data[2] += 5e-11 * np.sin(2 * np.pi * 60 * time) + 2e-11 * np.sin(2 * np.pi * 0.47 * sfreq_hz * time)
    raw._data[3] = np.cumsum(raw._data[3] - raw._data[3].mean())
    raw._data[4, samples // 3 :] += 1e-9
    return raw


@pytest.mark.parametrize(
    ("sfreq_hz", "samples"),
    [(1000.0, 131072 - 200), (1000.0, 131072 - 199), (1000.0, 90003), (600.614990234375, 65001), (250.0, 20006)],
)
def test_hard_signals_come_out_as_by_mne_whatever_their_length(sfreq_hz, samples):
    raw = hard(sfreq_hz, samples)
    prepared = prepare(raw, raw.ch_names)
    assert used(prepared) == "fast"
    assert_near(prepared.signal_CT, by_mne(raw, raw.ch_names), inside=3e-5, ends=1e-3)


@pytest.mark.parametrize(
    ("low_hz", "high_hz", "sfreq_hz"), [(0.5, 30.0, 100.0), (1.0, 20.0, 50.0), (1.0, 25.0, 50.0), (0.3, 100.0, 250.0)]
)
def test_other_bands_and_rates_come_out_as_by_mne(low_hz, high_hz, sfreq_hz):
    raw = hard(1000.0, 30011)
    prepared = prepare(raw, raw.ch_names, Preparation(low_hz=low_hz, high_hz=high_hz, sfreq_hz=sfreq_hz))
    assert used(prepared) == "fast"
    expected_CT = by_mne(raw, raw.ch_names, low_hz, high_hz, sfreq_hz)
    assert_near(prepared.signal_CT, expected_CT, sfreq_hz, inside=3e-5, ends=1e-3)


def test_a_split_recording_is_prepared_as_the_one_that_it_is(tmp_path):
    raw = make_raw(seconds=90.237, sfreq_hz=250.0, sensors=20)
    raw.save(tmp_path / "whole_raw.fif", verbose="ERROR")
    raw.save(tmp_path / "parts_raw.fif", split_size="2MB", verbose="ERROR")
    whole, parts = open_recording(tmp_path / "whole_raw.fif"), open_recording(tmp_path / "parts_raw.fif")
    prepared = prepare(parts, raw.ch_names)
    assert used(prepared) == "fast"
    np.testing.assert_array_equal(prepared.signal_CT, prepare(whole, raw.ch_names).signal_CT)


def test_the_same_comes_out_again_and_pieces_do_not_matter(monkeypatch):
    raw = make_raw(seconds=80, sfreq_hz=250.0, sensors=9)
    first_CT = prepare(raw, raw.ch_names).signal_CT
    np.testing.assert_array_equal(prepare(raw, raw.ch_names).signal_CT, first_CT)
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * 9 * 750)
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)  # a file in place of memory
    in_pieces_CT = prepare(raw, raw.ch_names).signal_CT
    np.testing.assert_allclose(in_pieces_CT, first_CT, rtol=0, atol=1e-6 * first_CT.std())


def test_only_the_needed_channels_are_read_and_once(tmp_path, monkeypatch, counted):  # noqa: F811
    make_raw(seconds=80, sfreq_hz=250.0, sensors=30).save(tmp_path / "a_raw.fif", verbose="ERROR")
    raw = open_recording(tmp_path / "a_raw.fif")
    names = [raw.ch_names[row] for row in (17, 2, 25)]
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * 30 * 2600)
    counted.clear()
    steps = []
    prepared = prepare(raw, names, advance=steps.append)
    assert {channels for *_, channels in counted} == {3}
    starts, stops = [start for start, *_ in counted], [stop for _, stop, _ in counted]
    assert (starts[0], starts[1:], stops[-1]) == (0, stops[:-1], raw.n_times)
    assert set(np.subtract(stops, starts)[:-1]) == {2500}  # whole seconds
    assert prepared.sensors.names == tuple(names)
    assert_near(prepared.signal_CT, by_mne(raw, names), inside=3e-5, ends=1e-3)
    assert (sum(steps), min(steps)) == (3, 1)


def test_steps_of_progress_make_the_number_of_channels():
    raw = make_raw(seconds=80, sfreq_hz=250.0, sensors=40)
    steps = []
    prepare(raw, raw.ch_names, advance=steps.append)
    assert (sum(steps), min(steps) > 0) == (40, True)


def test_memory_stays_far_below_the_recording_read_whole(tmp_path, monkeypatch):
    make_raw(seconds=400, sfreq_hz=500.0, sensors=40).save(tmp_path / "a_raw.fif", verbose="ERROR")
    raw = open_recording(tmp_path / "a_raw.fif")
    whole = 8 * 40 * raw.n_times
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    monkeypatch.setattr(module, "CHUNK_BYTES", whole // 40)
    monkeypatch.setattr(fast, "ROWS_BYTES", whole // 400)
    prepare(raw, raw.ch_names[:6])  # what is allocated once and for all
    tracemalloc.start()
    prepare(raw, raw.ch_names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * whole  # MNE holds more than two copies


@pytest.mark.parametrize("fails", [False, True])
def test_the_temporary_file_goes_away(tmp_path, monkeypatch, fails):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    raw = make_raw(seconds=80, sfreq_hz=250.0, sensors=4)
    seen = []

    def look(_: int) -> None:
        seen.extend(tmp_path.rglob("samples"))
        if fails:
            raise KeyboardInterrupt

    if fails:
        with pytest.raises(KeyboardInterrupt):
            prepare(raw, raw.ch_names, advance=look)
    else:
        prepare(raw, raw.ch_names, advance=look)
    assert seen
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_for_the_fast_method_goes_the_published_way(tmp_path, monkeypatch):
    marked = make_raw(seconds=150, sfreq_hz=250.0, sensors=4)
    marked.set_annotations(mne.Annotations([70], [2], ["BAD_ACQ_SKIP"]))
    slow = make_raw(seconds=80, sfreq_hz=200.0, sensors=4)
    for raw, why in ((marked, "bad_acq_skip"), (slow, "200 samples a second leave no room")):
        prepared = prepare(raw, raw.ch_names)
        told = prepared.provenance["preparation"]
        assert told["method"] == "mne"
        assert why in told["why_not_fast"]
        assert any("MNE's own functions" in note and why in note for note in prepared.notes)
        np.testing.assert_array_equal(prepared.signal_CT, by_mne(raw, raw.ch_names).astype(np.float32))


def test_channels_of_mixed_rates_go_the_published_way(tmp_path, monkeypatch):
    path = write_edf(tmp_path / "a.edf", seconds=20, rates=(500, 500, 250))
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * 3 * 1000)
    settings = Preparation(low_hz=1.0, high_hz=30.0, reference="recorded")
    raw = open_recording(path)
    montage = mne.channels.make_dig_montage({name: np.eye(3)[row] * 0.1 for row, name in enumerate("ABC")})
    raw.set_montage(montage, verbose="ERROR")
    steps = []
    prepared = prepare(raw, ["C", "A"], settings, advance=steps.append)
    assert "several rates" in prepared.provenance["preparation"]["why_not_fast"]
    whole = mne.io.read_raw(path, preload=True, verbose="ERROR")
    np.testing.assert_array_equal(prepared.signal_CT, by_mne(whole, ["C", "A"], 1.0, 30.0).astype(np.float32))
    assert sum(steps) == 2
    assert used(prepare(raw, ["A", "B"], settings)) == "fast"


def test_infinite_samples_are_refused_with_channel_and_time():
    raw = make_raw(seconds=80, sfreq_hz=250.0, sensors=5)
    raw._data[3, [5000, 19999]] = np.inf, np.nan
    with pytest.raises(InputError, match=rf"'{raw.ch_names[3]}' holds 2 samples .* first at 20\.000 s"):
        prepare(raw, raw.ch_names)
