"""Rows of a training: where they lie, what they hold, also after a stop; what guessers are measured on."""

import json
import subprocess
import sys

import pytest
import torch
from lightning.pytorch import Callback

from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.training.baselines import fit_guessers
from megxl.training.data import PretrainData
from megxl.training.insight import Insight, measure_baselines
from megxl.training.masks import hide
from megxl.training.module import PretrainModule
from megxl.training.runs import CHECKPOINTS, write_json
from megxl.training.saving import Saver, WholeFiles
from megxl.training.stopping import StopRequest
from megxl.training.tables import TableLogger, read_table
from megxl.training.throughput import TIMING_COLUMNS, Throughput
from tests.training.small_batches import batch, item, loader, small_module, small_sizes, trainer
from tests.training.small_run import CODEC, environment, make_codec, make_store, small_codec, small_config

STEPS = 8


class Seen(Callback):
    """Notes for every batch what an independent reader of the table can compute."""

    def __init__(self) -> None:
        self.rates: dict[int, float] = {}
        self.norms: dict[int, float] = {}
        self.losses: list[tuple[int, torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def on_train_start(self, trainer, pl_module):
        predict = pl_module._predict

        def noting(masked):
            prediction = predict(masked)
            told = (prediction.loss_BQ.detach(), prediction.tokens_B.detach(), masked.batch.corpus_B)
            if trainer.training:
                self.losses.append((trainer.global_step, *told))
            return prediction

        pl_module._predict = noting

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.rates[trainer.global_step] = trainer.optimizers[0].param_groups[0]["lr"]
        self.norms[trainer.global_step] = float(pl_module.gradient_norm) if pl_module.gradient_norm is not None else 0.0


def fitted(folder, every: int, *, accumulate: int = 1, batches=None, **changes) -> Seen:
    """Train for some steps with a table; guessers are given."""
    write_json(folder / "baselines.json", {"chance": 2.0})
    seen, speed = Seen(), Throughput(small_sizes())
    insight = Insight(every, folder / "baselines.json", speed)
    batches = batches or [
        batch(item(2 * n, 4 + n % 3), item(2 * n + 1, 4 + n % 3, corpus="camcan" if n in (1, 2) else "armeni"))
        for n in range(STEPS * accumulate)
    ]
    fit = trainer(
        max_epochs=1,
        callbacks=[speed, insight, seen],
        logger=TableLogger(folder),
        accumulate_grad_batches=accumulate,
        val_check_interval=4,
    )
    fit.fit(small_module(**changes), loader(batches), loader(batches[:2]))
    return seen


@pytest.mark.parametrize("accumulate", [1, 2])
def test_rows_lie_at_multiples_and_at_the_last_step_and_hold_all_steps_since_the_last(tmp_path, accumulate):
    seen = fitted(tmp_path, 3, accumulate=accumulate)
    rows = read_table(tmp_path / "metrics.csv")
    assert [row["step"] for row in rows] == [3, 6, 8]
    for row, first in zip(rows, (0, 3, 6), strict=True):
        # a batch belongs to the step that follows on those that were made before it
        some = [told for step, *told in seen.losses if first <= step < row["step"]]
        sums_Q = torch.cat([loss_BQ for loss_BQ, _, _ in some]).double().sum(0)
        loss_Q = sums_Q / torch.cat([tokens_B for _, tokens_B, _ in some]).sum()
        assert row["loss"] == pytest.approx(float(loss_Q.mean()), rel=1e-9)
        assert [row[f"loss_level_{q + 1}"] for q in range(3)] == pytest.approx(loss_Q.tolist(), rel=1e-9)
        assert row["learning_rate"] == seen.rates[row["step"]]
        assert row["gradient_norm"] == seen.norms[row["step"]]
        assert 0 <= row["accuracy"] <= 1
        of_camcan = [(loss_BQ, t_B, k_B) for loss_BQ, t_B, k_B in some if (k_B == 1).any()]
        assert ("camcan_loss" in row) == bool(of_camcan)
        if of_camcan:
            mine = sum(float(loss_BQ[k_B == 1].double().sum()) for loss_BQ, _, k_B in of_camcan)
            tokens = sum(float(t_B[k_B == 1].sum()) for _, t_B, k_B in of_camcan)
            assert row["camcan_loss"] == pytest.approx(mine / tokens / 3, rel=1e-9)


def test_every_row_has_the_same_columns_from_the_first_on(tmp_path):
    fitted(tmp_path, 1)
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
    levels = [f"{what}_level_{n}" for what in ("loss", "accuracy") for n in (1, 2, 3)]
    corpora = ["armeni_loss", "armeni_accuracy", "camcan_loss", "camcan_accuracy"]
    last = ["learning_rate", "gradient_norm", *TIMING_COLUMNS]
    assert header == ["step", "epoch", "loss", "accuracy", *levels, *corpora, *last]
    header = (tmp_path / "validation.csv").read_text().splitlines()[0].split(",")
    assert header == ["step", "epoch", "loss", "accuracy", *levels, *corpora]
    assert "tokens_per_s" not in read_table(tmp_path / "metrics.csv")[0]  # the first step is not timed
    assert read_table(tmp_path / "metrics.csv")[1]["tokens_per_s"] > 0


def test_validation_has_a_row_of_its_own_windows_alone(tmp_path):
    same = [batch(item(0), item(1, corpus="camcan"))] * STEPS
    fitted(tmp_path, 3, batches=same, training__learning_rate=1e-9, training__min_learning_rate=1e-9)
    rows = read_table(tmp_path / "validation.csv")
    assert [row["step"] for row in rows] == [4, 8]
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], rel=1e-4)  # nothing was learned, nothing was added up
    assert rows[0]["loss"] == pytest.approx(read_table(tmp_path / "metrics.csv")[0]["loss"], rel=1e-4)


class Broken(Callback):
    """Makes a weight infinite or the gradient NaN before a step, or the weights NaN after it."""

    def __init__(self, step: int, what: str) -> None:
        self.step, self.what = step, what

    def on_after_backward(self, trainer, pl_module):
        if self.what == "gradient" and trainer.global_step == self.step:
            pl_module.model.head.bias.grad[0] = float("nan")

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if self.what == "weights" and trainer.global_step == self.step:
            pl_module.model.head.bias.data[0] = float("nan")


def diverging(folder, what: str, *, every: int, save: int, validate: int | None = None) -> str:
    """Break the fourth step of a training; returns what it says."""
    write_json(folder / "baselines.json", {"chance": 2.0})
    (folder / CHECKPOINTS).mkdir()
    speed = Throughput(small_sizes())
    insight = Insight(every, folder / "baselines.json", speed)
    saver = Saver(folder / CHECKPOINTS, every=save, keep=1, stop=StopRequest())
    fit = trainer(
        max_epochs=1,
        callbacks=[Broken(3, what), speed, insight, saver],
        logger=TableLogger(folder),
        val_check_interval=validate or STEPS,
        plugins=[WholeFiles()],
        enable_checkpointing=True,
    )
    batches = [batch(item(number)) for number in range(STEPS)]
    with pytest.raises(InputError) as told:
        fit.fit(small_module(), loader(batches), loader(batches[:1]))
    return str(told.value)


@pytest.mark.parametrize("what", ["gradient", "weights"])
@pytest.mark.parametrize(
    ("every", "save", "validate", "step"),
    [(2, 100, None, 4), (5, 100, None, 5), (100, 4, None, 4), (100, 3, None, 6), (100, 100, 6, 6)],
)
def test_a_training_that_diverges_says_so_and_keeps_its_good_checkpoint(tmp_path, what, every, save, validate, step):
    told = diverging(tmp_path, what, every=every, save=save, validate=validate)
    assert f"not finite at step {step}." in told and "training.learning_rate" in told
    rows = read_table(tmp_path / "metrics.csv") if (tmp_path / "metrics.csv").exists() else []
    assert [row["step"] for row in rows] == ([2] if every == 2 else [])
    files = sorted(path.name for path in (tmp_path / CHECKPOINTS).iterdir())
    if save != 3:
        assert files == [] and "No checkpoint was written: begin anew (overwrite=true)" in told
        return
    assert files == ["last.ckpt", "step-00000003.ckpt"]
    good = tmp_path / CHECKPOINTS / "step-00000003.ckpt"
    assert f"model.init_from={good}" in told
    for path in (good, good.with_name("last.ckpt")):
        state = torch.load(path, weights_only=True)["state_dict"]
        assert all(tensor.isfinite().all() for tensor in state.values() if tensor.is_floating_point())


def test_a_step_that_a_scaler_leaves_out_is_no_divergence(tmp_path):
    insight = Insight(1, tmp_path / "baselines.json", Throughput(small_sizes()))
    fit = trainer()
    fit.strategy.precision_plugin.precision = "16-mixed"
    insight._refuse_divergence(fit, 1.0, float("inf"))
    with pytest.raises(InputError, match="not finite"):
        insight._refuse_divergence(fit, float("inf"), 1.0)


# ---- on stored recordings ----


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Store of two corpora with codes, and where it lies."""
    folder = tmp_path_factory.mktemp("prepared")
    make_store(folder, subjects=3, seconds=20.0, corpora=("armeni", "camcan"))
    make_codec(folder)
    return folder


BLOCKS = [{"type": name, "split": {"validation": 0.3, "seed": 0}} for name in ("armeni", "camcan")]


def data_of(prepared, **changes) -> PretrainData:
    config = small_config(prepared, datasets_config=BLOCKS, **changes)
    data = PretrainData(config, small_codec())
    data.prepare_data()
    data.setup("fit")
    return data


def module_of(data: PretrainData) -> PretrainModule:
    sizes = small_sizes(masked_blocks=1, dropout=0.1)
    torch.manual_seed(0)
    return PretrainModule(MEGXL(sizes, small_codec()), data.config, data.corpus_ids)


class SaveAt(Callback):
    """Saves after a step and stops the training there."""

    def __init__(self, step: int | None, path) -> None:
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def run(prepared, folder, *, save_at=None, resume=None, every=4):
    folder.mkdir(exist_ok=True)
    data = data_of(prepared)
    logger, speed = TableLogger(folder), Throughput(small_sizes())
    insight = Insight(every, folder / "baselines.json", speed)
    callbacks = [speed, insight, SaveAt(save_at, folder / "some.ckpt")]
    if resume is not None:
        logger.cut_back(resume)
    options = {"accumulate_grad_batches": 2, "limit_val_batches": 0}
    fit = trainer(max_epochs=3, callbacks=callbacks, logger=logger, **options)
    module = module_of(data)
    fit.fit(module, data, ckpt_path=None if resume is None else folder / "some.ckpt", weights_only=resume and True)
    return fit.global_step


def exact(folder) -> list[dict[str, float]]:
    rows = read_table(folder / "metrics.csv")
    return [{name: value for name, value in row.items() if name not in TIMING_COLUMNS} for row in rows]


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    """Rows of an unbroken training."""
    folder = tmp_path_factory.mktemp("whole")
    last = run(prepared, folder)
    rows = exact(folder)
    assert [row["step"] for row in rows] == [*range(4, last, 4), last]
    return rows


@pytest.mark.parametrize("stop_at", [5, 7, 8])
def test_a_row_after_a_stop_holds_what_an_unbroken_training_writes(prepared, whole, tmp_path, stop_at):
    run(prepared, tmp_path / "broken", save_at=stop_at)
    steps = [row["step"] for row in exact(tmp_path / "broken")]
    assert steps == list(range(4, stop_at + 1, 4))  # the end of a part is no end of the training
    run(prepared, tmp_path / "broken", resume=stop_at)
    assert exact(tmp_path / "broken") == whole


SCRIPT = """
import sys
from pathlib import Path
import torch
from lightning.pytorch import Callback
from megxl.training.insight import Insight
from megxl.training.throughput import Throughput
from tests.training.small_batches import Watch, batch, item, loader, small_module, small_sizes, trainer


class Start(Callback):
    def on_train_start(self, trainer, pl_module):
        self.sums_KS = pl_module.train_tally.sums_KS.clone()


def part(folder, watch, checkpoint=None):
    module, start = small_module(), Start()
    insight = Insight(1000, folder / "baselines.json", Throughput(small_sizes()))
    run = trainer(max_epochs=2, devices=2, strategy="ddp", callbacks=[insight, watch, start])
    batches = [batch(item(n), item(10 * run.global_rank + n, 4 + run.global_rank)) for n in range(3)]
    run.fit(module, loader(batches), ckpt_path=checkpoint, weights_only=checkpoint and True)
    return run.global_rank, start.sums_KS, module.train_tally.sums_KS


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    rank, _, stopped_KS = part(folder, Watch(save_after=2, path=folder / "some.ckpt"))
    _, began_KS, _ = part(folder, Watch(), folder / "some.ckpt")
    torch.save((stopped_KS, began_KS), folder / f"{rank}.pt")
"""


@pytest.mark.slow
def test_every_rank_goes_on_from_its_own_sums(tmp_path):
    write_json(tmp_path / "baselines.json", {})
    (tmp_path / "train.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "train.py"), str(tmp_path)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for stopped_KS, began_KS in ranks:
        assert stopped_KS[:, -1].sum() > 0
        assert torch.equal(stopped_KS, began_KS)
    assert not torch.equal(ranks[0][0], ranks[1][0])


class Masks(Callback):
    """Notes which tokens validation hides."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, float], list[bool]] = {}
        self.tokens = 0.0

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        for key, start_s, mask_T in zip(batch.batch.keys, batch.batch.start_s_B.tolist(), batch.mask_BT, strict=True):
            self.of[key, start_s] = mask_T.tolist()

    def on_validation_epoch_end(self, trainer, pl_module):
        self.tokens = pl_module.validation_tally.read()["tokens"]


@pytest.mark.parametrize("codes", ["cached", "online"])
def test_guessers_learn_from_training_and_guess_exactly_what_validation_hides(prepared, tmp_path, codes):
    data = data_of(prepared, data__codes=codes)
    module, masks = module_of(data), Masks()
    insight = Insight(3, tmp_path / "baselines.json", Throughput(small_sizes()))
    trainer(max_epochs=1, callbacks=[insight, masks]).fit(module, data)
    told = json.loads((tmp_path / "baselines.json").read_text())
    assert told == insight.baselines
    assert told["chance"] == pytest.approx(torch.tensor(16.0).log().item())

    sizes, tokens = module.model.config, 25
    validation = [hide(some, sizes, tokens) for some in data.guesser_batches("validation")]
    hidden = {
        (key, start_s): mask_T.tolist()
        for some in validation
        for key, start_s, mask_T in zip(some.batch.keys, some.batch.start_s_B.tolist(), some.mask_BT, strict=True)
    }
    assert hidden == masks.of
    assert sum(told["scored"]["hidden_tokens"].values()) == masks.tokens

    split = data.split()
    train = [hide(some, sizes, tokens) for some in data.guesser_batches("train")]
    assert {key for some in train for key in some.batch.keys} == {key for one in split.values() for key in one.train}
    assert fit_guessers(train, CODEC.levels, CODEC.codes).score(validation) == {
        name: told[name] for name in ("chance", "unigram", "last_token", "scored")
    }
    assert set(told["fitted"]["windows"]) == {"armeni", "camcan"}
    shown = sum(len(some.batch) for some in validation)
    assert sum(told["scored"]["windows"].values()) == shown
    assert told["usage"]["validation"]["all"]["tokens"] == sum(
        int(some.batch.codes_BCTQ[..., 0].numel())
        if some.batch.sensor_mask_BC is None
        else int(some.batch.sensor_mask_BC.sum()) * tokens
        for some in validation
    )


def test_cached_and_online_codes_are_guessed_alike(prepared):
    cached, online = (
        measure_baselines(data_of(prepared, data__codes=codes), module_of(data_of(prepared)).model.config)
        for codes in ("cached", "online")
    )
    assert cached["last_token"]["loss"] == pytest.approx(online["last_token"]["loss"], rel=1e-2)


def test_baselines_that_are_there_are_not_measured_again(prepared, tmp_path):
    write_json(tmp_path / "baselines.json", {"chance": 1.0})
    insight = Insight(3, tmp_path / "baselines.json", Throughput(small_sizes()))
    data = data_of(prepared)
    trainer(max_epochs=1, callbacks=[insight]).fit(module_of(data), data)
    assert insight.baselines == json.loads((tmp_path / "baselines.json").read_text()) == {"chance": 1.0}
