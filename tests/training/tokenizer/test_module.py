"""The training step: gradients are those of the mean over all rows, and validation measures what it says."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("lightning.pytorch")

from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.objective import objective
from megxl.training.tokenizer.module import ROWS_UNIT, TokenizerModule, objective_weights
from megxl.training.tokenizer.rows import Rows
from tests.training.tokenizer.small_codecs import codec_config

SAMPLES = 120


def rows(seed: int, number: int, again: int = 0) -> Rows:
    """Rows of noise, the last `again` of which only level ranks."""
    generator = torch.Generator().manual_seed(seed)
    counted_N = torch.arange(number) < number - again
    return Rows(
        signal_N1T=torch.randn(number, 1, SAMPLES, generator=generator).cumsum(-1) / 5,
        seeds_N=torch.arange(number) + 100 * seed,
        counted_N=counted_N if again else None,
        groups=("armeni/1",) * number,
        sfreq_hz=50.0,
    )


def joined(*parts: Rows) -> torch.Tensor:
    return torch.cat([part.signal_N1T for part in parts])


@pytest.fixture
def module(monkeypatch) -> TokenizerModule:
    config = codec_config(Path("nowhere"))
    torch.manual_seed(0)
    module = TokenizerModule(BioCodec(config.model.sizes()), config)
    trainer = SimpleNamespace(world_size=1, accumulate_grad_batches=2, global_step=0)
    monkeypatch.setattr(TokenizerModule, "trainer", trainer, raising=False)
    return module


def test_gradients_are_those_of_the_mean_over_all_rows_of_a_step(module):
    parts = rows(1, 2), rows(2, 5)
    output = module.codec(joined(*parts))
    wanted = objective(output.signal_N1T, joined(*parts), output.commitment, objective_weights(module.config))
    gradients = torch.autograd.grad(wanted.total, list(module.codec.parameters()))
    for part in parts:
        (module.training_step(part, 0) / 2).backward()  # as Lightning does, of two batches
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    module.on_before_optimizer_step(optimizer)
    for parameter, gradient in zip(module.codec.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)
    assert optimizer.param_groups[0]["lr"] == module.learning_rate(0)
    sums = [7.0, *(7 * term.item() for term in wanted)]
    torch.testing.assert_close(module.sums_S, torch.tensor(sums), rtol=1e-5, atol=0)


def test_code_books_follow_all_rows_of_a_step_once(module):
    parts, decay = (rows(1, 2), rows(2, 5)), module.config.codebooks.decay
    level = module.codec.quantizer.levels[0]
    level.initialised.fill_(1)
    level.counts.fill_(10.0)
    codes_NT = module.codec(joined(*parts)).codes_NQT[:, 0]
    for part in parts:
        module.training_step(part, 0).backward()
        assert (level.counts == 10).all(), "books change once a step, not within it"
    module.on_before_optimizer_step(torch.optim.SGD(module.parameters(), lr=1.0))
    chosen_V = torch.bincount(codes_NT.flatten(), minlength=len(level.counts)).float()
    torch.testing.assert_close(level.counts, decay * 10 + (1 - decay) * chosen_V)
    assert module.news is not None and int(module.news.used_Q[0]) == int((chosen_V > 0).sum())
    assert module.learner.initialised is False  # the second level was left alone here


def test_validation_measures_rows_that_count(module):
    parts = rows(3, 4), rows(4, 5, again=2)
    module.on_validation_epoch_start()
    with torch.no_grad():
        for part in parts:
            module.validation_step(part, 0)
        target_N1T = joined(*parts)[:7]
        output = module.codec(target_N1T)
    row = module.validation.row()
    wanted = objective(output.signal_N1T, target_N1T, output.commitment, objective_weights(module.config))
    assert row["rows"] == 7 and row["flat_rows"] == 0
    for name, term in zip(("loss", "time", "spectral", "commitment"), wanted, strict=True):
        assert row[name] == pytest.approx(float(term), rel=1e-5)
    pairs = zip(output.signal_N1T[:, 0].numpy(), target_N1T[:, 0].numpy(), strict=True)
    correlations = [np.corrcoef(estimate, target)[0, 1] for estimate, target in pairs]
    assert row["r"] == pytest.approx(np.mean(correlations), abs=1e-6)
    assert row["r_median"] == pytest.approx(np.median(correlations), abs=1e-6)
    for level in (0, 1):
        share = len(output.codes_NQT[:, level].unique()) / module.codec.config.codes
        assert row[f"usage_level_{level + 1}"] == pytest.approx(share)


def test_the_unit_of_sums_leaves_their_bits_as_they_are():
    assert np.frexp(ROWS_UNIT)[0] == 0.5
