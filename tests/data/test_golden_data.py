import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from brainstorm.data.preprocessing import (
    cache_hash,
    cache_name,
    preprocess_camcan,
    preprocess_recording,
    preprocess_segment_with_subsegments,
    shuffle_temporal_segments,
)
from brainstorm.data.samplers import RecordingShuffleSampler
from brainstorm.data.utils import norm_sensor_positions
from megxl.data.batch import collate
from megxl.data.dataset import WindowDataset
from megxl.data.group_dataset import WordGroupDataset
from megxl.data.group_splits import hashed_share, hashed_split, kept_share
from megxl.data.groups import Grouping, word_groups, word_tokens
from megxl.data.vocabulary import vocabulary
from megxl.signals.normalization import scale_blocks
from tests.data.golden_data import WINDOWS, WORDS, GoldenData

# float32 in the store moves normalised samples by up to 5e-7
ITEMS, SENSORS = 1e-5, 1e-6
PARTS = {"train": "train", "val": "validation", "test": "test"}


def slow_but(*fast):
    """All names, the fast ones in the quick suite: that of 250 Hz needs no filter over a long recording."""
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in (*WINDOWS, *WORDS)]


words_of = pytest.mark.parametrize("name", slow_but("libribrain/words10_250hz")[len(WINDOWS) :])
windows_of = pytest.mark.parametrize("name", slow_but()[: len(WINDOWS)])
all_of = pytest.mark.parametrize("name", slow_but("libribrain/words10_250hz"))


@pytest.fixture(scope="session")
def reference(shared, mini, tmp_path_factory) -> GoldenData:
    return GoldenData(shared / "golden", mini, tmp_path_factory.mktemp("published"))


def test_the_mini_corpora_are_those_of_the_golden_numbers(reference):
    inputs = reference.everything["inputs"]
    # HDF5 files may differ in the last bits with the versions of libraries
    for name in (name for name in inputs if not name.endswith((".h5", ".meg4"))):
        assert hashlib.sha256((reference.mini / name).read_bytes()).hexdigest() == inputs[name], name


@all_of
def test_recordings_and_segments_stand_in_the_published_order(reference, name):
    dataset, told = reference.dataset(name), reference.expected[name]
    found = [(r.subject, r.session, r.task) for r in dataset.recordings]
    assert found == [(r["subject"], r["session"], r["task"]) for r in told["recordings"]]
    if "segment_index" in told:
        assert dataset.segment_index == [tuple(place) for place in told["segment_index"]]
    else:
        counts = np.bincount([recording for recording, _ in dataset.segment_index])
        assert counts.tolist() == told["groups_per_recording"]


@all_of
def test_items_have_the_published_numbers(reference, name):
    dataset, told = reference.dataset(name), reference.expected[name]
    assert len(dataset) == told.get("n_items", told.get("n_groups"))
    for number, facts in enumerate(told["items"]):
        item = dataset[number]
        place = f"{name}/item{number:03d}"
        assert item["meg"].shape == tuple(facts["shape"]) and item["meg"].dtype == torch.float32
        for fact in ("subject", "session", "task", "recording_idx", "segment_idx"):
            assert item[fact] == facts[fact]
        assert item["start_time"] == pytest.approx(facts["start_time"], abs=1e-9)
        assert item["end_time"] == pytest.approx(facts["end_time"], abs=1e-9)
        signal_CT = item["meg"].numpy().astype(np.float64)
        np.testing.assert_allclose(signal_CT.mean(1), reference[f"{place}/mean"], rtol=0, atol=ITEMS)
        np.testing.assert_allclose(signal_CT.std(1), reference[f"{place}/std"], rtol=0, atol=ITEMS)
        np.testing.assert_allclose(signal_CT[::16, ::7], reference[f"{place}/meg"], rtol=0, atol=ITEMS)


@all_of
def test_sensors_are_the_published_ones(reference, name):
    dataset, seen = reference.dataset(name), set()
    for number in range(len(reference.expected[name]["items"])):
        recording = dataset.segment_index[number][0]
        if recording not in seen:
            seen.add(recording)
            item, place = dataset[number], f"{name}/rec{recording:02d}"
            golden = reference[f"{place}/sensor_xyzdir"]
            np.testing.assert_allclose(item["sensor_xyzdir"], golden, rtol=0, atol=SENSORS)
            for what in ("sensor_types", "sensor_mask"):
                np.testing.assert_array_equal(item[what], reference[f"{place}/{what}"])
                assert item[what].numpy().dtype == reference[f"{place}/{what}"].dtype
    assert seen


@words_of
def test_groups_have_the_published_words_and_times(reference, name):
    dataset, told = reference.dataset(name), reference.expected[name]
    assert [list(group.texts) for group in dataset.groups] == told["words"]
    onsets_s = [[word.onset_s for word in group.words] for group in dataset.groups]
    np.testing.assert_array_equal(onsets_s, reference[f"{name}/onsets"])
    boundaries, start_end = reference[f"{name}/boundaries"], reference[f"{name}/start_end"]
    for number in range(len(told["items"])):
        item = dataset[number]
        found = [(bound["start_sample"], bound["end_sample"]) for bound in item["subsegment_boundaries"]]
        np.testing.assert_array_equal(found, boundaries[number])
        np.testing.assert_allclose([item["start_time"], item["end_time"]], start_end[number], rtol=0, atol=1e-9)
        assert item["words"] == told["words"][number]


@words_of
def test_splits_are_the_published_ones(reference, name):
    groups, told = reference.dataset(name).groups, reference.expected[name]
    for seed, golden in told["splits"].items():
        split = hashed_split(groups, told["split_ratios"], split_seed=int(seed), allow_leak=True)
        for part, ours in PARTS.items():
            assert list(split.parts[ours]) == [n for n, found in enumerate(golden["split"]) if found == part]
        for share, kept in golden["train_after_pct"].items():
            assert kept_share(split.train, float(share), seed=int(seed)) == kept


@words_of
def test_the_vocabulary_is_the_published_one(reference, name):
    known = vocabulary(reference.dataset(name).groups)
    assert list(zip(known.words, known.counts, strict=True)) == [
        (word, count) for word, count in reference.expected[name]["vocabulary"]
    ]


@words_of
def test_labels_and_tokens_of_a_batch_are_the_published_ones(reference, name):
    dataset = reference.dataset(name)
    known = vocabulary(dataset.groups)
    items = [WordGroupDataset(dataset.groups, seed=0)[number] for number in (0, 1)]
    batch = collate(items, {dataset.corpus: 0})
    labels = np.concatenate([known.labels(words) for words in batch.words])
    np.testing.assert_array_equal(labels, reference[f"{name}/collate/word_labels"])
    info, window = reference[f"{name}/collate/info"], dataset.groups.grouping.window(batch.sfreq_hz)
    starts = batch.word_starts_BW.flatten().numpy()
    np.testing.assert_array_equal(starts, info[:, 2])
    np.testing.assert_array_equal(starts + window, info[:, 3])
    np.testing.assert_array_equal(word_tokens(starts, starts + window), reference[f"{name}/collate/tokens"])
    assert batch.signal_BCT.shape[::2] == tuple(reference.expected[name]["collate"]["meg_shape"][::2])


@windows_of
def test_our_own_windows_give_the_published_items(reference, name):
    dataset = reference.dataset(name)
    windows = WindowDataset(dataset.windows, seed=0, bads="keep")
    for number in range(0, len(dataset), 5):
        batch = collate([windows[number]], {dataset.corpus: 0}).normalized()
        signal_CT, place = batch.signal_BCT[0].numpy(), f"{name}/item{number:03d}"
        golden = reference[f"{place}/mean"][: len(signal_CT)]
        np.testing.assert_allclose(signal_CT.astype(np.float64).mean(1), golden, rtol=0, atol=ITEMS)
        sampled = reference[f"{place}/meg"][: -(-len(signal_CT) // 16)]
        np.testing.assert_allclose(signal_CT[::16, ::7], sampled, rtol=0, atol=ITEMS)
        positions = reference[f"{name}/rec{dataset.segment_index[number][0]:02d}/sensor_xyzdir"][: len(signal_CT), :3]
        np.testing.assert_allclose(batch.sensors.positions_BC3[0], positions, rtol=0, atol=SENSORS)


@words_of
def test_our_own_groups_give_the_published_items_where_windows_are_of_one_length(reference, name):
    dataset = reference.dataset(name)
    published = dataset.groups.grouping
    grouping = Grouping(words=published.words, window_s=published.window_s, compat="reference")
    items = WordGroupDataset(word_groups(dataset.recordings, grouping), seed=0, bads="keep")
    lengths = np.diff(reference[f"{name}/boundaries"], axis=2)[..., 0]
    exact = np.flatnonzero((lengths == grouping.window(dataset.recordings[0].sfreq_hz)).all(1))
    assert len(exact) >= 2
    for number in exact:
        signal_CT = collate([items[int(number)]], {dataset.corpus: 0}).normalized().signal_BCT[0].numpy()
        golden = reference[f"{name}/item{number:03d}/meg"][: -(-len(signal_CT) // 16)]
        np.testing.assert_allclose(signal_CT[::16, ::7], golden, rtol=0, atol=ITEMS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["camcan/seg30", "armeni/seg30"])
def test_stored_recordings_have_the_numbers_of_the_published_cache(reference, name):
    dataset = reference.dataset(name)
    for number, (recording, told) in enumerate(
        zip(dataset.recordings, reference.expected[name]["stageA"], strict=True)
    ):
        place, signal_CT = f"{name}/stageA/rec{number:02d}", recording.read().astype(np.float64)
        assert signal_CT.shape == tuple(told["shape"])
        assert list(recording.sensors.names) == told["channel_names"]
        std_C = reference[f"{place}/std"]
        # the store keeps float32: half a unit in the last of 24 digits of the largest value
        atol_C = 1e-6 * std_C + 2.0**-24 * np.abs(signal_CT).max(1)
        error = np.abs(signal_CT[::16, ::7] - reference[f"{place}/data"])
        assert (error <= atol_C[::16, None]).all()
        assert (np.abs(signal_CT.mean(1) - reference[f"{place}/mean"]) <= atol_C).all()
        np.testing.assert_allclose(signal_CT.std(1), std_C, rtol=1e-6)
        sensors = recording.sensors
        found = np.concatenate([sensors.positions_C3, sensors.orientations_C3], axis=1)
        np.testing.assert_allclose(found, reference[f"{place}/sensor_xyzdir"], rtol=0, atol=SENSORS)
        np.testing.assert_array_equal(sensors.kinds_C, reference[f"{place}/sensor_types"])


@pytest.mark.parametrize(
    ("out", "options"),
    [
        ("out_50hz", {"sfreq": 50.0}),
        ("out_100hz_2s_clip3", {"sfreq": 100.0, "subsegment_duration": 2.0, "baseline_duration": 0.25, "clip": 3.0}),
        ("out_single_chunk", {"sfreq": 50.0, "subsegment_duration": None}),
    ],
)
def test_segments_are_normalised_as_published(reference, out, options):
    segment = reference["stageB/in"]
    found = preprocess_segment_with_subsegments(segment, **options)
    np.testing.assert_allclose(found, reference[f"stageB/{out}"], rtol=0, atol=1e-10)


def test_a_segment_shorter_than_a_block_is_normalised_as_published(reference):
    found = preprocess_segment_with_subsegments(reference["stageB/in"][:, :120], 50.0)
    np.testing.assert_allclose(found, reference["stageB/out_50hz_short"], rtol=0, atol=1e-10)


def test_block_scaling_has_the_published_numbers_where_no_baseline_is_missing(reference):
    # one NaN in the published baseline makes its block NaN; here the rest of the block keeps its numbers
    segment, golden = reference["stageB/in"], reference["stageB/out_50hz"]
    found = scale_blocks(torch.from_numpy(segment)[None], 150)[0].numpy()
    same = ~np.isnan(golden)
    np.testing.assert_allclose(found[same], golden[same], rtol=0, atol=1e-10)
    assert same.mean() > 0.8 and not np.isnan(found[~np.isnan(segment)]).any()


def test_pieces_are_shuffled_by_the_published_draw(reference):
    segment = np.arange(2020).reshape(2, -1)
    np.random.seed(0)  # noqa: NPY002 the published code uses the global generator
    found = shuffle_temporal_segments(segment, 3.0, 50.0)
    np.testing.assert_array_equal(found, reference["stageB/shuffled_3s_seed"])
    again = shuffle_temporal_segments(segment, 3.0, 50.0, np.random.RandomState(0))
    np.testing.assert_array_equal(again, found)


def test_positions_are_normalised_as_published(reference):
    given = reference["norm_positions/in"].copy()
    np.testing.assert_allclose(norm_sensor_positions(given), reference["norm_positions/out"], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(given, reference["norm_positions/in"])
    tensor = norm_sensor_positions(torch.from_numpy(given))
    np.testing.assert_allclose(tensor, reference["norm_positions/out"], rtol=0, atol=1e-12)


def _assert_prepared(reference, name, found):
    told, atol_C = reference.expected["preprocess"][name], 1e-6 * reference[f"preprocess/{name}/std"]
    assert found.data.shape == tuple(told["shape"]) and found.sfreq == told["sfreq"]
    assert found.channel_names[:5] == told["first_channels"]
    data_CT = found.data.astype(np.float64)
    atol_C = atol_C + 2.0**-24 * np.abs(data_CT).max(1)  # float32
    assert (np.abs(data_CT[::16, ::7] - reference[f"preprocess/{name}/data"]) <= atol_C[::16, None]).all()
    np.testing.assert_allclose(data_CT.std(1), reference[f"preprocess/{name}/std"], rtol=1e-6)
    np.testing.assert_allclose(found.sensor_xyzdir, reference[f"preprocess/{name}/sensor_xyzdir"], rtol=0, atol=SENSORS)
    np.testing.assert_array_equal(found.sensor_types, reference[f"preprocess/{name}/sensor_types"])


@pytest.mark.slow
def test_a_fif_recording_is_prepared_as_published(reference, shared):
    told = reference.expected["preprocess"]["fif"]
    path = shared / "realdata" / told["file"].removeprefix("REALDATA:")
    _assert_prepared(reference, "fif", preprocess_camcan(path, 0.5, 30.0, 100.0))


@pytest.mark.slow
def test_a_ctf_recording_is_prepared_as_published(reference, mini):
    path = mini / reference.expected["preprocess"]["ctf"]["file"].removeprefix("MINI:")
    found = preprocess_recording(path, 0.5, 20.0, 60.0, lambda name: name.startswith("ML"))
    _assert_prepared(reference, "ctf", found)


def test_recordings_are_shuffled_in_the_published_order(reference):
    told = reference.expected["recording_sampler"]

    segments = [(r, s) for r, n in enumerate(told["segments_per_recording"]) for s in range(n)]
    sampler = RecordingShuffleSampler(SimpleNamespace(segment_index=segments), seed=told["seed"])
    for epoch, order in told["order"].items():
        sampler.set_epoch(int(epoch))
        assert list(sampler) == order
    assert len(sampler) == sum(told["segments_per_recording"])


def test_cache_files_have_the_published_names(reference):
    for told in reference.expected["cache_hash"]:
        settings = {name: value for name, value in told.items() if name != "hash"}
        assert cache_hash(**settings) == told["hash"]
    for name in ("camcan/seg30", "armeni/seg30"):
        for told in reference.expected[name]["stageA"]:
            facts = told["attrs"]
            digest = cache_hash(*(facts[f"preproc_{key}"] for key in ("l_freq", "h_freq", "target_sfreq")))
            assert digest == facts["preproc_hash"]
            assert cache_name(facts["subject"], facts["session"], facts["task"], digest) == told["cache_file"]


def test_texts_have_the_published_places():
    # computed with the published rule: SHA-256 of "42:text", modulo a million
    assert hashed_share("the cat sat", 42) == 0.900538
    assert hashed_share("to be or not", 42) == 0.106177
    assert hashed_share("a", 42) == 0.999611


def test_every_run_of_the_reference_is_compared_here(reference):
    assert {name for name in reference.expected if "/" in name} == {*WINDOWS, *WORDS}
