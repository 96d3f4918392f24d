"""How fast codec and model run here: time, operations a second, share of what the machine can do, memory.

Needs torch alone; times with CUDA events on a GPU, with the wall clock elsewhere.
"""

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from megxl.errors import InputError
from megxl.model.embedding import SensorTensors
from megxl.model.execution import Recompute, attention_backend, compile_layers, recompute_activations
from megxl.model.flops import Workload, forward_flops, tokenize_flops, training_flops
from megxl.model.masking import draw_mask, plan_mask
from megxl.model.megxl import MEGXL
from megxl.signals.normalization import BLOCK_S
from megxl.sizes import PRESETS, MEGXLConfig
from megxl.tokenizer.biocodec import BioCodec

Stage = Literal["tokenize", "forward", "train"]

PEAK_BF16 = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}
"""Dense bfloat16 operations a second by the vendors' data sheets (SXM modules), for MFU."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One way to run the model."""

    stage: Stage
    size: str = "med"
    """One of the presets."""
    sensors: int = 306
    window_s: float = 150.0
    batch: int = 1
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    compiled: bool = False
    attention: str | None = None
    """Attention kernel; None leaves the choice to torch."""
    recompute: Recompute = "off"

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if self.size not in PRESETS:
            raise InputError(f"size must be one of {', '.join(PRESETS)}, not {self.size!r}.")
        if self.stage not in get_args(Stage):
            raise InputError(f"stage must be one of {', '.join(get_args(Stage))}, not {self.stage!r}.")
        if self.sensors < 1 or self.batch < 1 or not 0 < self.window_s < float("inf"):
            raise InputError("sensors, batch and the window's seconds must be above 0, and finite.")
        config = PRESETS[self.size]
        if self.work.samples < config.samples_per_token:
            token_s = config.samples_per_token / config.sfreq_hz
            raise InputError(f"A window of {self.window_s:g} s is shorter than one token ({token_s:g} s).")

    @property
    def work(self) -> Workload:
        """What is processed at once."""
        samples = round(self.window_s * PRESETS[self.size].sfreq_hz)
        return Workload(batch=self.batch, sensors=self.sensors, samples=samples)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What came out."""

    setting: Setting
    median_s: float
    """Median of the counted runs."""
    spread_s: tuple[float, float]
    """Fastest and slowest run."""
    tflop: float
    """Operations of one run by closed form, recomputing not counted."""
    gemm_tflops: float
    """Rate of a large matrix product in the same dtype, the better of one before and one after the runs."""
    peak_memory_gb: float
    """On a GPU what tensors took at most; on a CPU the process's peak so far."""
    device_name: str
    torch_version: str

    @property
    def tflops(self) -> float:
        """Operations a second, in 10^12."""
        return self.tflop / self.median_s

    @property
    def windows_per_s(self) -> float:
        """Windows a second."""
        return self.setting.batch / self.median_s

    @property
    def mfu(self) -> float | None:
        """Share of the vendor's bfloat16 peak, where it is known."""
        peaks = [peak for name, peak in PEAK_BF16.items() if name in self.device_name]
        return self.tflops * 1e12 / peaks[0] if peaks else None

    def as_row(self) -> dict[str, object]:
        """Flat and JSON-able."""
        settings = asdict(self.setting)
        figures = asdict(self)
        del figures["setting"]
        derived = {
            "windows_per_s": self.windows_per_s,
            "tflops": self.tflops,
            "share_of_gemm": self.tflops / self.gemm_tflops,
            "mfu": self.mfu,
        }
        return settings | figures | derived


def measure(setting: Setting, *, repeats: int = 5, warmup: int = 2) -> Measurement:
    """Run one setting and time it.

    Parameters
    ----------
    setting : Setting
    repeats, warmup : int
        Counted runs, and runs before them that are not.
    """
    device = torch.device(setting.device)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    torch.manual_seed(0)
    gemm = _gemm_rate(device, getattr(torch, setting.dtype))
    action, operations = _prepare(setting, device)
    with (
        attention_backend(setting.attention),
        torch.autocast(device.type, dtype=torch.bfloat16, enabled=setting.dtype == "bfloat16"),
    ):
        for _ in range(warmup):
            action()
        times = [_time(action, device) for _ in range(repeats)]
    # the better of before and after: what a busy machine gave away for a moment is not the code's merit
    gemm = max(gemm, _gemm_rate(device, getattr(torch, setting.dtype)))
    return Measurement(
        setting=setting,
        median_s=statistics.median(times),
        spread_s=(min(times), max(times)),
        tflop=operations / 1e12,
        gemm_tflops=gemm / 1e12,
        peak_memory_gb=_peak_memory(device) / 1e9,
        device_name=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        torch_version=torch.__version__,
    )


def _prepare(setting: Setting, device: torch.device) -> tuple[Callable[[], object], int]:
    """What is to be timed, and its operations."""
    config, work = PRESETS[setting.size], setting.work
    if setting.stage == "tokenize":
        codec = BioCodec().fold_().to(device).eval()
        signal_BCT = torch.randn(work.batch, work.sensors, work.samples, device=device)
        return lambda: codec.tokenize(signal_BCT), tokenize_flops(codec.config, work)
    model = MEGXL(config).to(device)
    recompute_activations(model, setting.recompute)
    if setting.compiled:
        compile_layers(model)
    tokens = -(-work.samples // config.samples_per_token)
    codes_BCTQ = torch.randint(
        config.codes, (work.batch, work.sensors, tokens, config.levels), dtype=torch.uint8, device=device
    )
    sensors = _random_sensors(work, device)
    if setting.stage == "forward":
        model.eval()
        return torch.no_grad()(lambda: model(codes_BCTQ, sensors)), forward_flops(config, work)
    plan = plan_mask(tokens, _published_share(config, work))
    mask_BT = draw_mask(plan, [torch.Generator().manual_seed(item) for item in range(work.batch)])
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-4, fused=device.type == "cuda")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        model.masked_prediction(codes_BCTQ, sensors, mask_BT).loss.backward()
        optimizer.step()

    return step, training_flops(config, work, plan.hidden)


def _published_share(config: MEGXLConfig, work: Workload) -> MEGXLConfig:
    """The config with two of five blocks masked, whatever the length of the window."""
    return replace(config, masked_blocks=max(1, int(work.samples / config.sfreq_hz / BLOCK_S * 2 / 5)))


def _random_sensors(work: Workload, device: torch.device) -> SensorTensors:
    shape = (work.batch, work.sensors)
    directions = torch.randn(*shape, 3, device=device)
    kinds = torch.randint(2, shape, device=device)
    return SensorTensors(
        torch.randn(*shape, 3, device=device) / 3, directions / directions.norm(dim=-1, keepdim=True), kinds
    )


def _gemm_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a matrix product: of the feed-forward's shape on a CPU, large and square on a GPU."""
    rows, inner, columns = (2500, 512, 2048) if device.type == "cpu" else (8192, 8192, 8192)
    a, b = torch.randn(rows, inner, device=device, dtype=dtype), torch.randn(inner, columns, device=device, dtype=dtype)
    product: Callable[[], Tensor] = lambda: a @ b  # noqa: E731
    count = 10 if device.type == "cpu" else 50
    for _ in range(count // 5):
        product()
    seconds = min(_time(lambda: [product() for _ in range(count)], device) for _ in range(3))
    return 2 * rows * inner * columns * count / seconds


def _time(action: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        action()
        end.record()
        torch.cuda.synchronize(device)
        return start.elapsed_time(end) / 1e3
    begin = time.perf_counter()
    action()
    if device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter() - begin


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # kilobytes on Linux, bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
