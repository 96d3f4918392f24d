from types import SimpleNamespace

import numpy as np
import pytest

from brainstorm.data.lightning_datamodule import ArmeniMEGDataModule
from brainstorm.data.multi_datamodule import MultiMEGDataModule
from brainstorm.data.multi_dataset import MultiMEGDataset
from brainstorm.data.subsampled_dataset import SubsampledRecordingDataset
from megxl.errors import InputError


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


class Items:
    """Recordings with so many segments; an item says which it is."""

    def __init__(self, name: str, *counts: int) -> None:
        self.corpus = name
        self.recordings = [SimpleNamespace(key=f"{name}/{n}") for n in range(len(counts))]
        self.segment_index = [(r, s) for r, count in enumerate(counts) for s in range(count)]

    def __len__(self) -> int:
        return len(self.segment_index)

    def __getitem__(self, index):
        return {"where": (self.corpus, *self.segment_index[index])}


def test_several_datasets_are_one_after_the_other():
    both = MultiMEGDataset([Items("a", 2, 1), Items("b", 3)], dataset_ids=[0, 4])
    assert both.segment_index == [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2)]
    found = [both[n] for n in range(len(both))]
    assert [item["where"] for item in found] == [
        ("a", 0, 0),
        ("a", 0, 1),
        ("a", 1, 0),
        *(("b", 0, n) for n in range(3)),
    ]
    assert [(item["dataset_idx"], item["dataset_name"]) for item in found] == [(0, "a")] * 3 + [(4, "b")] * 3
    assert both[-1] == both[5]
    for index in (6, -7):
        with pytest.raises(IndexError):
            both[index]


def test_some_recordings_are_drawn_by_the_published_draw():
    dataset = Items("a", 2, 0, 3, 1, 2, 2)
    some = SubsampledRecordingDataset(dataset, 0.5, seed=7)
    drawn = set(np.random.RandomState(7).choice([0, 2, 3, 4, 5], 2, replace=False).tolist())
    assert {some[n]["where"][1] for n in range(len(some))} == drawn
    assert {recording for recording, _ in some.segment_index} == {0, 1}
    assert len(some) == sum(recording in drawn for recording, _ in dataset.segment_index)
    with pytest.raises(InputError, match="above 0, up to 1"):
        SubsampledRecordingDataset(dataset, 0.0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"type": "camcam", "data_root": "x"}, r"type = 'camcam'; allowed: armeni, .*gwilliams"),
        ({"type": "camcan", "data_root": "x"}, r"val_subjects names nobody"),
        (
            {"type": "camcan", "data_root": "x", "val_runs": ["run-1"]},
            r"camcan has no option 'val_runs'; allowed: .*val_subjects",
        ),
        ({"type": "camcan", "data_root": "x", "val_subject": "a"}, r"did you mean 'val_subjects'"),
        ({"type": "smn4lang", "data_root": "x", "sessions": ["run-1"]}, r"smn4lang has no option 'sessions'"),
        ({"type": "armeni"}, r"armeni: data_root is missing"),
        ({"type": "armeni", "data_root": "x", "validation_only": True}, r"at least one has to be trained on"),
    ],
)
def test_configurations_that_would_train_on_validation_or_nothing_are_refused(config, message):
    with pytest.raises(InputError, match=message):
        MultiMEGDataModule([config])


ARMENI = {"type": "armeni", "data_root": "x"}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"debug_mode": True}, r"debug_mode = True; allowed: False"),
        ({"batch_sise": 2}, r"MultiMEGDataModule has no option 'batch_sise'; did you mean 'batch_size'\?"),
        ({"batch_size": 0}, r"batch_size = 0; allowed: 1"),
        ({"num_workers": -1}, r"num_workers = -1; allowed: 0"),
        ({"segment_length": 0.0}, r"segment_length = 0.0; allowed: one sample"),
        ({"max_channel_dim": 0}, r"max_channel_dim = 0; allowed: 1"),
        ({"l_freq": 50.0}, r"A band of 50.0 to 40.0 Hz"),
        ({"recording_subsample_prop": 1.5}, r"above 0, up to 1"),
    ],
)
def test_options_are_checked_before_any_file_is_looked_for(option, message):
    with pytest.raises(InputError, match=message):
        MultiMEGDataModule([ARMENI], **option)


def test_the_data_keys_of_the_published_configuration_are_options():
    keys = {"cache_dir": "./data/cache", "segment_length": 150.0, "debug_mode": False, "l_freq": 0.1, "h_freq": 40.0}
    keys |= {"target_sfreq": 50.0, "recording_subsample_prop": None, "shuffle_segments": False, "num_workers": 6}
    keys |= {"pin_memory": True, "persistent_workers": True, "use_recording_sampler": True, "sampler_seed": 42}
    assert MultiMEGDataModule([ARMENI | {"subjects": None}], batch_size=1, **keys).options["segment_length"] == 150.0


def test_an_unknown_option_of_one_corpus_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="ArmeniMEGDataModule has no option 'val_sesion'; did you mean 'val_session'"):
        ArmeniMEGDataModule("x", val_sesion="ses-009")


@pytest.fixture
def sherlock(mini, cache):
    def module(**block) -> MultiMEGDataModule:
        config = {"type": "libribrain", "data_root": mini / "libribrain"} | block
        rates = {"h_freq": 125.0, "target_sfreq": 250.0}  # so that no filter is needed
        return MultiMEGDataModule([config], cache_dir=cache, segment_length=20.0, **rates)

    return module


@pytest.mark.parametrize(
    ("block", "train", "validation"),
    [
        ({"val_session": "ses-1"}, [("Sherlock1", "ses-2"), ("Sherlock2", "ses-1")], [("Sherlock1", "ses-1")]),
        ({}, [("Sherlock1", "ses-1"), ("Sherlock2", "ses-1")], [("Sherlock1", "ses-2")]),
        ({"tasks": ["Sherlock2"], "val_session": "ses-1"}, [("Sherlock2", "ses-1")], [("Sherlock1", "ses-1")]),
        ({"sessions": ["ses-2"], "val_session": "ses-1"}, [("Sherlock1", "ses-2")], [("Sherlock1", "ses-1")]),
    ],
)
def test_libribrain_is_validated_in_one_session_of_one_book_and_trained_on_all_others(
    sherlock, block, train, validation
):
    module = sherlock(**block)
    module.setup("fit")
    for joined, expected in ((module.train_dataset, train), (module.val_dataset, validation)):
        assert [(r.task, r.session) for r in joined.datasets[0].recordings] == expected


def test_a_validation_name_without_a_recording_is_refused_by_corpus_and_key(sherlock, mini, cache):
    with pytest.raises(InputError, match=r"libribrain: val_session = 'ses-9': .* of Sherlock1 .* ses-1, ses-2\."):
        sherlock(val_session="ses-9").setup("fit")
    with pytest.raises(InputError, match=r"armeni: val_session = 'ses-009': .* sessions ses-001, ses-010\."):
        ArmeniMEGDataModule(mini / "armeni", cache_dir=cache, val_session="ses-009").setup("fit")


def test_a_validation_subject_without_the_task_is_refused(tmp_path, cache):
    for task, subjects in {"rest": ["CC110033"], "smt": ["CC110033", "CC999001"]}.items():
        for subject in subjects:
            folder = tmp_path / task / f"sub-{subject}" / f"ses-{task}" / "meg"
            folder.mkdir(parents=True)
            (folder / f"sub-{subject}_ses-{task}_task-{task}_meg.fif").touch()
    block = {"type": "camcan", "data_root": tmp_path, "tasks": ["rest"]}
    named = {"val_subjects": ["sub-CC110033", "sub-CC999001"]}
    with pytest.raises(InputError, match=r"camcan: val_subjects = 'sub-CC999001': no such recording of rest"):
        MultiMEGDataModule([block | named], cache_dir=cache).setup("fit")


def test_training_that_validation_takes_whole_is_refused(sherlock):
    with pytest.raises(InputError, match=r"libribrain: no recording below .* without ses-1, Sherlock1"):
        sherlock(tasks=["Sherlock1"], sessions=["ses-1"], val_session="ses-1").setup("fit")


@pytest.mark.slow
def test_several_corpora_train_without_their_validation_and_keep_their_numbers(mini, cache):
    module = MultiMEGDataModule(
        [
            {"type": "armeni", "data_root": mini / "armeni", "validation_only": True},
            {"type": "camcan", "data_root": mini / "camcan", "tasks": ["smt"], "val_subjects": ["sub-CC999001"]},
        ],
        cache_dir=cache,
        segment_length=30.0,
        batch_size=2,
    )
    assert module.get_dataset_name_mapping() == {0: "armeni", 1: "camcan"}
    train = list(module.train_dataloader())
    validation = list(module.val_dataloader())
    meg, xyzdir, types, mask, _ = train[0]
    assert meg.shape == (2, 306, 1500) and xyzdir.shape == (2, 306, 6) and types.shape == mask.shape == (2, 306)
    assert {int(n) for batch in train for n in batch[-1]} == {1}
    assert [int(n) for batch in validation for n in batch[-1]] == [0, 0, 1, 1]
    keys = [
        {r.key for d in dataset.datasets for r in d.recordings}
        for dataset in (module.train_dataset, module.val_dataset)
    ]
    assert keys[0] == {f"camcan/sub-CC{n}_ses-smt_task-smt" for n in ("110033", "120065")} and not keys[0] & keys[1]


@pytest.mark.slow
def test_one_corpus_trains_without_its_validation_session(mini, cache):
    module = ArmeniMEGDataModule(mini / "armeni", cache_dir=cache, segment_length=30.0, batch_size=2)
    module.setup("fit")
    before = module.train_dataset
    module.setup("fit")
    assert module.train_dataset is before
    assert len(list(module.train_dataloader())) == 2 and len(next(iter(module.val_dataloader()))) == 4
    assert [r.session for r in module.train_dataset.recordings] == ["ses-001"]
    assert [r.session for r in module.val_dataset.recordings] == ["ses-010"]
