"""What is wrong with a run is said before any work, in one sentence with its key, and no file is made."""

import dataclasses
import re
import shutil
import tempfile
from pathlib import Path

import pytest
import torch

from megxl.checkpoints.released import write_released
from megxl.data.code_grid import WindowGrid
from megxl.data.codes import write_codes
from megxl.data.recording_split import RecordingSplit
from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.sizes import MEGXLConfig
from megxl.store.store import Store
from megxl.training.checks import check_before_work
from megxl.training.recordings import choose_all
from tests.data.small_corpus import make_small, spoil
from tests.data.told import told
from tests.rights import forbidden
from tests.training.small_run import (
    CODEC,
    make_codec,
    make_store,
    pretrain_here,
    small_codec,
    small_config,
    write_config,
)

KEYS = [f"armeni/sub-{number}_ses-1" for number in range(5)]
SMALL = "tests.data.small_corpus:Small"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checks")
    make_store(folder)
    make_codec(folder)
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """Store, tokenizer and a corpus in files, of its own for a test."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder with size and time, hidden ones too."""
    found = {path: path.lstat() for path in folder.rglob("*")}
    return {str(path): (facts.st_size, facts.st_mtime_ns) for path, facts in found.items()}


def refused(folder: Path, message: str, **changes) -> str:
    before = listing(folder)
    with pytest.raises(InputError, match=message) as caught:
        check_before_work(small_config(folder, **changes))
    assert listing(folder) == before
    return str(caught.value)


def armeni(**keys) -> dict:
    return {"datasets_config": [{"type": "armeni", **keys}]}


def test_a_sound_run_passes_and_makes_no_file(folder):
    before = listing(folder)
    checked = check_before_work(small_config(folder))
    assert listing(folder) == before
    assert (checked.tokens, checked.sizes.levels, checked.sizes.masked_blocks) == (25, CODEC.levels, 1)
    assert checked.tokenizer.config == CODEC
    assert any("RANDOM WEIGHTS" in note for note in checked.notes)


REFUSED = {
    "placeholder": (armeni(data_root="/path/to/armeni"), r"datasets_config\.0\.data_root = '/path/to/armeni'.*=FOLDER"),
    "no root": (
        armeni(data_root="/nowhere/armeni"),
        r"datasets_config\.0\.data_root = /nowhere/armeni: there is no such folder; .* or null",
    ),
    "nobody trains": (
        armeni(split={"train": [], "validation": KEYS[:1]}),
        r"datasets_config\.0 \(armeni\): its split leaves nobody to train on",
    ),
    "nobody validates": (
        armeni(split={"train": KEYS, "validation": []}),
        "datasets_config leaves nobody to validate on",
    ),
    "a recording in both parts": (
        armeni(split={"train": KEYS[:3], "validation": KEYS[2:]}),
        r"datasets_config\.0 \(armeni\): train and validation share 1 subject \(first: armeni/sub-2\).*take them out",
    ),
    "nobody of that name": (
        armeni(subjects=["sub-9"], split={"validation": 0.5}),
        r"datasets_config\.0 \(armeni\): .*sub-9; there are: sub-0",
    ),
    "nobody of that name validates": (armeni(val_session=["ses-9"]), r"datasets_config\.0 \(armeni\): .*ses-9"),
    "no such split": (armeni(split="mine"), r"datasets_config\.0 \(armeni\): .*no split 'mine'"),
    "two corpora of one name": (
        {"datasets_config": [{"type": "armeni"}, {"type": "armeni", "validation_only": True}]},
        r"datasets_config\.1.*each corpus once",
    ),
    "other high-pass": (
        {"data__l_freq": 0.5},
        r"sub-\d_ses-1 was .*low_hz is 0.1, data.l_freq is 0.5. Set data.l_freq=0.1",
    ),
    "other low-pass": ({"data__h_freq": 45}, r"high_hz is 40, data.h_freq is 45. .* or name another data.cache_dir"),
    "other rate": (
        {"data__target_sfreq": 100, "model__sampling_rate": 100},
        r"sfreq_hz is 50, data.target_sfreq is 100. Set data.target_sfreq=50",
    ),
    "rates of model and data": (
        {"data__target_sfreq": 100},
        r"model.sampling_rate = 50, but data.target_sfreq = 100.* both the same",
    ),
    "no tokenizer": ({"model__tokenizer_ckpt": "gone.pt"}, r"model.tokenizer_ckpt = gone.pt: "),
    "other code books": ({"model__vocab_size": 256}, r"model.vocab_size = 256, but the tokenizer has 16 codes"),
    "no whole block": ({"data__segment_length": 2.9}, r"data.segment_length = 2.9 s has no whole block of 3 s"),
    "more hidden than there is": (
        {"model__num_subsegments_to_mask": 3},
        r"model.num_subsegments_to_mask = 3, but .* 6 s has 2 blocks of 3 s; allowed: at most 2, or null",
    ),
    "nothing hidden": ({"model__mask_duration": 0.1}, r"model.mask_duration = 0.1: .*nothing would be masked"),
    "no store": (
        {"data__cache_dir": "/nowhere/store"},
        r"datasets_config\.0 \(armeni\): .*Give datasets_config\.0\.data_root",
    ),
    "a corpus that is not stored": (
        {"datasets_config": [{"type": "armeni", "split": {"validation": 0.2}}, {"type": "camcan"}]},
        r"datasets_config\.1 \(camcan\): .*holds no recording of camcan \(there are: armeni\)",
    ),
    "jitter of cached codes": (
        {"data__jitter": True},
        r"data.jitter = true .* set data.codes=online, or data.jitter=false",
    ),
    "shuffled cached codes": (
        {"data__shuffle_segments": True},
        r"data.shuffle_segments = true .* set data.codes=online",
    ),
    "no multiple": (
        {"training__batch_size": 1, "training__batch_seconds": 15},
        r"training.batch_seconds = 15 is no multiple of data.segment_length = 6; allowed: 12",
    ),
    "all too short": (
        {"data__segment_length": 60},
        r"data.segment_length = 60: none of 4 recordings for train is as long .* lasts 40.0 s",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_become_a_training_is_refused_by_its_key(folder, case):
    changes, message = REFUSED[case]
    refused(folder, message, **changes)


COMMANDS = ["placeholder", "nobody validates", "a recording in both parts", "other high-pass", "other code books"]


@pytest.mark.parametrize("case", COMMANDS)
def test_the_command_refuses_it_in_one_sentence_and_makes_no_file(folder, case, capsys):
    changes, message = REFUSED[case]
    write_config(folder, **changes)
    before = listing(folder)
    assert pretrain_here(folder) == 2
    said = capsys.readouterr().err
    assert re.search(message, " ".join(said.split())) and "Traceback" not in said, said
    assert listing(folder) == before


def test_a_folder_with_something_else_is_no_store(folder):
    (folder / "old").mkdir()
    (folder / "old" / "sub-01.h5").write_bytes(b"published cache")
    refused(
        folder,
        r"data.cache_dir = .*old is no store .*\(sub-01.h5\); name a store, or a new folder",
        data__cache_dir=str(folder / "old"),
    )


def test_codes_of_another_tokenizer_are_refused_where_the_store_is_used_as_it_is(folder):
    grid = WindowGrid(window_s=6.0)
    write_codes(Store(folder / "store"), None, small_codec(seed=7), grid)
    refused(
        folder,
        r"datasets_config\.0 \(armeni\): the codes in the store were made by another tokenizer .*data.codes=online",
    )
    check_before_work(small_config(folder, data__codes="online"))
    check_before_work(small_config(folder, data__segment_length=9.0))  # of other windows there are none
    write_codes(Store(folder / "store"), None, small_codec(), grid)
    check_before_work(small_config(folder))  # those of this tokenizer are there as well


def test_a_store_that_cannot_be_written_to_is_refused_where_something_lacks(made):
    folder = Path(tempfile.mkdtemp())
    try:
        shutil.copytree(made, folder, dirs_exist_ok=True)
        make_small(folder / "files", subjects=2, seconds=4.0)
        read_only(folder)
        check_before_work(small_config(folder))
        with forbidden(0o755):
            refused(
                folder, r"4 recordings of armeni have no codes|5 recordings of armeni have no codes .*data.codes=online"
            )
            check_before_work(small_config(folder, data__codes="online"))
            blocks = [{"type": SMALL, "data_root": str(folder / "files"), "split": {"validation": 0.5}}]
            refused(folder, "2 recordings must be prepared .* cannot be written to", datasets_config=blocks)
    finally:
        shutil.rmtree(folder)


def read_only(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_weights_to_begin_with_must_read_the_same_codes(folder):
    sizes = MEGXLConfig(width=16, layers=1, heads=2, fourier_width=8, codes=16, code_width=4, levels=4)
    MEGXL(sizes).save_pretrained(folder / "start")
    start = str(folder / "start")
    refused(
        folder,
        r"model.init_from = .*start has levels = 4, this run has 3.* model.swap_tokenizer=true",
        model__init_from=start,
    )
    MEGXL(dataclasses.replace(sizes, levels=3), small_codec()).save_pretrained(folder / "start")
    check_before_work(small_config(folder, model__init_from=start))
    refused(folder, "width = 16, this run has 32.* or other weights.$", model__init_from=start, model__latent_dim=32)
    refused(folder, r"model.init_from = .*gone", model__init_from=str(folder / "gone.ckpt"))


@pytest.mark.parametrize("carried", [True, False])
def test_weights_of_a_tokenizer_of_equal_sizes_are_refused_unless_it_is_swapped(folder, carried):
    sizes = MEGXLConfig(width=16, layers=1, heads=2, fourier_width=8, codes=16, code_width=4, levels=3)
    model = MEGXL(sizes, small_codec(seed=1))
    if not carried:
        model.tokenizer = None
    start = str(model.save_pretrained(folder / "start"))
    refused(
        folder,
        r"start was trained with another tokenizer than model.tokenizer_ckpt = .*codec of the same sizes; .*swap_tok",
        model__init_from=start,
    )
    notes = check_before_work(small_config(folder, model__init_from=start, model__swap_tokenizer=True)).notes
    assert any("begins at random: the tokenizer was swapped" in note for note in notes)


def test_swapping_needs_weights_to_begin_with(folder):
    with pytest.raises(InputError, match=r"swap_tokenizer = true .* model\.init_from, which is null"):
        small_config(folder, model__swap_tokenizer=True)


@pytest.mark.parametrize("how", ["resume", "named"])
def test_a_run_does_not_go_on_with_another_tokenizer_at_the_old_path(folder, how):
    run = folder / "run"
    (run / "checkpoints").mkdir(parents=True)
    sizes = MEGXLConfig(width=16, layers=1, heads=2, fourier_width=8, codes=16, code_width=4, levels=3)
    last = write_released(run / "checkpoints" / "last.ckpt", MEGXL(sizes, small_codec()).to_checkpoint())
    torch.save(torch.load(last, weights_only=True) | {"loops": {}, "global_step": 3}, last)
    named = {"checkpoint__resume": True, "checkpoint__resume_path": str(last)}
    changes = {"resume": True} if how == "resume" else named
    check_before_work(small_config(folder, **changes))
    small_codec(seed=1).save_pretrained(folder / "codec")
    said = r"model.tokenizer_ckpt = .*codec is not the tokenizer with which .*last.ckpt was trained; put that one back"
    refused(folder, said, **changes)
    check_before_work(small_config(folder))  # a new run may take it


def test_a_tokenizer_of_another_rate_is_told(folder):
    codec = small_codec()
    codec.recipe = {"signal": {"sfreq_hz": 250.0}}
    codec.save_pretrained(folder / "codec")
    notes = check_before_work(small_config(folder)).notes
    assert [note for note in notes if "trained on signals of 250 Hz and is used on ones of 50 Hz" in note]


def test_sizes_of_codes_are_the_tokenizer_s_unless_they_are_contradicted(folder):
    small_codec(0, dataclasses.replace(CODEC, levels=8, codes=300, strides=(2, 2, 2))).save_pretrained(folder / "codec")
    checked = check_before_work(small_config(folder, model__vocab_size=None))
    assert (checked.sizes.levels, checked.sizes.codes, checked.sizes.samples_per_token) == (8, 300, 8)
    assert (checked.tokens, checked.sizes.masked_blocks) == (38, 1)  # of 37.5, and of two blocks of 3 s
    check_before_work(small_config(folder, model__vocab_size=300))
    refused(folder, "model.vocab_size = 256, but the tokenizer has 300 codes a level", model__vocab_size=256)


def test_a_damaged_recording_is_refused_by_name(folder):
    recording = Store(folder / "store").recording(KEYS[3])
    spoil(recording.folder / recording.signal.facts.file, "truncated")
    refused(folder, rf"{KEYS[3]} is damaged in the store: .* --repair")


def test_persons_in_both_parts_are_told_where_the_split_is_one_of_recordings(folder):
    told(folder / "store", [], seconds=40.0, subject="sub-0", session="ses-2", n_sensors=4, seed=50)
    second = "armeni/sub-0_ses-2"
    RecordingSplit(train=tuple(KEYS[:3]), validation=(second, KEYS[3])).save(folder / "split.json")
    RecordingSplit(train=tuple(KEYS[:3]), validation=tuple(KEYS[3:])).save(folder / "apart.json")
    notes = check_before_work(small_config(folder, **armeni(split=str(folder / "split.json")))).notes
    told_so = "armeni: 1 of 2 subjects in validation is trained on too, in other recordings: the split is one of "
    assert [note for note in notes if "trained on" in note] == [told_so + "recordings."]
    apart = check_before_work(small_config(folder, **armeni(split=str(folder / "apart.json"))))
    assert not any("trained on too" in note for note in apart.notes)
    refused(folder, "share 1 subject", **armeni(split={"train": KEYS[:3], "validation": [second, KEYS[3]]}))


@pytest.mark.parametrize("rule", [{"validation": 0.5}, {"train": [KEYS[0]], "validation": ["armeni/sub-0_ses-2"]}])
def test_recordings_of_one_listener_are_split_by_recording_and_the_refusal_says_so(folder, rule):
    told(folder / "store", [], seconds=40.0, subject="sub-0", session="ses-2", n_sensors=4, seed=50)
    mend = r"share 1 subject.*|by subject.*"
    blocks = armeni(subjects=["sub-0"], split=rule)
    refused(folder, rf"({mend})Or give datasets_config\.0\.split\.by=recording", **blocks)
    chosen = choose_all(small_config(folder, **armeni(subjects=["sub-0"], split=rule | {"by": "recording"})))
    assert [len(chosen[0].split.train), len(chosen[0].split.validation)] == [1, 1]
    # what is wrong otherwise is not mended by that
    message = refused(folder, "not in the store", **armeni(split={"train": KEYS[:1], "validation": ["armeni/sub-7"]}))
    assert "by=recording" not in message


def test_a_person_never_validates_and_trains_where_subjects_are_split(folder):
    for number, session in enumerate(("ses-1", "ses-1", "ses-2")):
        subject = f"sub-{number % 2}"
        told(folder / "new", [], seconds=40.0, corpus="camcan", subject=subject, session=session, seed=number)
    blocks = [{"type": "camcan", "val_subjects": ["sub-0"]}]
    [one] = choose_all(small_config(folder, datasets_config=blocks, data__cache_dir=str(folder / "new")))
    assert one.split.validation == ("camcan/sub-0_ses-1", "camcan/sub-0_ses-2")
    assert one.split.train == ("camcan/sub-1_ses-1",)


def test_a_corpus_in_files_is_split_by_names_before_anything_is_prepared(folder):
    make_small(folder / "files", subjects=3, seconds=4.0)
    blocks = [{"type": SMALL, "data_root": str(folder / "files"), "val_subjects": ["sub-02"]}]
    config = small_config(folder, datasets_config=blocks, data__cache_dir=str(folder / "new"))
    before = listing(folder)
    checked = check_before_work(config)
    assert listing(folder) == before
    assert "small: 3 recordings to prepare (not in the store)." in checked.notes
    [one] = choose_all(config)
    assert one.split.validation == ("small/sub-02_task-rest",)
    assert sorted(one.split.train) == ["small/sub-01_task-rest", "small/sub-03_task-rest"]
    changes = {"data__cache_dir": str(folder / "new"), "datasets_config": [blocks[0] | {"val_subjects": ["sub-07"]}]}
    refused(folder, r"datasets_config\.0 \(small\): .*sub-07", **changes)
