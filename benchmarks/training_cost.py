"""What a training step costs before anybody has run it: operations, bytes kept and moved, the bound on speed.

Two ways that check each other: closed forms (`kept_bytes`, `fused_traffic`), and a count of every operation of a whole
step on tensors without memory (`count_step`), which works at any size on any machine.

    PYTHONPATH=. python benchmarks/training_cost.py --out benchmarks/training.md

Letters: N tokens of all sensors and items, D width, R hidden tokens of all sensors, Q levels, V codes.
"""

import argparse
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from megxl.model.attention import RotaryTable, SelfAttention
from megxl.model.criss_cross import FEEDFORWARD_RATIO
from megxl.model.embedding import SensorTensors
from megxl.model.execution import Recompute, recompute_activations
from megxl.model.flops import Workload, forward_flops, head_flops, tokenize_flops
from megxl.model.masking import plan_mask
from megxl.model.megxl import MEGXL
from megxl.model.memory import RESIDUAL
from megxl.model.memory import kept_bytes as kept_by_model
from megxl.signals.normalization import BLOCK_S
from megxl.sizes import PRESETS, BioCodecConfig, MEGXLConfig


@dataclass(frozen=True, kw_only=True)
class Step:
    """A training step: how large, and how it is run."""

    size: str = "med"
    sensors: int = 306
    window_s: float = 150.0
    batch: int = 1
    recompute: Recompute = "off"
    mixed: bool = True
    """bfloat16 by autocast; otherwise float32."""
    fused_attention: bool = True
    """Attention weights never lie in memory: on GPUs, and on CPUs without attention dropout."""

    @property
    def config(self) -> MEGXLConfig:
        """Sizes of the model, two of five blocks masked whatever the length of the window."""
        sizes = PRESETS[self.size]
        return replace(sizes, masked_blocks=max(1, int(self.window_s / BLOCK_S * 2 / 5)))

    @property
    def work(self) -> Workload:
        """What is processed at once."""
        return Workload(batch=self.batch, sensors=self.sensors, samples=round(self.window_s * self.config.sfreq_hz))

    @property
    def tokens(self) -> int:
        """Tokens of a window."""
        return -(-self.work.samples // self.config.samples_per_token)

    @property
    def rows(self) -> int:
        """Tokens of all sensors and items, N."""
        return self.batch * self.sensors * self.tokens

    @property
    def hidden_rows(self) -> int:
        """Hidden tokens of all sensors and items, R."""
        return self.batch * self.sensors * plan_mask(self.tokens, self.config).hidden


def step_flops(step: Step) -> dict[str, int]:
    """Operations by part; `useful` is what MFU counts, `recomputed` comes on top of it."""
    config = step.config
    layers = forward_flops(config, step.work)
    head = head_flops(config, step.hidden_rows)
    return {
        "layers forward": layers,
        "head forward": head,
        "backward": 2 * (layers + head),
        "useful": 3 * (layers + head),
        "recomputed": layers if step.recompute == "full" else 0,
        "codes online": tokenize_flops(BioCodecConfig(), step.work),
    }


def state_bytes(step: Step) -> dict[str, int]:
    """What stays from step to step: float32 weights, gradients and AdamW's two moments."""
    with FakeTensorMode():
        model = MEGXL(step.config)
    weights = sum(4 * weight.numel() for weight in model.parameters())
    buffers = sum(4 * buffer.numel() for buffer in model.buffers())
    return {"weights": weights + buffers, "gradients": weights, "AdamW": 2 * weights}


def kept_bytes(step: Step) -> dict[str, int]:
    """Activations alive between forward and backward pass, by closed form, with fused attention and no compiler."""
    config = step.config
    total = kept_by_model(config, step.work, step.recompute, mixed=step.mixed)
    logits, low = step.hidden_rows * config.levels * config.codes, 2 if step.mixed else 4
    total["head"] = 4 * logits + step.hidden_rows * (config.width * low + 8 * config.levels + 8)
    return total


@dataclass
class Counted:
    """What one training step did."""

    base: int
    """Bytes alive before the step: weights, and from the second step on AdamW's moments."""
    kept: int
    """Bytes alive between forward and backward pass, over `base`."""
    peak: int
    """Most bytes alive at any moment."""
    seconds: Callable[["Machine"], dict[str, float]]
    """Time of each kind of operation on a machine, were none hindered by another."""
    moved: dict[str, int] = field(default_factory=dict)
    """Bytes read and written, by kind of operation."""
    launches: int = 0


def count_step(step: Step, *, real: bool = False) -> Counted:
    """Run a training step on tensors without memory (or real ones) and count; the second step is reported."""
    config = step.config
    with nullcontext() if real else FakeTensorMode(), _Watch() as watch:
        model = recompute_activations(MEGXL(config), step.recompute).train()
        for attention in model.modules():
            if step.fused_attention and isinstance(attention, SelfAttention):
                attention.dropout = 0.0
        inputs = _inputs(step)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        for _ in range(2):
            optimizer.zero_grad(set_to_none=True)
            watch.start()
            base = watch.alive
            with torch.autocast("cpu", torch.bfloat16, enabled=step.mixed):
                loss = _loss(model, step, *inputs)
            kept = watch.alive - base
            loss.backward()
            del loss
            operations, peak = list(watch.operations), watch.peak
            optimizer.step()
            peak = max(peak, watch.peak)
    moved: Counter[str] = Counter()
    for kind, _, n_bytes in operations:
        moved[kind] += n_bytes
    return Counted(base, kept, peak, lambda machine: _seconds(operations, machine), dict(moved), len(operations))


def _inputs(step: Step) -> tuple[Tensor, SensorTensors, Tensor, Tensor]:
    config, shape = step.config, (step.batch, step.sensors)
    codes_BCTQ = torch.zeros(*shape, step.tokens, config.levels, dtype=torch.uint8)
    sensors = SensorTensors(torch.zeros(*shape, 3), torch.zeros(*shape, 3), torch.zeros(shape, dtype=torch.int64))
    mask_BCT = torch.zeros(*shape, step.tokens, dtype=torch.bool)
    return codes_BCTQ, sensors, mask_BCT, torch.zeros(step.hidden_rows, dtype=torch.int64)


def _loss(model: MEGXL, step: Step, codes_BCTQ: Tensor, sensors: SensorTensors, mask_BCT: Tensor, rows_R: Tensor):
    """As `MEGXL.masked_prediction` does it, with the places given: without memory there are no places to find."""
    x_BCTD = model.embedding(codes_BCTQ, sensors, mask_BCT)
    rotary = RotaryTable(step.tokens, step.config.width // 2)
    for layer in model.layers:
        x_BCTD = layer(x_BCTD, rotary, None)
    logits_RQV = model.head(x_BCTD.flatten(0, 2)[rows_R]).unflatten(-1, (step.config.levels, -1))
    targets_RQ = codes_BCTQ.flatten(0, 2)[rows_R].long()
    losses = F.cross_entropy(logits_RQV.flatten(0, 1).float(), targets_RQ.flatten(), reduction="none")
    return losses.view_as(targets_RQ).mean()


class _Watch(TorchDispatchMode):
    """Bytes alive, and kind, operations and traffic of everything that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self.operations: list[tuple[str, int, int]] = []
        self._sizes: dict[int, int] = {}

    def start(self) -> None:
        """Forget what ran, keep what is alive."""
        self.peak, self.operations = self.alive, []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        storages = {tensor.untyped_storage()._cdata for tensor in given}
        new = [tensor for tensor in made if tensor.untyped_storage()._cdata not in storages]
        for tensor in new:
            self._born(tensor.untyped_storage())
        if new or func._schema.is_mutable:
            self.operations.append((_kind(func), _flops(func, given, made), _traffic(given) + _traffic(made)))
        return result

    def _born(self, storage: torch.UntypedStorage) -> None:
        name = storage._cdata
        if name in self._sizes:
            return
        self._sizes[name] = storage.nbytes()
        self.alive += storage.nbytes()
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._died, name)

    def _died(self, name: int) -> None:
        self.alive -= self._sizes.pop(name)


def _kind(func: Any) -> str:
    name = func._schema.name.removeprefix("aten::")
    if name in ("mm", "addmm", "bmm", "baddbmm"):
        return "matrix products"
    return "attention" if "scaled_dot_product" in name else "small operations"


def _flops(func: Any, given: list[Tensor], made: list[Tensor]) -> int:
    kind, name = _kind(func), func._schema.name
    if kind == "matrix products":
        return 2 * made[0].numel() * given[-2].shape[-1]
    if kind == "small operations":
        return 0
    # scores and weighted sum; backward: the scores again and four products of their size
    query = next(tensor for tensor in given if tensor.dim() == 4)
    products = 5 if "backward" in name else 2
    return products * 2 * query.numel() * query.shape[-2]


def _traffic(tensors: list[Tensor]) -> int:
    # an expanded tensor is read once
    return sum(min(tensor.numel() * tensor.itemsize, tensor.untyped_storage().nbytes()) for tensor in tensors)


@dataclass(frozen=True)
class Machine:
    """A GPU by its data sheet."""

    name: str
    peak: float
    """Dense bfloat16 operations a second."""
    bandwidth: float
    """Bytes a second between memory and processor."""
    memory_gb: float


MACHINES = [
    Machine("H200", 989e12, 4.8e12, 141),
    Machine("H100", 989e12, 3.35e12, 80),
    Machine("A100", 312e12, 2.04e12, 80),
    Machine("RTX 4090", 165e12, 1.01e12, 24),
]


def _seconds(operations: list[tuple[str, int, int]], machine: Machine) -> dict[str, float]:
    """Each operation takes the longer of computing and moving."""
    times: dict[str, float] = defaultdict(float)
    for kind, flops, n_bytes in operations:
        times[kind] += max(flops / machine.peak, n_bytes / machine.bandwidth)
    return dict(times)


def fused_bytes(step: Step) -> dict[str, int]:
    """What small operations would move if each chain of them were one kernel, as a compiler makes them; by hand.

    Of all layers; the matrix products' own reading and writing is not in it.
    """
    low, hidden = 2 if step.mixed else 4, FEEDFORWARD_RATIO * (2 if step.mixed else 4)
    forward = {
        "norm before attention": RESIDUAL + low,
        "turning queries and keys": 2 * low,
        "adding attention, norm": 2 * RESIDUAL + 2 * low,
        "SELU": 2 * hidden,
        "adding feed-forward, dropout": 2 * RESIDUAL + low + 1,
    }
    backward = {
        "dropout backward": RESIDUAL + low + 1,
        "SELU backward": 3 * hidden,
        "norms backward": 2 * (3 * RESIDUAL + low) + low,
        "turning back, joining": 3 * low,
        "sums for biases": (3 + 1 + FEEDFORWARD_RATIO + 1) * low,
    }
    if step.recompute != "off":
        # what comes after the last tensor that is wanted is not done again
        backward["again forward"] = sum(forward.values()) - forward["adding feed-forward, dropout"]
    nd = step.rows * step.config.width
    return {name: step.config.layers * nd * count for name, count in (forward | backward).items()}


REACHED = {"matrix products": 0.75, "attention": 0.45, "small operations": 0.85}
"""Shares of a data sheet's rates that good kernels reach; assumed."""


def step_seconds(step: Step, counted: Counted, machine: Machine, *, compiled: bool, reached: bool) -> float:
    """Time of a step if kernels follow each other without gaps.

    Parameters
    ----------
    step : Step
    counted : Counted
        Of the same step.
    machine : Machine
    compiled : bool
        Small operations fused (`fused_bytes`), or as they are counted.
    reached : bool
        At rates that kernels reach (`REACHED`), or at those of the data sheet.
    """
    times = counted.seconds(machine)
    if compiled:
        times["small operations"] = sum(fused_bytes(step).values()) / machine.bandwidth
    return sum(time / (REACHED[kind] if reached else 1) for kind, time in times.items())


MODES: tuple[Recompute, ...] = ("off", "selective", "full")


def page(step: Step) -> str:
    """All of it as a page."""
    steps = {mode: replace(step, recompute=mode) for mode in MODES}
    counts = {mode: count_step(each) for mode, each in steps.items()}
    wide = {mode: replace(each, mixed=False) for mode, each in steps.items()}
    processor = {mode: replace(each, fused_attention=False) for mode, each in wide.items()}
    sections = [
        _heading(step),
        _operations(step),
        _memory(steps, counts, wide, processor),
        _kept(steps),
        _moved(step, steps, counts),
        _speed(steps, counts),
    ]
    return "\n\n".join(sections) + "\n"


def _heading(step: Step) -> str:
    return (
        f"# What a training step costs, on paper\n\n{date.today()}, torch {torch.__version__}. Nothing here was run on "
        f"a GPU.\nSize `{step.size}` (width {step.config.width}, {step.config.layers} layers), {step.sensors} sensors, "
        f"{step.window_s:g} s ({step.tokens} tokens each), batch {step.batch}, {step.hidden_rows:,} hidden tokens.\n\n"
        "    PYTHONPATH=. python benchmarks/training_cost.py --out benchmarks/training.md\n\n"
        "Counted: every operation of a step on tensors without memory. Closed form: what ought to be kept, by hand; "
        "the two\nagree within 1 % at full size and, on real tensors, at small ones "
        "(`tests/test_benchmarks_training.py`)."
    )


def _operations(step: Step) -> str:
    flops = step_flops(replace(step, recompute="full"))
    rows = [[name, f"{count / 1e12:.2f}"] for name, count in flops.items()]
    return "## Operations\n\n" + _table(["part", "TFLOP"], rows)


def _memory(
    steps: dict[str, Step],
    counts: dict[str, Counted],
    wide: dict[str, Step],
    processor: dict[str, Step],
) -> str:
    rows = []
    for mode in MODES:
        float32, cpu = count_step(wide[mode]), count_step(processor[mode])
        numbers = [counts[mode].kept, counts[mode].peak, float32.kept, float32.peak, cpu.kept, cpu.peak]
        closed = sum(kept_bytes(steps[mode]).values())
        rows.append([mode, *(f"{number / 1e9:.1f}" for number in (closed, *numbers))])
    columns = ["recompute", "bf16 kept, closed form", "bf16 kept", "bf16 peak", "float32 kept", "float32 peak"]
    columns += ["float32 on a CPU with dropout: kept", "peak"]
    state = ", ".join(f"{name} {count / 1e9:.3f}" for name, count in state_bytes(steps["off"]).items())
    return (
        f"## Memory in GB\n\nOf tensors, not compiled. From step to step stays (in the peaks): {state}. On a GPU come "
        "about 0.5 GB of\nlibraries and what the allocator cannot use; on a CPU 0.4 GB of program. On a CPU attention "
        "with dropout has no fused\nkernel: its weights lie in memory, those of some sequences at a time.\n\n"
        + _table(columns, rows)
    )


def _kept(steps: dict[str, Step]) -> str:
    parts = {mode: kept_bytes(each) for mode, each in steps.items()}
    names = list(dict.fromkeys(name for part in parts.values() for name in part))
    rows = [[name, *(f"{parts[mode].get(name, 0) / 1e9:.2f}" for mode in MODES)] for name in names]
    return "## What is kept for the backward pass, bf16, GB by closed form\n\n" + _table(["part", *MODES], rows)


def _moved(step: Step, steps: dict[str, Step], counts: dict[str, Counted]) -> str:
    kinds = list(REACHED)
    rows = [
        [f"{mode}, not compiled", *(f"{counts[mode].moved[kind] / 1e9:.0f}" for kind in kinds), f"{count.launches:,}"]
        for mode, count in counts.items()
    ]
    for mode in MODES:
        fused = sum(fused_bytes(steps[mode]).values())
        same = [f"{counts[mode].moved[kind] / 1e9:.0f}" for kind in kinds[:2]]
        rows.append([f"{mode}, compiled (by hand)", *same, f"{fused / 1e9:.0f}", ""])
    codes_mb = step.rows * step.config.levels / 1e6
    signal_mb = 4 * step.batch * step.sensors * step.work.samples / 1e6
    return (
        "## Bytes moved by a step, bf16, GB\n\n"
        + _table(["recompute", *kinds, "operations"], rows)
        + f"\n\nFrom the store: {codes_mb:.2f} MB of codes a step, or {signal_mb:.1f} MB of signal."
    )


def _speed(steps: dict[str, Step], counts: dict[str, Counted]) -> str:
    useful, rows = step_flops(steps["off"])["useful"], []
    for machine in MACHINES:
        for compiled in (False, True):
            for mode in MODES:
                cells = []
                for reached in (False, True):
                    time_s = step_seconds(steps[mode], counts[mode], machine, compiled=compiled, reached=reached)
                    cells += [f"{1e3 * time_s:.0f}", f"{useful / time_s / machine.peak:.0%}"]
                times = counts[mode].seconds(machine)
                first = [f"{1e3 * times[kind]:.0f}" for kind in ("matrix products", "attention")]
                rows.append([machine.name, "yes" if compiled else "no", mode, *first, *cells])
    columns = ["GPU", "compiled", "recompute", "products ms", "attention ms"]
    columns += ["bound ms", "bound MFU", "expected ms", "expected MFU"]
    rates = ", ".join(f"{kind} {share:.0%}" for kind, share in REACHED.items())
    return (
        "## Bound on speed, bf16\n\nEach operation takes the longer of computing and moving at the data sheet's rates, "
        f"without gaps between them.\nExpected: at shares of these rates that are assumed ({rates}).\n"
        "MFU counts no recomputing.\n\n" + _table(columns, rows)
    )


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="med", choices=list(PRESETS))
    parser.add_argument("--sensors", type=int, default=306)
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(arguments)
    step = Step(size=args.size, sensors=args.sensors, window_s=args.seconds, batch=args.batch)
    args.out.write_text(page(step))


if __name__ == "__main__":
    main()
