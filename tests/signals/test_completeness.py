"""Recordings that lack a part of what their header promises are refused, whole ones are not."""

import struct
from pathlib import Path

import pytest

from megxl.errors import InputError
from megxl.signals.reading import open_recording
from tests.signals.test_reading import make_raw, save, writable_copy

KIT_HEADER_BYTES, KIT_ROW_BYTES = 59144, 192 * 2


def cut_kit(shared: Path, folder: Path, data_bytes: int) -> Path:
    path = writable_copy(shared / "realdata" / "meg_kit" / "test_old_5s_kit157.sqd", folder)
    path.write_bytes(path.read_bytes()[: KIT_HEADER_BYTES + data_bytes])
    return path


@pytest.mark.parametrize("more_bytes", [0, 100, KIT_ROW_BYTES - 1])
def test_a_kit_file_that_was_cut_is_refused_wherever_the_cut_is(shared, tmp_path, more_bytes):
    path = cut_kit(shared, tmp_path, 3000 * KIT_ROW_BYTES + more_bytes)
    sentence = r"^test_old_5s_kit157\.sqd ends in the middle of its data \(3000 of 5000 samples\): copy or download"
    with pytest.raises(InputError, match=sentence):
        open_recording(path)


def test_a_kit_file_needs_its_samples_to_the_last_byte_and_no_more(shared, tmp_path):
    path = cut_kit(shared, tmp_path, 5000 * KIT_ROW_BYTES)
    assert open_recording(path).get_data().shape[1] == 5000
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"\(4999 of 5000 samples\)"):
        open_recording(path)


TRIAL_BYTES = 356 * 1201 * 4


def ctf(shared: Path, folder: Path, trials: int, promised: int) -> Path:
    """A CTF recording of so many trials."""
    copy = writable_copy(shared / "realdata" / "meg_ctf" / "testdata_ctf_short_discontinuous.ds", folder)
    meg4, res4 = (copy / f"{copy.stem}.{ending}" for ending in ("meg4", "res4"))
    whole = meg4.read_bytes()
    meg4.write_bytes(whole[:8] + (whole[8:] * trials)[: trials * TRIAL_BYTES])
    header = res4.read_bytes()
    res4.write_bytes(header[:1312] + struct.pack(">h", promised) + header[1314:])
    return copy


def test_a_ctf_recording_with_fewer_trials_than_promised_is_refused(shared, tmp_path):
    folder = ctf(shared, tmp_path, trials=1, promised=2)
    sentence = r"\.ds ends in the middle of its data \(1 of 2 trials\): copy or download it again"
    with pytest.raises(InputError, match=sentence):
        open_recording(folder)


@pytest.mark.parametrize("promised", [2, 3])
def test_a_ctf_recording_may_have_as_many_trials_as_promised_or_more(shared, tmp_path, promised):
    assert open_recording(ctf(shared, tmp_path, trials=3, promised=promised)).n_times == 3 * 1201


def test_the_parts_of_a_ctf_recording_count_together_and_none_may_be_missing(shared, tmp_path):
    folder = ctf(shared, tmp_path, trials=1, promised=3)
    first = folder / f"{folder.stem}.meg4"
    parts = [folder / f"{folder.stem}.{number}_meg4" for number in (1, 2)]
    for part in parts:
        part.write_bytes(first.read_bytes())
    assert open_recording(folder).n_times == 3 * 1201
    parts[0].rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=rf"lacks {parts[0].name}, one of the parts of its data"):
        open_recording(folder)
    parts[1].unlink()
    (tmp_path / "elsewhere").rename(parts[0])
    with pytest.raises(InputError, match=r"\(2 of 3 trials\)"):
        open_recording(folder)


@pytest.mark.parametrize("name", ["a_raw.fif", "strange [name].fif"])
def test_a_link_to_content_that_was_not_fetched_is_told_how_to_be(tmp_path, name):
    (tmp_path / name).symlink_to(".git/annex/objects/x.fif")
    sentence = r"is a link to a file that is not here: fetch it with `datalad get` or `git annex get`\.$"
    with pytest.raises(InputError, match=sentence):
        open_recording(tmp_path / name)


def test_files_that_belong_to_a_recording_may_not_be_links_to_nothing_either(shared, tmp_path):
    eeglab = writable_copy(shared / "realdata" / "eeg" / "test_raw.set", tmp_path)
    eeglab.with_suffix(".fdt").symlink_to("nothing.fdt")
    with pytest.raises(InputError, match=r"^test_raw\.fdt is a link to a file that is not here"):
        open_recording(eeglab)
    folder = writable_copy(shared / "realdata" / "meg_ctf" / "somMDYO-18av.ds", tmp_path)
    (folder / "somMDYO-18av.meg4").unlink()
    (folder / "somMDYO-18av.meg4").symlink_to("nothing.meg4")
    with pytest.raises(InputError, match=r"^somMDYO-18av\.meg4 is a link to a file that is not here"):
        open_recording(folder)


def test_a_link_that_leads_somewhere_is_followed(tmp_path):
    path = save(make_raw(), tmp_path / "a_raw.fif")
    (tmp_path / "b_raw.fif").symlink_to(path)
    assert open_recording(tmp_path / "b_raw.fif").n_times == 400
