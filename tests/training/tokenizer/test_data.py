"""Recordings as rows: what is prepared, and what the first step sees."""

import pytest
import torch

pytest.importorskip("lightning.pytorch")

from megxl.errors import InputError
from megxl.store.store import Store
from megxl.training.tokenizer.data import TokenizerData
from tests.data.small_corpus import make_small
from tests.training.tokenizer.small_codecs import codec_config, make_signals


def ready(folder, **changes) -> TokenizerData:
    data = TokenizerData(codec_config(folder, **changes))
    data.prepare_data()
    data.setup("fit")
    return data


def test_what_the_store_lacks_is_prepared_without_codes(tmp_path):
    make_small(tmp_path / "files", subjects=3, seconds=8.0)
    block = {"type": "tests.data.small_corpus:Small", "data_root": str(tmp_path / "files"), "val_subjects": ["sub-02"]}
    data = ready(tmp_path, datasets_config=[block], data__prepare_workers=0)
    assert len(Store(tmp_path / "store").keys()) == 3 and not list((tmp_path / "store").rglob("codes"))
    assert data.split()["small"].validation == ("small/sub-02_task-rest",)
    [first] = data.first_rows(5)
    assert set(first.groups) == {"small/sub-01_task-rest", "small/sub-03_task-rest"}


def test_the_first_rows_are_those_of_the_first_step(tmp_path):
    make_signals(tmp_path, seconds=40.0)
    data = ready(tmp_path, training__batch_size=2)
    firsts, loader = list(data.first_rows(3)), iter(data.train_dataloader())
    assert len(firsts) == 3
    for rows in firsts:
        wanted = data.on_before_batch_transfer(next(loader), 0)
        assert torch.equal(rows.seeds_N, wanted.seeds_N) and torch.equal(rows.signal_N1T, wanted.signal_N1T)


def test_sensors_are_drawn_anew_in_each_epoch_and_stay_for_validation(tmp_path):
    make_signals(tmp_path, seconds=40.0)
    data = ready(tmp_path, data__jitter=False)

    def seeds(loader, epoch):
        loader.batch_sampler.set_epoch(epoch)
        return {seed for batch in loader for seed in data.on_before_batch_transfer(batch, 0).seeds_N.tolist()}

    training, validation = data.train_dataloader(), data.val_dataloader()
    assert not seeds(training, 0) & seeds(training, 1)
    assert seeds(validation, 0) == seeds(validation, 1)


def test_a_recording_of_bad_sensors_alone_is_refused_before_the_first_step(tmp_path):
    make_signals(tmp_path, bads_of={3: ("MEG 0111", "MEG 0112", "MEG 0113", "MEG 0122")})
    with pytest.raises(InputError, match=r"All sensors of armeni/sub-3_ses-1 are marked bad"):
        TokenizerData(codec_config(tmp_path)).prepare_data()
    TokenizerData(codec_config(tmp_path, data__bads="keep")).prepare_data()
