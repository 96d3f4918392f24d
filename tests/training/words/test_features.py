"""Features that are kept: the backbone's own, once, by all that they depend on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning.pytorch")
pytest.importorskip("wordllama")

import numpy as np
import torch

from megxl.data.batch import collate
from megxl.decoding.building import DecoderSpec, build_decoder
from megxl.errors import InputError
from megxl.store.entry import StoredRecording
from megxl.training.words import features
from megxl.training.words.checks import check_before_work
from megxl.training.words.data import WordsData
from megxl.training.words.features import FeatureData, feature_place
from megxl.training.words.making import frozen_backbone
from megxl.training.words.module import estimate
from tests.training.words.small_words import make_backbone, make_word_store, words_config

PROBE = {"command": "probe"}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    make_backbone(folder)
    return make_word_store(folder, subjects=1, words=60)


def feature_data(store: Path, place: Path, told: list | None = None, **changes) -> FeatureData:
    config = words_config(store, **PROBE, **changes)
    checked = check_before_work(config)
    tell = (told if told is not None else []).append
    return FeatureData(config, checked.tokenizer, frozen_backbone(config, checked), place, tell=tell)


def test_items_hold_what_the_backbone_says_of_their_words(store, tmp_path):
    data = feature_data(store, tmp_path)
    data.prepare_data()
    sources = {part: data.dataset(part) for part in ("train", "validation", "test")}
    data.setup("fit")
    for part, source in sources.items():
        kept = data.dataset(part)
        assert len(kept) == len(source)
        for index in (0, len(source) - 1):
            whole = collate([source[index]], data.corpus_ids).normalized(3.0)
            with torch.no_grad():
                expected = data._backbone(whole).words_BWCD
            got = collate([kept[index]], data.corpus_ids)
            assert got.signal_BCT is None and got.codes_BCTQ is None and got.words == whole.words
            torch.testing.assert_close(got.features_BWCD.float(), expected, rtol=2e-3, atol=2e-3)
            assert torch.equal(got.seeds_B, whole.seeds_B) and torch.equal(got.word_starts_BW, whole.word_starts_BW)


def all_files(data: FeatureData) -> set[Path]:
    return {file for part in ("train", "validation", "test") for file in data.files(part)}


def test_features_are_computed_once_whatever_the_head_the_split_and_the_amount(store, tmp_path):
    told: list[str] = []
    less = {"data__train_pct": 0.4}
    first = feature_data(store, tmp_path, told, **less)
    first.prepare_data()
    assert len(told) == 3, "one sentence a part"
    before = {file: file.stat().st_mtime_ns for file in all_files(first)}
    whole = feature_data(store, tmp_path, told)
    whole.prepare_data()
    lacking = 6 * (len(whole.files("train")) - len(first.files("train")))
    assert len(told) == 4 and f"features of {lacking} words of the train part" in told[3]
    for changes in (
        {"seed": 2}, {"training__batch_size": 3}, {"model__head": "sensors"}, {"control": "shuffled_words"},
        {"data__codes": "cached"},
    ):  # fmt: skip
        feature_data(store, tmp_path, told, **changes).prepare_data()
    assert len(told) == 4
    feature_data(store, tmp_path, told, data__split_seed=3).prepare_data()
    assert {file: file.stat().st_mtime_ns for file in before} == before


@pytest.mark.parametrize(
    "changes",
    [
        {"control": "noise"}, {"control": "duration_only"},
        {"data__words_per_segment": 5}, {"data__window_onset_offset": -0.4}, {"data__subsegment_duration": 2.0},
        {"data__max_channel_dim": 12}, {"trainer__precision": "bf16-mixed"}, {"backbone": 5},
    ],
    ids=str,
)  # fmt: skip
def test_features_of_another_signal_backbone_or_computation_are_others(store, tmp_path, changes):
    if seed := changes.pop("backbone", None):
        changes["model__criss_cross_checkpoint"] = str(make_backbone(tmp_path, seed=seed))
    assert not all_files(feature_data(store, tmp_path)) & all_files(feature_data(store, tmp_path, **changes))


def test_features_of_drawn_signals_depend_on_the_seed(store, tmp_path):
    one, other, plain, same = (
        all_files(feature_data(store, tmp_path, control=control, seed=seed))
        for control in ("noise", "none")
        for seed in (1, 2)
    )
    assert not one & other and plain == same


def prepared_anew(monkeypatch, what: str, change: Callable[[StoredRecording], Any]) -> None:
    """Have all recordings differ in one field."""
    whole = WordsData._grouped

    def changed(self):
        kept = whole(self)
        told = tuple(replace(stored, **{what: change(stored)}) for stored in kept.groups.recordings)
        return kept._replace(groups=replace(kept.groups, recordings=told))

    monkeypatch.setattr(WordsData, "_grouped", changed)


def test_a_head_says_of_kept_features_what_it_says_of_the_signal(store, tmp_path, monkeypatch):
    prepared_anew(monkeypatch, "bads", lambda stored: stored.sensors.names[1:3])
    data = feature_data(store, tmp_path, model__head="sensors", data__max_channel_dim=12)
    data.prepare_data()
    whole = next(iter(data.whole_loader(data.dataset("test")))).normalized(3.0)
    data.setup("fit")
    kept = next(iter(data.test_dataloader()))
    assert kept.words == whole.words and kept.features_BWCD.shape[2] == 12 and kept.sensor_mask_BC[0].sum() == 6
    spec = DecoderSpec(
        head="sensors", width=data._backbone.width, target_width=8, hidden=16, subjects=("armeni/sub-1",)
    )
    decoder = build_decoder(spec, model=data._backbone.model, trains=False).eval()
    torch.nn.init.normal_(decoder.subjects.vectors_SD)
    with torch.no_grad():
        one, other = (estimate(decoder, batch, data.subjects) for batch in (whole, kept))
    torch.testing.assert_close(other, one, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("what", ["bads", "sensors", "signal"])
def test_features_of_recordings_that_were_prepared_anew_are_others(store, tmp_path, what, monkeypatch):
    before = all_files(feature_data(store, tmp_path))
    change = {
        "bads": lambda stored: (stored.sensors.names[0],),
        "sensors": lambda stored: replace(stored.sensors, positions_C3=stored.sensors.positions_C3 * 1.01),
        "signal": lambda stored: replace(stored.signal, facts=replace(stored.signal.facts, sha256="0" * 64)),
    }[what]
    prepared_anew(monkeypatch, what, change)
    assert not before & all_files(feature_data(store, tmp_path))


def test_the_way_a_model_computes_is_part_of_its_fingerprint(store):
    config = words_config(store, **PROBE)
    backbone: Any = frozen_backbone(config, check_before_work(config))
    before = features._weights(backbone)
    backbone.model.compat = "reference"
    assert features._weights(backbone) != before


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(store, tmp_path, monkeypatch):
    usage = features.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(features.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(InputError, match=r"features of a part take .* GB are free: make room"):
        feature_data(store, tmp_path / "place").prepare_data()
    assert not list((tmp_path / "place").iterdir())


@pytest.mark.parametrize(("factor", "sentence"), [(1e6, "float16"), (float("nan"), "not finite")])
def test_features_that_float16_cannot_hold_are_refused(store, tmp_path, factor, sentence):
    data = feature_data(store, tmp_path)
    whole = data._backbone.forward
    data._backbone.forward = lambda batch: whole(batch)._replace(words_BWCD=whole(batch).words_BWCD * factor)
    with pytest.raises(InputError, match=sentence):
        data.prepare_data()
    assert not list(tmp_path.rglob("*.npy"))


def test_damaged_features_are_refused(store, tmp_path):
    data = feature_data(store, tmp_path)
    data.prepare_data()
    path = data.files("validation")[0]
    np.save(path, np.load(path)[:-1])
    data.setup("fit")
    with pytest.raises(InputError, match="features of 5 words, not 6; delete it"):
        data.dataset("validation")[0]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"cannot be read .*; delete it"):
        data.dataset("validation")[0]


def test_features_lie_in_the_store_if_it_can_be_written(store, tmp_path):
    assert feature_place(store, tmp_path) == store / ".features"
    assert feature_place(tmp_path / "nowhere", tmp_path / "run") == tmp_path / "run"
