"""Floating-point operations of codec and model, by closed form (a multiply and an add are two).

Only matrix products, convolutions and attention count; norms, SELU and rotations do not, as is usual.
"""

from dataclasses import dataclass

from megxl.model.criss_cross import FEEDFORWARD_RATIO
from megxl.sizes import BioCodecConfig, MEGXLConfig
from megxl.tokenizer.seanet import frames


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is processed at once."""

    batch: int
    sensors: int
    samples: int


def tokenize_flops(config: BioCodecConfig, work: Workload) -> int:
    """Operations of encoding a batch to codes."""
    return work.batch * work.sensors * (_encoder_flops(config, work.samples) + _search_flops(config, work.samples))


def _encoder_flops(config: BioCodecConfig, samples: int) -> int:
    width, length = config.filters, samples
    total = 2 * length * config.kernel * width
    for stride in config.strides:
        # a block: a convolution of `kernel` taps and one of a single tap
        total += config.blocks * 2 * length * width * width * (config.kernel + 1)
        length = -(-length // stride)
        total += 2 * length * (2 * stride) * width * 2 * width
        width *= 2
    # an LSTM layer: four gates, each of the input and of the state
    total += config.lstm_layers * 2 * length * 4 * width * 2 * width
    return total + 2 * length * config.kernel * width * config.width


def _search_flops(config: BioCodecConfig, samples: int) -> int:
    tokens = frames(samples, config.strides)
    project = 2 * 2 * config.width * config.code_width
    return tokens * config.levels * (project + 2 * config.code_width * config.codes)


def forward_flops(config: MEGXLConfig, work: Workload) -> int:
    """Operations of a forward pass from codes to features."""
    tokens = -(-work.samples // config.samples_per_token)
    rows, half = work.batch * work.sensors * tokens, config.width // 2
    linear = rows * 2 * (2 * half * 4 * half + 2 * FEEDFORWARD_RATIO * config.width**2)
    # attention: scores and their weighted sum, over time within sensors and over sensors within tokens
    attention = 4 * work.batch * half * (work.sensors * tokens**2 + tokens * work.sensors**2)
    embedding = 2 * rows * config.levels * config.code_width * config.width
    sensor_terms = (
        2 * work.batch * work.sensors * 2 * (3 * config.fourier_width // 2 + config.fourier_width * config.width)
    )
    return config.layers * (linear + attention) + embedding + sensor_terms


def head_flops(config: MEGXLConfig, rows: int) -> int:
    """Operations of the head at so many tokens."""
    return 2 * rows * config.width * config.levels * config.codes


def training_flops(config: MEGXLConfig, work: Workload, hidden_tokens: int) -> int:
    """Operations of a training step, forward and backward (twice the forward), without recomputing."""
    return 3 * (forward_flops(config, work) + head_flops(config, work.batch * work.sensors * hidden_tokens))
