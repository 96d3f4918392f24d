import inspect
import pickle
from importlib import import_module

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import brainstorm.data
from brainstorm.data._windows import PublishedWindows
from brainstorm.data.multi_datamodule import collate
from brainstorm.data.multi_dataset import MultiMEGDataset
from brainstorm.data.preprocessing import preprocess_segment_with_subsegments, shuffle_temporal_segments
from megxl.errors import InputError

PUBLISHED = {
    "utils": ["norm_sensor_positions"],
    "preprocessing": [
        "preprocess_recording",
        "preprocess_camcan",
        "preprocess_gwilliams_recording",
        "preprocess_libribrain_h5",
        "preprocess_segment_with_subsegments",
        "shuffle_temporal_segments",
    ],
    "samplers": ["RecordingShuffleSampler"],
    "lightning_datamodule": ["ArmeniMEGDataModule"],
    "multi_datamodule": ["MultiMEGDataModule"],
    "multi_dataset": ["MultiMEGDataset"],
    "subsampled_dataset": ["SubsampledRecordingDataset"],
    "armeni_dataset": ["ArmeniMEGDataset"],
    "camcan_dataset": ["CamCANMEGDataset"],
    "gwilliams_dataset": ["GwilliamsMEGDataset", "preprocess_gwilliams_recording"],
    "libribrain_dataset": ["LibriBrainMEGDataset"],
    "omega_dataset": ["OmegaMEGDataset"],
    "schoffelen_dataset": ["SchoffelenMEGDataset"],
    "smn4lang_dataset": ["SMN4LangMEGDataset"],
    "armeni_word_aligned_dataset": ["ArmeniWordAlignedDataset"],
    "gwilliams_word_aligned_dataset": ["GwilliamsWordAlignedDataset"],
    "libribrain_word_aligned_dataset": ["LibriBrainWordAlignedDataset"],
}


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("module", PUBLISHED)
def test_published_modules_have_their_published_names(module):
    place = import_module(f"brainstorm.data.{module}")
    for name in PUBLISHED[module]:
        assert callable(getattr(place, name))


def test_the_package_has_every_published_class():
    classes = {name for names in PUBLISHED.values() for name in names if name[0].isupper()}
    assert set(brainstorm.data.__all__) == classes
    for name in classes:
        assert isinstance(getattr(brainstorm.data, name), type)
    with pytest.raises(AttributeError, match="MEGDataset"):
        brainstorm.data.MEGDataset  # noqa: B018


WINDOWS = ["ArmeniMEG", "CamCANMEG", "GwilliamsMEG", "LibriBrainMEG", "OmegaMEG", "SchoffelenMEG", "SMN4LangMEG"]
FIRST = {"SchoffelenMEG": ["subjects", "tasks"], "SMN4LangMEG": ["subjects", "runs", "tasks"]}


@pytest.mark.parametrize("name", WINDOWS)
def test_datasets_of_segments_have_the_published_parameters_and_defaults(name):
    kind = getattr(brainstorm.data, f"{name}Dataset")
    own, shared = inspect.signature(kind).parameters, inspect.signature(PublishedWindows).parameters
    first = ["data_root", "segment_length", "cache_dir", *FIRST.get(name, ["subjects", "sessions", "tasks"])]
    assert [option for option in own if own[option].kind == own[option].POSITIONAL_OR_KEYWORD][: len(first)] == first
    published = {"l_freq": 0.1, "h_freq": 40.0, "target_sfreq": 50.0, "shuffle_segment_duration": 3.0}
    defaults = {option.name: option.default for option in (shared | own).values()}
    assert {option: defaults[option] for option in published} == published
    assert {"channel_filter", "max_channel_dim", "shuffle_segments"} <= set(defaults)
    assert ("val_subjects" in own) == (name == "GwilliamsMEG")


@pytest.mark.parametrize(("name", "width"), [("Armeni", 306), ("Gwilliams", 208), ("LibriBrain", 306)])
def test_datasets_of_words_have_the_published_parameters_and_defaults(name, width):
    kind = getattr(brainstorm.data, f"{name}WordAlignedDataset")
    known = inspect.signature(kind).parameters
    published = {"segment_length": 150.0, "subsegment_duration": 3.0, "words_per_segment": 50}
    published |= {"window_onset_offset": -0.5, "l_freq": 0.1, "h_freq": 40.0, "target_sfreq": 50.0}
    assert {option: known[option].default for option in published} == published
    assert {"cache_dir", "subjects", "sessions", "tasks", "max_channel_dim"} <= set(known) and kind.channels == width


@pytest.fixture(scope="session")
def sherlock(mini, cache):
    """A recording that needs no filter."""
    return {"data_root": mini / "libribrain", "cache_dir": cache, "h_freq": 125.0, "target_sfreq": 250.0}


def test_items_of_windows_have_the_published_keys(sherlock):
    dataset = brainstorm.data.LibriBrainMEGDataset(**sherlock, segment_length=20.0, tasks=["Sherlock2"])
    item = dataset[2]
    shapes = {name: (tuple(value.shape), value.dtype) for name, value in item.items() if torch.is_tensor(value)}
    assert shapes == {
        "meg": ((306, 5000), torch.float32),
        "sensor_xyzdir": ((306, 6), torch.float32),
        "sensor_types": ((306,), torch.int32),
        "sensor_mask": ((306,), torch.float32),
    }
    named = {name: value for name, value in item.items() if not torch.is_tensor(value)}
    assert named == {
        "subject": "sub-0",
        "session": "ses-1",
        "task": "Sherlock2",
        "recording_idx": 0,
        "segment_idx": 2,
        "start_time": 40.0,
        "end_time": 60.0,
    }


def test_the_fourth_to_sixth_argument_are_subjects_sessions_and_tasks(sherlock):
    root, cache = sherlock["data_root"], sherlock["cache_dir"]
    options = (["sub-0"], ["ses-1"], ["Sherlock1", "Sherlock2"], 0.1, 125.0, 250.0)
    dataset = brainstorm.data.LibriBrainMEGDataset(root, 20.0, cache, *options)
    assert [recording.task for recording in dataset.recordings] == ["Sherlock1", "Sherlock2"]
    assert {recording.session for recording in dataset.recordings} == {"ses-1"} and dataset[0]["end_time"] == 20.0


def test_channels_beyond_the_width_are_refused_by_name(sherlock):
    with pytest.raises(InputError, match=r"libribrain/sub-0_ses-1_task-Sherlock2_run-1 has 306 .*max_channel_dim: 208"):
        brainstorm.data.LibriBrainMEGDataset(**sherlock, tasks=["Sherlock2"], segment_length=20.0, max_channel_dim=208)


def test_a_filter_that_leaves_no_channel_is_refused(sherlock):
    with pytest.raises(InputError, match="channel_filter leaves none of its 306 channels"):
        brainstorm.data.LibriBrainMEGDataset(**sherlock, tasks=["Sherlock2"], channel_filter=lambda name: False)


def test_a_filter_of_channels_leaves_rows_out_and_pads(sherlock):
    options = {**sherlock, "tasks": ["Sherlock2"], "segment_length": 20.0}
    everything = brainstorm.data.LibriBrainMEGDataset(**options)[0]
    some = brainstorm.data.LibriBrainMEGDataset(
        **options, channel_filter=lambda name: name.endswith("1"), max_channel_dim=120
    )[0]
    magnetometers = everything["sensor_types"] == 1
    assert some["sensor_mask"].sum() == magnetometers.sum() == 102
    assert torch.equal(some["meg"][:102], everything["meg"][magnetometers]) and not some["meg"][102:].any()
    assert some["sensor_types"][:102].all() and not some["sensor_types"][102:].any()


def test_shuffled_segments_are_the_same_pieces_in_an_order_of_their_own(sherlock):
    options = {**sherlock, "tasks": ["Sherlock2"], "segment_length": 20.0}
    plain, shuffled = (
        brainstorm.data.LibriBrainMEGDataset(**options, shuffle_segments=shuffle) for shuffle in (False, True)
    )
    first, again = shuffled[0]["meg"], shuffled[0]["meg"]
    assert torch.equal(first, again) and not torch.equal(first, plain[0]["meg"])
    pieces, whole = first[:, :4500].unflatten(1, (6, 750)), plain[0]["meg"][:, :4500].unflatten(1, (6, 750))
    order = [next(n for n in range(6) if torch.equal(pieces[:, k], whole[:, n])) for k in range(6)]
    assert sorted(order) == list(range(6))
    assert torch.equal(first[:, 4500:], plain[0]["meg"][:, 4500:])


def test_a_name_that_no_recording_has_is_refused(sherlock):
    with pytest.raises(InputError, match=r"No recording has the task 'Sherlock9'"):
        brainstorm.data.LibriBrainMEGDataset(**sherlock, tasks=["Sherlock9"])


def test_short_segments_are_left_in_order():
    segment = np.arange(10)[None]
    assert shuffle_temporal_segments(segment, 3.0, 2.0) is segment  # one piece of 6 and a rest


def test_segments_are_normalised_without_a_baseline_too():
    segment_CT = np.random.default_rng(0).normal(3.0, 2.0, (4, 300))
    before = segment_CT.copy()
    pieces = [segment_CT[:, :150], segment_CT[:, 150:]]
    expected = []
    for piece in pieces:
        low, middle, high = np.percentile(piece, [25, 50, 75], axis=1, keepdims=True)
        expected.append(np.clip((piece - middle) / (high - low), -5, 5))
    for baseline in (0.5, 0.0, None):
        found = preprocess_segment_with_subsegments(segment_CT, 50.0, baseline_duration=baseline)
        np.testing.assert_allclose(found, np.concatenate(expected, axis=1), atol=1e-12)
    assert np.array_equal(segment_CT, before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "root", "names", "sessions", "told"),
    [
        ("ArmeniMEG", "armeni", (["sub-001"], ["ses-010"], ["compr"]), ["ses-010"], set()),
        ("CamCANMEG", "camcan", (["sub-CC110033"], ["ses-smt"], ["smt"]), ["ses-smt"], set()),
        ("OmegaMEG", "omega", (["sub-MNI0001"], ["ses-01"], ["rest"]), ["ses-01"], {"run"}),
        ("SchoffelenMEG", "mous", (["sub-A2003"], ["auditory"]), ["run1", "run2"], {"run"}),
        ("SMN4LangMEG", "smn4lang", (["sub-02"], ["run-1", "run-56"], ["RDR"]), ["run-1", "run-56"], set()),
        ("GwilliamsMEG", "meg_masc", (["sub-03"], ["ses-0"], ["0", "1"]), ["ses-0", "ses-0"], set()),
    ],
)
def test_the_other_corpora_read_prepare_window_and_load(mini, cache, name, root, names, sessions, told):
    kind = getattr(brainstorm.data, f"{name}Dataset")
    dataset = kind(mini / root, 20.0, cache, *names, max_channel_dim=306)
    items = [dataset[n] for n, (_, segment) in enumerate(dataset.segment_index) if segment == 0]
    assert [item["session"] for item in items] == sessions and told <= set(items[0])
    for item in items:
        real = item["sensor_mask"] == 1
        assert item["meg"].isfinite().all() and item["meg"].abs().max() <= 5 and item["meg"][real].std() > 0.3
        assert not item["meg"][~real].any() and real.sum() == len(dataset.recordings[0].sensors)
    joined = MultiMEGDataset([dataset], dataset_ids=[3])
    joined = pickle.loads(pickle.dumps(joined))  # as a spawned worker gets it
    meg, *sensors, numbers = next(iter(DataLoader(joined, batch_size=2, collate_fn=collate)))
    assert torch.equal(meg[0], dataset[0]["meg"]) and meg.shape == (2, 306, 1000) and meg.dtype == torch.float32
    shapes = [((2, 306, 6), torch.float32), ((2, 306), torch.int32), ((2, 306), torch.float32)]
    assert [(tuple(part.shape), part.dtype) for part in sensors] == shapes
    assert numbers.tolist() == [3, 3] and numbers.dtype == torch.int64


@pytest.mark.slow
def test_spawned_workers_load_batches(sherlock):
    joined = MultiMEGDataset([brainstorm.data.LibriBrainMEGDataset(**sherlock, segment_length=20.0)])
    spawned = {"num_workers": 1, "multiprocessing_context": "spawn", "collate_fn": collate}
    meg = next(iter(DataLoader(joined, batch_size=2, **spawned)))[0]
    assert torch.equal(meg[1], joined[1]["meg"])


@pytest.mark.slow
def test_validation_subjects_of_meg_masc_are_left_out_wherever_subjects_are_given(mini, cache):
    for names in ((), (["sub-01", "sub-03"],)):
        left = brainstorm.data.GwilliamsMEGDataset(mini / "meg_masc", 20.0, cache, *names, val_subjects=["sub-01"])
        assert {recording.subject for recording in left.recordings} == {"sub-03"}
    with pytest.raises(InputError, match=r"No recording has the subject 'sub-3'"):
        brainstorm.data.GwilliamsMEGDataset(mini / "meg_masc", 20.0, cache, val_subjects=["sub-3"])


@pytest.mark.slow
def test_words_of_meg_masc_are_grouped(mini, cache):
    options = {"words_per_segment": 10, "subjects": ["sub-03"]}
    dataset = brainstorm.data.GwilliamsWordAlignedDataset(mini / "meg_masc", cache_dir=cache, **options)
    batch = next(iter(DataLoader(dataset, batch_size=1)))
    assert batch["meg"].shape[:2] == (1, 208) and len(batch["words"]) == len(batch["subsegment_boundaries"]) == 10
    item = dataset[len(dataset) - 1]
    assert item["meg"].shape[0] == 208 and item["sensor_mask"].sum() == 157 and len(item["words"]) == 10
    assert item["subsegment_boundaries"][-1]["end_sample"] == item["meg"].shape[1]
    assert [word for word in item["words"] if word != word.strip().lower()] == []
