"""Whole trainings of a tokenizer: what they learn, what a run holds, where they begin and how they go on."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("lightning.pytorch")

from megxl.checkpoints.files import read_checkpoint
from megxl.errors import InputError
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.runs import Run
from megxl.training.tokenizer import engine
from megxl.training.tokenizer.config import TokenizerConfig
from megxl.training.tokenizer.engine import train_tokenizer
from megxl.training.tokenizer.module import TokenizerModule
from tests.training.small_run import differences
from tests.training.test_resume import killed_after
from tests.training.tokenizer.small_codecs import SIZES, Descending, codec_config, make_signals

EVERY_STEP = {"checkpoint__every_n_train_steps": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    make_signals(folder)
    return folder


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def run(folder, told) -> Run:
    return train_tokenizer(codec_config(folder, training__max_steps=10, **EVERY_STEP), tell=told.append)


def weights(codec: BioCodec) -> torch.Tensor:
    """All that gradients train, as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in codec.parameters()])


def test_a_finished_run_holds_all_that_it_made(run, folder, told):
    wanted = {"config.yaml", "environment.json", "status.json", "split.json", "metrics.csv", "validation.csv", "model"}
    assert wanted <= {path.name for path in run.path.iterdir()}
    again = Run.open(run.path, TokenizerConfig)
    assert again.config == codec_config(folder, training__max_steps=10, **EVERY_STEP)
    assert run.status == {"state": "finished", "step": 10, "epoch": 1}
    assert [row["step"] for row in run.metrics()] == [3, 6, 9, 10]
    assert [row["step"] for row in run.validation()] == [5, 10]
    columns = {
        "loss",
        "time",
        "spectral",
        "commitment",
        "learning_rate",
        "gradient_norm",
        "used_level_2",
        "revived_level_1",
    }
    assert columns <= run.metrics()[-1].keys()
    measured = {"loss", "r", "si_sdr_db", "variance", "delta_error_db", "usage_level_1", "perplexity_level_2"}
    assert measured <= run.validation()[-1].keys()
    assert any(note.startswith("armeni, train: 30 windows of 6 s from 3 recordings") for note in told)


def test_the_codec_says_where_it_comes_from(run):
    for source in (run.path / "model", run.newest_model(), run.path / "checkpoints" / "last.ckpt"):
        codec = BioCodec.from_pretrained(source)
        origin = codec.provenance["source"]
        assert codec.provenance["weights"] == "loaded" and codec.provenance["untrained"]
        assert origin["steps"] == 10 and origin["seed"] == 1 and origin["started_from"] is None
        assert origin["recordings"] == run.split() and len(run.split()["armeni"]["validation"]) == 1
        signal = {"sfreq_hz": 50.0, "low_hz": 0.1, "high_hz": 40.0, "block_s": 3.0, "clip": 5.0, "segment_s": 6.0}
        assert codec.recipe["signal"] == signal
        assert codec.config.codes == 32 and codec.config.levels == 2


def test_the_written_codec_is_that_of_the_last_step(run):
    model, last = (read_checkpoint(run.path / place).tensors for place in ("model", "checkpoints/last.ckpt"))
    assert model.keys() == last.keys() and all(torch.equal(model[name], last[name]) for name in model)
    before = read_checkpoint(run.path / "checkpoints" / "step-00000009.ckpt").tensors
    assert not torch.equal(before["quantizer.levels.0.code_book"], last["quantizer.levels.0.code_book"])


def test_any_checkpoint_leads_to_the_unbroken_run(run, folder, tmp_path):
    # nothing; within a row of the curves; at a validation; at the end of an epoch
    for step in (0, 4, 5, 8):
        copy = killed_after(run.path, tmp_path / f"killed-{step}", step)
        train_tokenizer(codec_config(folder, training__max_steps=10, **EVERY_STEP, run=str(copy), resume="auto"))
        assert differences(copy, run.path) == [], f"resumed after step {step}"


@pytest.mark.slow
def test_a_tokenizer_learns_to_code_what_it_has_not_seen(folder, tmp_path):
    changes = {"training__max_steps": 200, "trainer__val_check_interval": 8, "logging__log_every_n_steps": 20}
    rows = train_tokenizer(codec_config(folder, **changes, run=str(tmp_path / "run"))).validation()
    assert rows[-1]["r"] > 0.8 and rows[-1]["r"] > rows[0]["r"] + 0.5
    assert rows[-1]["usage_level_1"] > 0.6
    assert rows[-1]["time"] < rows[0]["time"] / 2 and rows[-1]["spectral"] < rows[0]["spectral"] / 2


def test_training_goes_on_from_released_weights(folder, tmp_path, shared):
    released = shared / "golden" / "biocodec_ckpt.pt"
    start = BioCodec.from_pretrained(released)
    changes = {f"model__{name}": None for name in SIZES} | {"model__init_from": str(released), "training__max_steps": 2}
    config = codec_config(
        folder, **changes, run=str(tmp_path / "run"), training__learning_rate=1e-5, codebooks__decay=0.99
    )
    codec = BioCodec.from_pretrained(train_tokenizer(config).path / "model")
    assert codec.config == start.config
    assert 0 < (weights(codec) - weights(start)).abs().max() < 1e-3
    # kept, not found anew: a book is where the running sums of its file point, and two steps of 1 % each turn it little
    for level, before in zip(codec.quantizer.levels, start.quantizer.levels, strict=True):
        assert torch.cosine_similarity(level.code_book, before.sums, dim=-1).median() > 0.99
    assert codec.provenance["source"]["started_from"]["sha256"] == start.provenance["sha256"]


def test_sizes_that_contradict_the_weights_to_begin_with_are_refused(folder, tmp_path, shared):
    released = str(shared / "golden" / "biocodec_ckpt.pt")
    changes = {f"model__{name}": None for name in SIZES} | {"model__init_from": released, "model__codes": 64}
    with pytest.raises(InputError, match=r"model\.codes = 64, but the codec at model\.init_from = .* has 256"):
        train_tokenizer(codec_config(folder, **changes, run=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("sfreq_hz", "window_s", "kind"), [(256.0, 1.0, "meg"), (250.0, 2.0, "eeg"), (50.0, 150.0, "meg")]
)
def test_windows_of_any_length_and_rate_are_trained_on(tmp_path, sfreq_hz, window_s, kind):
    fields = {"sensors": electrodes(4)} if kind == "eeg" else {}
    seconds = 2.0 * window_s
    make_signals(tmp_path, recordings=2, seconds=seconds, sfreq_hz=sfreq_hz, high_hz=20.0, **fields)
    changes = {
        "data__segment_length": window_s,
        "data__target_sfreq": sfreq_hz,
        "data__block_s": None if window_s < 3 else 3.0,
        "training__batch_size": 1,
        "training__max_steps": 2,
        "datasets_config": [{"type": "armeni", "split": {"validation": 0.5, "seed": 0}}],
    }
    run = train_tokenizer(codec_config(tmp_path, **changes))
    row = run.validation()[-1]
    assert np.isfinite(row["loss"]) and row["rows"] == 4
    assert BioCodec.from_pretrained(run.path / "model").recipe["signal"]["sfreq_hz"] == sfreq_hz


def electrodes(n: int):
    """Sensor array of electrodes."""
    from dataclasses import replace

    from tests.store.made import sensors

    array = sensors(n)
    return replace(array, kinds_C=np.full_like(array.kinds_C, 2), orientations_C3=np.zeros_like(array.orientations_C3))


def test_half_precision_trains_and_leaves_code_books_in_float32(folder, tmp_path):
    config = codec_config(folder, trainer__precision="bf16-mixed", run=str(tmp_path / "run"))
    run = train_tokenizer(config)
    assert all(np.isfinite(row["loss"]) for row in (*run.metrics(), *run.validation()))
    codec = BioCodec.from_pretrained(run.path / "model")
    assert {tensor.dtype for tensor in codec.state_dict().values()} == {torch.float32}
    full = train_tokenizer(codec_config(folder, run=str(tmp_path / "full")))
    assert run.metrics()[0]["loss"] != full.metrics()[0]["loss"]
    assert run.metrics()[0]["loss"] == pytest.approx(full.metrics()[0]["loss"], rel=0.05)


def test_accumulated_batches_are_one_larger_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "TokenizerModule", Descending)
    make_signals(tmp_path, seconds=50.0)  # 24 windows train
    changes = {"training__max_steps": 7, "trainer__val_check_interval": 4, "training__learning_rate": 1e-2}
    whole = train_tokenizer(codec_config(tmp_path, **changes, run=str(tmp_path / "whole")))
    halves = {"training__batch_size": 2, "trainer__accumulate_grad_batches": 2}
    parts = train_tokenizer(codec_config(tmp_path, **changes, **halves, run=str(tmp_path / "parts")))
    one, other = (BioCodec.from_pretrained(run.path / "model") for run in (whole, parts))
    torch.testing.assert_close(weights(one), weights(other), rtol=0, atol=1e-6)
    books, other_books = (codec.quantizer.code_books_QVK for codec in (one, other))
    torch.testing.assert_close(books, other_books, rtol=0, atol=1e-6)
    for mine, theirs in zip(whole.metrics(), parts.metrics(), strict=True):
        assert theirs["loss"] == pytest.approx(mine["loss"], rel=1e-5)
        assert theirs["gradient_norm"] == pytest.approx(mine["gradient_norm"], rel=1e-2)
        assert theirs["used_level_1"] == mine["used_level_1"]


def test_steps_of_the_codec_that_a_training_began_with_count_also_after_it_went_on(run, folder, tmp_path):
    changes = {f"model__{name}": None for name in SIZES} | {"model__init_from": str(run.path / "model")}
    changes |= {**EVERY_STEP, "run": str(tmp_path / "run")}
    train_tokenizer(codec_config(folder, **changes, training__max_steps=1))
    for resume, steps in ((False, 11), (True, 12)):
        if resume:
            train_tokenizer(codec_config(folder, **changes, training__max_steps=2, resume=True))
        source = BioCodec.from_pretrained(tmp_path / "run" / "model").provenance["source"]
        assert source["steps"] == steps
        assert source["started_from"]["source"]["steps"] == 10


def test_an_end_that_has_passed_is_refused_and_the_run_stays_as_it_was(run, folder, tmp_path):
    copy = killed_after(run.path, tmp_path / "copy", 10)
    again = {**EVERY_STEP, "run": str(copy), "resume": True}
    train_tokenizer(codec_config(folder, **again, training__max_steps=16))
    kept = [(copy / name).read_text() for name in ("config.yaml", "status.json")]
    for ends, said in (
        ({"training__max_steps": 15}, r"max_steps = 15, but .* was trained for 16 already; give at least 16"),
        ({"training__max_steps": None, "training__num_epochs": 1}, r"num_epochs = 1, but .* was trained for 2 already"),
    ):
        with pytest.raises(InputError, match=said):
            train_tokenizer(codec_config(folder, **again, **ends))
    assert kept == [(copy / name).read_text() for name in ("config.yaml", "status.json")]
    assert train_tokenizer(codec_config(folder, **again, training__max_steps=16)).status["step"] == 16


class Diverging(TokenizerModule):
    """A gradient that is not finite, of a finite loss, goes into the weights at the third step."""

    def finish_gradients(self, optimizer, count, unit):
        super().finish_gradients(optimizer, count, unit)
        if self.trainer.global_step == 2:
            next(self.parameters()).grad.fill_(torch.nan)  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.parametrize(("save", "rows", "step"), [(3, 100, 3), (1, 100, 3), (100, 1, 3), (2, 100, 4)])
def test_a_training_that_diverged_ends_and_no_checkpoint_holds_it(folder, tmp_path, monkeypatch, save, rows, step):
    monkeypatch.setattr(engine, "TokenizerModule", Diverging)
    changes = {"checkpoint__every_n_train_steps": save, "logging__log_every_n_steps": rows}
    config = codec_config(folder, **changes, trainer__val_check_interval=100, run=str(tmp_path / "run"))
    with pytest.raises(InputError, match=f"The training diverged: .* not finite at step {step}\\."):
        train_tokenizer(config)
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("*.ckpt"))
    assert kept[-1:] == (["step-00000002.ckpt"] if save < 3 else [])
    for name in kept:
        tensors = read_checkpoint(tmp_path / "run" / "checkpoints" / name).tensors
        assert all(tensor.isfinite().all() for tensor in tensors.values())
