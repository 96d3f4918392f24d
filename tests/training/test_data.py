"""A run's recordings become batches: what lacks is made, nobody is lost in silence, and validation stays apart."""

import dataclasses
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from megxl.data.code_grid import WindowGrid
from megxl.data.codes import write_codes
from megxl.data.recording_split import RecordingSplit
from megxl.errors import InputError
from megxl.signals.normalization import scale_blocks
from megxl.store.store import Store
from tests.data.small_corpus import make_small, spoil
from tests.data.told import told
from tests.training.small_run import make_codec, make_store, small_codec, small_config

lightning = pytest.importorskip("lightning.pytorch")

from megxl.training.checks import check_before_work  # noqa: E402
from megxl.training.data import PretrainData, Watcher  # noqa: E402
from megxl.training.masks import hide  # noqa: E402

SMALL = "tests.data.small_corpus:Small"


class Heard(Watcher):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple] = []

    def prepares(self, corpus, count):
        self.told.append(("prepares", corpus, count))

    def finished(self, outcome):
        self.told.append((outcome.kind, outcome.key))

    def encodes(self, corpus, count):
        self.told.append(("encodes", corpus, count))

    def encoded(self, done, total):
        self.told.append(("encoded", done, total))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Two corpora, 5 recordings of 40 s each, whose codes in windows of 6 s are written; a corpus in files."""
    folder = tmp_path_factory.mktemp("data")
    make_store(folder, corpora=("armeni", "camcan"))
    make_codec(folder)
    write_codes(Store(folder / "store"), None, small_codec(), WindowGrid(window_s=6.0))
    make_small(folder / "files", subjects=4, seconds=8.0)
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


BOTH = [{"type": "armeni", "split": {"validation": 0.2}}, {"type": "camcan", "split": {"validation": 0.4}}]


def data_of(folder: Path, watch: Watcher | None = None, **changes) -> PretrainData:
    changes = {"datasets_config": BOTH, "data__cache_dir": str(folder / "store")} | changes
    return PretrainData(small_config(folder, **changes), small_codec(), watch=watch)


def ready(folder: Path, watch: Watcher | None = None, **changes) -> PretrainData:
    data = data_of(folder, watch, **changes)
    data.prepare_data()
    data.setup("fit")
    return data


def from_files(folder: Path, **block) -> dict:
    known = {"type": SMALL, "data_root": str(folder / "files"), "val_subjects": ["sub-02"]}
    return {"datasets_config": [known | block], "data__cache_dir": str(folder / "new"), "data__prepare_workers": 0}


def places(batches) -> list[tuple[str, float]]:
    return [place for batch in batches for place in zip(batch.keys, batch.start_s_B.tolist(), strict=True)]


def test_what_lacks_is_prepared_and_encoded_once(folder):
    heard = Heard()
    data = ready(folder, heard, **from_files(folder))
    keys = [f"small/sub-0{number}_task-rest" for number in (1, 2, 3, 4)]
    made = [key for kind, *key in heard.told if kind == "made"]
    assert sorted(key for [key] in made) == keys
    assert heard.told[0] == ("prepares", "small", 4)
    assert heard.told[5:] == [("encodes", "small", 4)] + [("encoded", n, 4) for n in (1, 2, 3, 4)]
    assert data.split()["small"].validation == (keys[1],)
    again = Heard()
    ready(folder, again, **from_files(folder))
    assert again.told == [("encodes", "small", 4)] + [("encoded", n, 4) for n in (1, 2, 3, 4)]


def test_batches_hold_the_codes_of_the_stored_signal(folder):
    data = ready(folder, **from_files(folder))
    store = Store(folder / "new")
    for batch in (*data.train_dataloader(), *data.val_dataloader()):
        assert batch.signal_BCT is None and batch.codes_BCTQ.dtype == torch.uint8
        for codes_CTQ, key, start_s in zip(batch.codes_BCTQ, batch.keys, batch.start_s_B.tolist(), strict=True):
            start = round(start_s * 50)
            signal_CT = torch.from_numpy(store.recording(key).read(start, start + 300).copy())
            wanted = small_codec().tokenize(scale_blocks(signal_CT[None], 150))[0]
            assert (codes_CTQ == wanted).float().mean() >= 0.999


def test_only_the_recordings_of_the_run_are_prepared(folder):
    split = {"train": ["small/sub-01_task-rest"], "validation": ["small/sub-03_task-rest"]}
    ready(folder, **from_files(folder, split=split, val_subjects=None))
    assert Store(folder / "new").keys() == ["small/sub-01_task-rest", "small/sub-03_task-rest"]


def test_debug_mode_prepares_two_recordings(folder):
    data = ready(folder, data__debug_mode=True, **from_files(folder))
    assert Store(folder / "new").keys() == ["small/sub-01_task-rest", "small/sub-02_task-rest"]
    assert {part: len(some.recordings) for part, some in data.windows.items()} == {"train": 1, "validation": 1}


def test_a_recording_whose_file_changed_is_prepared_again(folder):
    ready(folder, **from_files(folder))
    old = Store(folder / "new").recording("small/sub-03_task-rest").signal_sha256
    make_small(folder / "more", subjects=5, seconds=8.0)
    shutil.copy(folder / "more" / "sub-05_task-rest_meg.fif", folder / "files" / "sub-03_task-rest_meg.fif")
    changes = from_files(folder)
    notes = check_before_work(small_config(folder, **changes)).notes
    assert "small: 1 recording to prepare (the source changed)." in notes
    heard = Heard()
    ready(folder, heard, **changes)
    assert heard.told[:2] == [("prepares", "small", 1), ("made", "small/sub-03_task-rest")]
    assert Store(folder / "new").recording("small/sub-03_task-rest").signal_sha256 != old


def test_a_recording_that_cannot_be_prepared_ends_the_run_by_its_name(folder):
    spoil(folder / "files" / "sub-03_task-rest_meg.fif", "truncated")
    data = data_of(folder, **from_files(folder))
    with pytest.raises(
        InputError, match=r"1 recording of small could not be prepared \(first: small/sub-03_task-rest: "
    ):
        data.prepare_data()
    assert len(Store(folder / "new").keys()) == 3


def test_codes_that_are_damaged_end_the_run_by_name(folder):
    recording = Store(folder / "store").recordings(corpus="armeni")[2]
    [codes] = recording.folder.glob("codes/*/codes.npy")
    spoil(codes, "truncated")
    with pytest.raises(InputError, match=rf"1 recording of armeni could not be encoded \(first: {recording.key}: "):
        data_of(folder).prepare_data()


def test_validation_never_trains_and_sees_the_same_in_every_epoch(folder):
    data = ready(folder)
    validation = places(data.val_dataloader())
    seeds = [batch.seeds_B.tolist() for batch in data.val_dataloader()]
    loader, trained = data.train_dataloader(), []
    for epoch in range(3):
        loader.batch_sampler.set_epoch(epoch)
        trained.append(places(loader))
        assert places(data.val_dataloader()) == validation
        assert [batch.seeds_B.tolist() for batch in data.val_dataloader()] == seeds
    assert len({tuple(some) for some in trained}) == 3 and len({frozenset(some) for some in trained}) == 1
    persons = [{key.split("_")[0] for key, _ in some} for some in (trained[0], validation)]
    assert persons[0] | persons[1] == {f"{corpus}/sub-{n}" for corpus in ("armeni", "camcan") for n in range(5)}
    assert not persons[0] & persons[1]
    split = data.split()
    assert {key for key, _ in trained[0]} == {*split["armeni"].train, *split["camcan"].train}
    assert {key for key, _ in validation} == {*split["armeni"].validation, *split["camcan"].validation}


def test_one_signal_under_two_names_is_refused_across_parts(folder):
    for subject, seed in (("sub-0", 70), ("sub-1", 71), ("sub-2", 70)):
        told(folder / "new", [], seconds=40.0, subject=subject, seed=seed, n_sensors=4)
    keys = Store(folder / "new").keys()
    changes = {"data__cache_dir": str(folder / "new"), "data__codes": "online"}
    split = {"train": keys[:2], "validation": keys[2:]}
    with pytest.raises(InputError, match=rf"{keys[0]} \(train\) and {keys[2]} \(validation\) hold the same signal"):
        ready(folder, datasets_config=[{"type": "armeni", "split": split}], **changes)
    split = {"train": [keys[0], keys[2]], "validation": [keys[1]]}
    ready(folder, datasets_config=[{"type": "armeni", "split": split}], **changes)


def test_what_is_left_out_is_counted_in_the_notes(folder):
    told(folder / "store", [], seconds=5.0, subject="sub-7", n_sensors=4, seed=70)
    split = {"train": [f"armeni/sub-{n}_ses-1" for n in (0, 1, 7)], "validation": ["armeni/sub-2_ses-1"]}
    data = ready(folder, datasets_config=[{"type": "armeni", "split": split}])
    assert data.notes == [
        "armeni, train: 12 windows of 6 s from 3 recordings; 13.0 s of 85.0 s (15.3 %) at their ends fill no window; "
        "shorter than a window: 1 (first: armeni/sub-7_ses-1).",
        "armeni, validation: 6 windows of 6 s from 1 recordings; 4.0 s of 40.0 s (10.0 %) at their ends fill no "
        "window.",
        "An epoch of training: 12 windows, 6 batches on each device.",
    ]


def test_recordings_for_test_are_told_and_not_even_prepared(folder):
    changes = from_files(folder, split={"validation": 0.25, "test": 0.5}, val_subjects=None)
    notes = check_before_work(small_config(folder, **changes)).notes
    assert "small: 2 recordings for test: not used in training." in notes
    data = ready(folder, **changes)
    used = {key for key, _ in places(data.train_dataloader()) + places(data.val_dataloader())}
    assert used == set(Store(folder / "new").keys()) and len(used) == 2


def test_a_share_of_the_recordings_is_chosen_and_told(folder):
    data = ready(folder, data__recording_subsample_prop=0.5)
    assert [len(split.train) for split in data.split().values()] == [2, 2]  # of 4 and of 3
    assert [len(split.validation) for split in data.split().values()] == [1, 2]
    assert "armeni: 2 of 4 recordings for training, by choice of the subsample." in data.notes


def test_the_order_follows_sampler_seed_and_the_chance_of_items_seed(folder):
    def drawn(**changes):
        batches = list(ready(folder, **changes).train_dataloader())
        seeds = [seed for batch in batches for seed in batch.seeds_B.tolist()]
        return places(batches), dict(zip(places(batches), seeds, strict=True))

    (order, seeds), (other_order, same_seeds) = drawn(), drawn(training__sampler_seed=43)
    same_order, other_seeds = drawn(seed=2)
    assert order != other_order and seeds == same_seeds
    assert order == same_order and not set(seeds.values()) & set(other_seeds.values())


def test_recordings_stay_together_unless_windows_are_to_be_mixed(folder):
    def changes_of_recording(**changes):
        keys = [key for key, _ in places(ready(folder, training__batch_size=1, **changes).train_dataloader())]
        return sum(one != other for one, other in pairwise(keys))

    assert changes_of_recording() == 6  # seven recordings
    assert changes_of_recording(training__use_recording_sampler=False) > 20


def test_a_limited_validation_is_spread_over_all_recordings(folder):
    data = ready(folder, trainer__limit_val_batches=3)
    validation = places(data.val_dataloader())
    split = data.split()
    assert len(validation) == 6 and len(data.val_dataloader()) == 3
    assert {key for key, _ in validation} == {*split["armeni"].validation, *split["camcan"].validation}
    everything = places(ready(folder).val_dataloader())
    assert validation == everything[::3]
    assert "6 of 18 windows validate, spread evenly over the recordings (trainer.limit_val_batches = 3)." in data.notes
    assert places(data.guesser_batches("validation")) == validation


@pytest.mark.parametrize("codes", ["cached", "online"])
def test_guessers_see_the_codes_and_masks_of_validation(folder, codes):
    sizes = check_before_work(small_config(folder)).sizes
    guessed = list(ready(folder, data__codes=codes).guesser_batches("validation"))
    for batch, validated in zip(guessed, ready(folder).val_dataloader(), strict=True):
        assert batch.keys == validated.keys and torch.equal(batch.start_s_B, validated.start_s_B)
        assert torch.equal(hide(batch, sizes, 25).mask_BT, hide(validated, sizes, 25).mask_BT)
        assert (batch.codes_BCTQ == validated.codes_BCTQ).float().mean() > 0.999


def test_guessers_may_see_a_part_of_training_from_all_over_it(folder):
    data = ready(folder)
    whole = [batch.keys for batch in data.guesser_batches("train")]
    part = [batch.keys for batch in data.guesser_batches("train", 4)]
    assert len(part) == 4 and part == [whole[n * len(whole) // 4] for n in range(4)]
    assert {key.split("/")[0] for keys in part for key in keys} == {"armeni", "camcan"}
    assert sorted(places(data.guesser_batches("train"))) == sorted(places(data.train_dataloader()))


def test_online_batches_hold_the_signal_which_is_scaled_on_the_device(folder):
    data = ready(folder, data__codes="online", data__jitter=True)
    assert not list((folder / "new").glob("*"))
    loader = data.train_dataloader()
    first = places(loader)
    loader.batch_sampler.set_epoch(1)
    assert {start_s % 6 for _, start_s in places(loader)} != {start_s % 6 for _, start_s in first}
    batch = next(iter(data.val_dataloader()))
    assert batch.codes_BCTQ is None and float(batch.signal_BCT.abs().max()) < 1e-9
    masked = data.on_after_batch_transfer(hide(batch, check_before_work(small_config(folder)).sizes, 25), 0)
    torch.testing.assert_close(masked.batch.signal_BCT, scale_blocks(batch.signal_BCT, 150), rtol=0, atol=0)
    assert all(start_s % 6 == 0 for _, start_s in places(data.val_dataloader()))


def test_runs_of_one_listener_can_be_split_and_it_is_told(folder):
    for number in range(4):
        told(folder / "new", [], seconds=20.0, corpus="smn4lang", subject="sub-01", session=None, run=f"run-{number}",
             n_sensors=4, seed=number)  # fmt: skip
    changes = {"datasets_config": [{"type": "smn4lang", "val_runs": ["run-2"]}], "data__cache_dir": str(folder / "new")}
    split = ready(folder, **changes).split()["smn4lang"]
    assert split.validation == ("smn4lang/sub-01_run-2",)
    assert split.train == tuple(f"smn4lang/sub-01_run-{number}" for number in (0, 1, 3))
    notes = check_before_work(small_config(folder, **changes)).notes
    assert any(note.startswith("smn4lang: 1 of 1 subject in validation is trained on too") for note in notes)


def test_a_split_in_a_file_is_taken_as_it_is(folder):
    split = RecordingSplit(train=("armeni/sub-4_ses-1",), validation=("armeni/sub-1_ses-1", "armeni/sub-0_ses-1"))
    split.save(folder / "split.json")
    data = ready(folder, datasets_config=[{"type": "armeni", "split": str(folder / "split.json")}])
    assert dataclasses.replace(data.split()["armeni"], source="") == split


def test_workers_stay_only_if_they_are_to(folder):
    for stay in (True, False):
        data = ready(folder, training__num_workers=1, training__persistent_workers=stay)
        assert data.train_dataloader().persistent_workers is stay
        assert data.val_dataloader().persistent_workers is stay
