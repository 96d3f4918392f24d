import dataclasses
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from megxl.data import cached_codes
from megxl.data.batch import collate
from megxl.data.cached_codes import CachedCodes, open_codes, stale_codes
from megxl.data.code_grid import WindowGrid
from megxl.data.codes import write_codes
from megxl.data.dataset import WindowDataset
from megxl.data.group_dataset import WordGroupDataset
from megxl.data.groups import Grouping, word_groups
from megxl.data.windows import fixed_windows
from megxl.errors import InputError
from megxl.signals.normalization import scale_blocks
from megxl.sizes import BioCodecConfig
from megxl.store.keys import StoreFull
from megxl.store.store import Store
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.fingerprint import codec_fingerprint
from tests.data.told import STORY, told

SMALL = BioCodecConfig(filters=4, width=16, code_width=4)
WINDOWS = WindowGrid(window_s=9.0)
GRIDS = [WINDOWS, Grouping(words=5), Grouping(words=4, layout="contiguous")]


def small_codec(seed: int = 0) -> BioCodec:
    torch.manual_seed(seed)
    return BioCodec(SMALL).eval()


@pytest.fixture
def codec() -> BioCodec:
    return small_codec()


@pytest.fixture
def store(tmp_path) -> Store:
    """Three recordings, two sensor arrays."""
    for number, sensors in enumerate((4, 5, 4)):
        told(tmp_path / "s", STORY[:60], subject=f"sub-{number}", n_sensors=sensors, seed=number)
    return Store(tmp_path / "s")


def items_of(recordings, grid, **options):
    if isinstance(grid, WindowGrid):
        return WindowDataset(fixed_windows(recordings, grid.window_s), seed=0, **options)
    return WordGroupDataset(word_groups(recordings, grid), seed=0, **options)


def folders(recording) -> list[Path]:
    return [place for place in (recording.folder / "codes").glob("*") if not place.name.startswith(".")]


@pytest.mark.parametrize("grid", GRIDS, ids=["windows", "tape", "contiguous"])
def test_items_hold_the_codes_of_their_signal(store, codec, grid):
    recordings = store.recordings()
    report = write_codes(store, None, codec, grid)
    codes = open_codes(recordings, grid, codec)
    cached, fresh = items_of(recordings, grid, codes=codes, signal=False), items_of(recordings, grid)
    assert report.items == len(cached) > 5 and report.written == store.keys()
    for n in range(len(cached)):
        item, with_signal = cached[n], fresh[n]
        assert item.signal_CT is None and item.codes_CTQ.dtype == torch.uint8
        wanted = codec.tokenize(scale_blocks(with_signal.signal_CT[None], 150))[0]
        assert item.codes_CTQ.shape == wanted.shape
        assert (item.codes_CTQ == wanted).float().mean() >= 0.999
        assert (item.seed, item.words, item.key) == (with_signal.seed, with_signal.words, with_signal.key)


def test_batches_of_mixed_arrays_hold_codes(store, codec):
    write_codes(store, None, codec, WINDOWS)
    recordings = store.recordings()
    dataset = items_of(recordings, WINDOWS, codes=open_codes(recordings, WINDOWS, codec), signal=False)
    batch = collate([dataset[0], dataset[3]], {"armeni": 0})
    assert batch.signal_BCT is None and batch.codes_BCTQ.shape == (2, 5, 38, 6)
    assert batch.sensor_mask_BC.sum(1).tolist() == [4, 5]


def test_rows_of_codes_follow_a_canonical_order(store, codec):
    write_codes(store, None, codec, WINDOWS)
    recordings = store.recordings()
    codes = open_codes(recordings, WINDOWS, codec)
    item = items_of(recordings, WINDOWS, codes=codes, channels="canonical")[0]
    present = item.sensor_mask_C
    assert len(present) == 5 and present.sum() == 4 and not item.codes_CTQ[~present].any()
    wanted = codec.tokenize(scale_blocks(item.signal_CT[present][None], 150))[0]
    assert (item.codes_CTQ[present] == wanted).float().mean() >= 0.999


def test_a_second_run_encodes_nothing_and_checks_a_sample(store, codec, monkeypatch):
    seen = []
    written = write_codes(store, None, codec, WINDOWS, advance=lambda *told: seen.append(told))
    each, all_ = written.items // 3, written.items
    assert each > 1 and seen == [(n, all_) for n in range(1, all_ + 1)]
    rows = []
    encode = cached_codes.encode
    monkeypatch.setattr(cached_codes, "encode", lambda x, *rest: rows.append(len(x)) or encode(x, *rest))
    seen.clear()
    report = write_codes(store, None, codec, WINDOWS, advance=lambda *told: seen.append(told))
    assert (report.written, report.current, report.items) == ([], store.keys(), 0)
    assert seen == [(n * each, all_) for n in (1, 2, 3)] and len(rows) == cached_codes.SAMPLED_ITEMS
    assert report.agreement == 1.0 and "100.000% of a sample" in report.summary


def test_a_new_recording_is_added(store, codec, tmp_path):
    write_codes(store, None, codec, WINDOWS)
    new = told(tmp_path / "s", STORY[:60], subject="sub-9")
    assert write_codes(store, None, codec, WINDOWS).written == [new.key]


def test_recordings_without_an_item_are_named(store, codec, tmp_path):
    short = told(tmp_path / "s", STORY[:3], subject="sub-8")
    report = write_codes(store, None, codec, WINDOWS)
    assert report.empty == [short.key] and "1 too short or without words" in report.summary
    open_codes(store.recordings(), WINDOWS, codec)


def test_a_damaged_recording_is_named_and_the_others_are_done(store, codec):
    damaged = store.recordings()[1]
    path = damaged.folder / damaged.signal.facts.file
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    report = write_codes(store, None, codec, WINDOWS)
    assert list(report.failed) == [damaged.key] and "damaged" in report.failed[damaged.key]
    assert len(report.written) == 2 and not folders(damaged)


def test_codes_of_another_tokenizer_grid_or_place_of_words_are_refused_by_name(store, codec, tmp_path):
    grid = Grouping(words=5)
    write_codes(store, None, codec, grid)
    recordings = store.recordings()
    with pytest.raises(InputError, match=r"3 of 3 recordings .*armeni/sub-0_ses-1.*of another tokenizer"):
        open_codes(recordings, grid, small_codec(1))
    with pytest.raises(InputError, match=r"of another grid.*prepare --codes"):
        open_codes(recordings, Grouping(words=6), codec)
    moved = [dict(word) for word in recordings[0].words]
    moved[2]["onset_s"] += 0.1  # inside of its group, which takes the same samples as before
    with pytest.raises(InputError, match=r"1 of 1 .*of another grid"):
        open_codes([dataclasses.replace(recordings[0], words=moved)], grid, codec)
    with pytest.raises(InputError, match=r"no such codes \(first: armeni/sub-0_ses-1\)"):
        open_codes(recordings, WINDOWS, codec)


def test_codes_of_an_older_signal_are_named_and_not_read(store, codec, tmp_path):
    write_codes(store, None, codec, WINDOWS)
    again = told(tmp_path / "s", STORY[:60], subject="sub-0", seed=77)
    (old,) = folders(again)
    assert stale_codes(again) == {old.name: "the recording was prepared again"}
    with pytest.raises(InputError, match="codes of another signal"):
        open_codes([again], WINDOWS, codec)
    report = write_codes(store, None, codec, WINDOWS)
    assert report.written == [again.key] and report.stale == {again.key: [old.name]}
    assert "stale codes that can be deleted beside 1 recordings" in report.summary
    assert old.is_dir()  # named, not deleted behind one's back


def test_an_open_reader_gives_no_codes_of_what_was_there_before(store, codec, tmp_path):
    grid = Grouping(words=5)
    for some in (WINDOWS, grid):
        write_codes(store, None, codec, some)
    windows, words = (open_codes(store.recordings(), some, codec) for some in (WINDOWS, grid))
    first = store.recordings()[0]
    group = word_groups([first], grid).groups[0]
    windows.read(first, 0, 450), words.read(first, group.start, group.stop)
    moved = [dict(word) for word in first.words]
    moved[2]["onset_s"] += 0.1  # inside of its group, which takes the same samples as before
    with store.writing(first.key) as writer:
        other = writer.rewrite(words=moved)
    with pytest.raises(InputError, match="codes of another grid"):
        words.read(other, group.start, group.stop)
    windows.read(other, 0, 450)  # the signal is the same
    again = told(tmp_path / "s", STORY[:60], subject="sub-0", seed=77)
    with pytest.raises(InputError, match="codes of another signal"):
        windows.read(again, 0, 450)
    write_codes(store, [again], codec, WINDOWS)
    fresh = open_codes([again], WINDOWS, codec).read(again, 0, 450)
    assert (windows.read(again, 0, 450) == fresh).all()


@pytest.mark.parametrize(
    ("grid", "block"),
    [
        (Grouping(words=6, window_s=2.0, offset_s=-0.5), 100),
        (Grouping(words=3, window_s=4.0, layout="contiguous"), 150),
        (WindowGrid(window_s=9.0, block_s=1.5), 75),
    ],
    ids=["tape", "contiguous", "windows"],
)
def test_codes_are_those_of_the_grid_s_own_blocks(store, codec, grid, block):
    recordings = store.recordings()
    write_codes(store, None, codec, grid)
    items = items_of(recordings, grid, codes=open_codes(recordings, grid, codec))
    wanted, other = (codec.tokenize(scale_blocks(items[1].signal_CT[None], some))[0] for some in (block, 2 * block))
    assert (items[1].codes_CTQ == wanted).float().mean() >= 0.999 > (items[1].codes_CTQ == other).float().mean()


def test_codes_of_other_blocks_are_refused(store, codec):
    write_codes(store, None, codec, WINDOWS)
    with pytest.raises(InputError, match="codes of another normalisation"):
        open_codes(store.recordings(), WindowGrid(window_s=9.0, block_s=1.5), codec)


def test_a_flipped_bit_is_refused_by_name(store, codec):
    write_codes(store, None, codec, WINDOWS)
    recording = store.recordings()[0]
    path = folders(recording)[0] / "codes.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    codes = CachedCodes(WINDOWS, codec_fingerprint(codec))
    windows = fixed_windows([recording], 9.0).windows
    codes.read(recording, windows[0].start, windows[0].stop)
    with pytest.raises(InputError, match=r"sub-0_ses-1: codes.npy of its cached codes is damaged. .*--repair"):
        codes.read(recording, windows[-1].start, windows[-1].stop)
    path.write_bytes(content[:-100])
    with pytest.raises(InputError, match=r"codes.npy .*damaged"):
        CachedCodes(WINDOWS, codec_fingerprint(codec)).read(recording, windows[0].start, windows[0].stop)


@pytest.mark.parametrize("how", ["flipped", "truncated", "no facts"])
def test_damaged_codes_are_named_and_encoded_again_by_repair(store, codec, how):
    write_codes(store, None, codec, WINDOWS)
    recording = store.recordings()[1]
    (folder,) = folders(recording)
    path = folder / ("codes.json" if how == "no facts" else "codes.npy")
    content = bytearray(path.read_bytes())
    before = bytes(content)
    content[-3] ^= how == "flipped"
    path.write_bytes(content if how == "flipped" else content[:-100])
    report = write_codes(store, None, codec, WINDOWS)
    if how != "flipped":  # flipped bits are found when they are read
        assert list(report.failed) == [recording.key] and "--repair" in report.failed[recording.key]
        assert list(store.problems()) == [f"{recording.key}/codes/{folder.name}"]
    assert report.agreement == 1.0 and (len(report.failed) + len(report.current), report.written) == (3, [])
    report = write_codes(store, None, codec, WINDOWS, repair=True)
    assert report.written == [recording.key] and not report.failed and path.read_bytes() == before
    assert write_codes(store, None, codec, WINDOWS, repair=True).written == [] and store.problems() == {}


def test_a_flipped_bit_in_the_sample_is_told_of_its_recording(store, codec):
    write_codes(store, None, codec, WINDOWS)
    for recording in store.recordings()[:2]:
        path = folders(recording)[0] / "codes.npy"
        content = np.frombuffer(path.read_bytes(), np.uint8).copy()
        content[128:] ^= 1  # all items
        path.write_bytes(content.tobytes())
    report = write_codes(store, None, codec, WINDOWS, seed=1)
    assert set(report.failed) <= set(store.keys()[:2]) and report.failed and report.agreement == 1.0


def test_a_full_disk_ends_the_encoding(store, codec, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("megxl.data.codes.os.fsync", full)
    with pytest.raises(StoreFull, match="No space left"):
        write_codes(store, None, codec, WINDOWS)
    assert not any(folders(recording) for recording in store.recordings())


def test_codes_that_do_not_come_out_again_are_refused(store, codec):
    write_codes(store, None, codec, WINDOWS)
    for recording in store.recordings():  # codes of another codec under this one's name, checksums and all
        other = small_codec(1)
        (folder,) = folders(recording)
        for name in ("codes.npy", "codes.json"):
            (folder / name).rename(folder / f"{name}.mine")
        write_codes(store, [recording], other, WINDOWS)
        (theirs,) = [place for place in folders(recording) if place != folder]
        facts = json.loads((folder / "codes.json.mine").read_text())
        facts["crc32"] = json.loads((theirs / "codes.json").read_text())["crc32"]
        (folder / "codes.json").write_text(json.dumps(facts))
        (theirs / "codes.npy").rename(folder / "codes.npy")
    with pytest.raises(InputError, match=r"Only \d.*% of the cached codes .*at least 99.9%.*Delete the folders"):
        open_codes(store.recordings(), WINDOWS, codec)
    with pytest.raises(InputError, match=r"Only \d"):
        write_codes(store, None, codec, WINDOWS)


def test_few_near_ties_are_allowed_and_told(store, codec, monkeypatch):
    write_codes(store, None, codec, WINDOWS)
    encode, ties = cached_codes.encode, [1]

    def with_a_tie(*given):
        codes_CTQ = encode(*given).copy()
        codes_CTQ.reshape(-1)[0] ^= ties.pop() if ties else 0
        return codes_CTQ

    monkeypatch.setattr(cached_codes, "encode", with_a_tie)
    codes = open_codes(store.recordings()[:1], WINDOWS, codec)
    assert codes.agreement == pytest.approx(1 - 1 / (cached_codes.SAMPLED_ITEMS * 4 * 38 * 6))


def test_reference_groups_and_code_books_beyond_two_bytes_are_refused(store, codec):
    with pytest.raises(InputError, match="windows of one length"):
        write_codes(store, None, codec, Grouping(compat="reference"))
    with pytest.raises(InputError, match=r"65,537 codes a level; allowed .*65,536"):
        write_codes(store, None, BioCodec(dataclasses.replace(SMALL, codes=65_537)), WINDOWS)


def test_groups_take_codes_of_their_own_grouping_alone(store, codec):
    grid = Grouping(words=5)
    write_codes(store, None, codec, grid)
    recordings = store.recordings()
    codes = open_codes(recordings, grid, codec)
    assert WordGroupDataset(word_groups(recordings, grid), seed=0, codes=codes, signal=False)[0].codes_CTQ is not None
    with pytest.raises(InputError, match="these groups need those of"):
        WordGroupDataset(word_groups(recordings, Grouping(words=4)), seed=0, codes=codes, signal=False)


def test_one_item_is_in_memory_at_a_time(store, codec, monkeypatch):
    lengths = []
    tokenize = BioCodec.tokenize
    monkeypatch.setattr(BioCodec, "tokenize", lambda self, x: lengths.append(x.shape) or tokenize(self, x))
    write_codes(store, None, codec, WINDOWS)
    assert {shape[0] for shape in lengths} == {1} and {shape[2] for shape in lengths} == {450}


def test_reading_leaves_no_file_open_and_readers_can_be_pickled(store, codec):
    write_codes(store, None, codec, WINDOWS)
    recordings = store.recordings()
    codes = open_codes(recordings, WINDOWS, codec)
    dataset = items_of(recordings, WINDOWS, codes=codes, signal=False)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for n in range(len(dataset)):
        dataset[n]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again[2].codes_CTQ, dataset[2].codes_CTQ)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_read_codes_however_they_start(store, codec, method):
    write_codes(store, None, codec, WINDOWS)
    recordings = store.recordings()
    dataset = items_of(recordings, WINDOWS, codes=open_codes(recordings, WINDOWS, codec), signal=False)
    wanted = [dataset[n].codes_CTQ for n in range(len(dataset))]
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context=method)
    found = [item.codes_CTQ for item in loader]
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True)) and len(found) == len(wanted)


WRITE = """
import sys, time, torch
from megxl.data import codes
from megxl.store.store import Store
from tests.data.test_codes import WINDOWS, small_codec
if sys.argv[2] == "stop":
    encode, done = codes.encode, []
    def slow(*given):
        if len(done) == 4:
            print("here", flush=True)
            time.sleep(60)
        done.append(1)
        return encode(*given)
    codes.encode = slow
store = Store(sys.argv[1])
print(len(codes.write_codes(store, None, small_codec(), WINDOWS).written))
"""


def _writer(store, mode: str) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITE, str(store.path), mode]
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=os.environ | {"PYTHONPATH": "."})


@pytest.mark.slow
def test_a_killed_writer_leaves_whole_codes_and_the_next_run_completes_them(store, codec):
    killed = _writer(store, "stop")
    assert killed.stdout.readline() == "here\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    first, second, third = store.recordings()
    assert len(folders(first)) == 1 and not folders(second)
    report = write_codes(store, None, codec, WINDOWS)
    assert report.current == [first.key] and report.written == [second.key, third.key]
    for recording in (first, second, third):
        assert [place.name for place in (recording.folder / "codes").glob(".*")] == [".lock"]


@pytest.mark.slow
def test_two_writers_share_the_work(store):
    writers = [_writer(store, "go") for _ in range(2)]
    counts = [int(writer.communicate()[0]) for writer in writers]
    assert sum(counts) == 3
    assert open_codes(store.recordings(), WINDOWS, small_codec()).agreement >= 0.999


def _hold(lock: str, key: str, held, free) -> None:
    from megxl.store.locking import locked

    with locked(Path(lock), key):
        held.set()
        free.wait(30)


@pytest.mark.slow
def test_a_recording_that_another_process_encodes_comes_last(store, codec):
    first = store.recordings()[0]
    context = multiprocessing.get_context("spawn")
    held, free = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(str(first.folder / "codes" / ".lock"), first.key, held, free))
    holder.start()
    assert held.wait(60)
    order = []

    def advance(done: int, total: int) -> None:
        if done % (total // 3) == 1:  # the first of a recording
            order.append([len(folders(recording)) for recording in store.recordings()])
        if done == 2 * total // 3:
            free.set()

    report = write_codes(store, None, codec, WINDOWS, advance=advance)
    holder.join()
    assert order == [[0, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert report.written == [recording.key for recording in (*store.recordings()[1:], first)]
