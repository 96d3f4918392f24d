"""The arithmetic of a training step agrees with what tensors really take, and its tables can be made."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import context, training, training_cost
from benchmarks.training import Case, cases_gpu, run_case, trial, write_windows
from benchmarks.training_cost import MACHINES, MODES, Step, count_step, kept_bytes, state_bytes, step_flops
from megxl.model.execution import recompute_activations
from megxl.model.masking import draw_mask, plan_mask
from megxl.model.megxl import MEGXL

STEP = Step(size="tiny", sensors=20, window_s=30.0)


def run_really(step: Step):
    """A model and what its masked prediction takes; attention without dropout is fused, as on a GPU."""
    model = recompute_activations(MEGXL(step.config).train(), step.recompute)
    if step.fused_attention:
        for layer in model.layers:
            layer.temporal.dropout = layer.spatial.dropout = 0.0
    codes = torch.zeros(step.batch, step.sensors, step.tokens, step.config.levels, dtype=torch.uint8)
    mask = draw_mask(plan_mask(step.tokens, step.config), [torch.Generator() for _ in range(step.batch)])
    return model, (codes, training.random_sensors(step, torch.device("cpu")), mask)


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("recompute", ["off", "full"])
def test_what_is_kept_is_what_autograd_saves(recompute, mixed):
    step = replace(STEP, recompute=recompute, mixed=mixed)
    model, inputs = run_really(step)
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        # rounded copies of the weights are no activations
        if storage.data_ptr() not in weights and tensor.grad_fn.__class__.__name__ != "TBackward0":
            saved[storage.data_ptr()] = tensor
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=mixed),
    ):
        model.masked_prediction(*inputs)
    found = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
    assert sum(kept_bytes(step).values()) == pytest.approx(found, rel=0.02)


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("recompute", MODES)
@pytest.mark.parametrize("batch", [1, 3])
def test_closed_form_agrees_at_full_size_with_a_count_of_all_operations(recompute, mixed, batch):
    step = Step(size="med", recompute=recompute, mixed=mixed, batch=batch)
    assert sum(kept_bytes(step).values()) == pytest.approx(count_step(step).kept, rel=0.01)


@pytest.mark.parametrize("recompute", MODES)
@pytest.mark.parametrize("fused", [True, False])
def test_a_count_without_memory_is_that_of_real_tensors(recompute, fused):
    step = replace(STEP, recompute=recompute, fused_attention=fused)
    without, real = count_step(step), count_step(step, real=True)
    assert without.kept == real.kept
    # of the optimizer's step, which leaves numbers of a few bytes alive
    assert without.base == pytest.approx(real.base, abs=1000)
    assert without.peak == pytest.approx(real.peak, rel=0.02)


def test_counted_step_keeps_what_masked_prediction_keeps():
    step = replace(STEP, mixed=False)
    model, inputs = run_really(step)
    with training_cost._Watch() as watch:
        before = watch.alive
        prediction = model.masked_prediction(*inputs)
        kept = watch.alive - before
    assert prediction.loss.requires_grad
    assert count_step(step).kept == pytest.approx(kept, rel=0.02)


def test_operations_are_those_that_torch_counts():
    step = replace(STEP, mixed=False, fused_attention=False)
    model, inputs = run_really(step)
    with FlopCounterMode(display=False) as counter:
        model.masked_prediction(*inputs)
    flops = step_flops(step)
    assert flops["layers forward"] + flops["head forward"] == pytest.approx(counter.get_total_flops(), rel=0.01)
    machine = replace(MACHINES[0], peak=1.0, bandwidth=float("inf"))
    seconds = count_step(replace(STEP, mixed=False)).seconds(machine)
    config, sensors, tokens = STEP.config, STEP.sensors, STEP.tokens
    product = config.layers * 2 * (config.width // 2) * (sensors * tokens**2 + tokens * sensors**2)
    # a fused backward pass makes the scores again: five products where the useful ones are four
    assert seconds["attention"] == (2 + 5) * product
    assert seconds["matrix products"] == pytest.approx(flops["useful"] - 6 * product, rel=0.02)


def test_state_is_sixteen_bytes_a_weight_and_buffers():
    model = MEGXL(STEP.config)
    weights = sum(weight.numel() for weight in model.parameters())
    buffers = sum(4 * buffer.numel() for buffer in model.buffers())
    assert sum(state_bytes(STEP).values()) == 16 * weights + buffers


def test_published_size_fits_24_gb_when_all_is_recomputed():
    counted = count_step(Step(recompute="full"))
    assert counted.peak < 0.5 * 24e9
    assert count_step(Step(recompute="off")).peak > 24e9


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in cases_gpu() if not case.compiled and case.step.batch == 1])
def test_every_way_that_is_not_compiled_runs_tiny_on_a_processor(case, tmp_path):
    small = replace(trial(case), workers=0)
    write_windows(tmp_path, small)
    figures = run_case(small, tmp_path)
    assert figures["step_s"] > 0 and 0 <= figures["data_wait_share"] <= 1 and figures["peak_gb"] > 0.05
    assert figures["tokens_per_s"] == pytest.approx(figures["samples_per_s"] * 12 * 50)
    assert bool(figures["profile"]) == case.profile


def test_every_case_survives_the_way_to_its_process():
    for case in cases_gpu() + training.cases_cpu():
        assert Case.from_json(json.dumps(training.asdict(case))) == case


@pytest.mark.slow
def test_lightning_path_trains_the_module_in_a_process_of_its_own(tmp_path):
    small = trial(training.cases_cpu()[1])
    write_windows(tmp_path, small)
    figures = training.measure(small, tmp_path, 100)
    assert isinstance(figures, dict), figures
    assert figures["peak_gb"] > 0.1 and figures["step_s"] > 0


@pytest.mark.slow
def test_tables_are_written(tmp_path):
    out = tmp_path / "context.md"
    arguments = ["--device", "cpu", "--size", "tiny", "--sensors", "4", "--seconds", "5", "600", "--recompute", "off"]
    assert context.main([*arguments, "--memory-gb", "0.1", "--out", str(out)]) == 0
    rows = [line for line in out.read_text().splitlines() if line.startswith(("| 5 ", "| 600 "))]
    assert len(rows) == 2 and "not run: over 0.1 GB" in rows[1]
    assert json.loads(out.with_suffix(".json").read_text())[0]["step_s"] > 0
    page = tmp_path / "cost.md"
    training_cost.main(["--size", "tiny", "--sensors", "10", "--seconds", "30", "--out", str(page)])
    text = page.read_text()
    assert all(machine.name in text for machine in MACHINES) and "nan" not in text


def test_a_case_that_fails_says_why_in_its_row(tmp_path):
    case = trial(cases_gpu()[0])
    result = training.measure(case, tmp_path, 100)
    assert isinstance(result, str) and "codes.npy" in result
    lines = [training.as_line(case, result)]
    table = [
        line
        for line in training.page(lines, [result], training.parse(["--out", "x"])).splitlines()
        if line.startswith("|")
    ]
    assert {line.count("|") for line in table} == {table[0].count("|")} and len(table) == 3
