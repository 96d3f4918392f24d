"""Bytes of activations that a training step of the model keeps, by closed form; with fused attention, not compiled."""

from megxl.model.criss_cross import FEEDFORWARD_RATIO
from megxl.model.execution import Recompute
from megxl.model.flops import Workload
from megxl.sizes import MEGXLConfig

RESIDUAL = 4
"""Bytes of a number in the residual stream, which stays float32."""


def kept_bytes(config: MEGXLConfig, work: Workload, recompute: Recompute, *, mixed: bool) -> dict[str, int]:
    """Activations alive between forward and backward pass, from the codes to the features, by part.

    Parameters
    ----------
    config : MEGXLConfig
    work : Workload
        What is processed at once.
    recompute : {"off", "selective", "full"}
        As in `recompute_activations`.
    mixed : bool
        bfloat16 by autocast; otherwise float32.
    """
    low = 2 if mixed else 4
    n = _rows(config, work)
    nd = n * config.width
    statistics = 2 * 4 * n * config.heads // 2  # the logarithms of the attention's sums, over time and over space
    attended = 2 * nd // 2 * low
    projected = 2 * 3 * nd // 2 * low
    hidden = FEEDFORWARD_RATIO * nd * low
    parts = {"residual into a layer": RESIDUAL * nd}
    if recompute == "off":
        # in float32 the norm's own result is kept, of which the spatial half is copied; else two rounded copies
        halves = nd * low if mixed else nd * 4 + nd // 2 * 4
        parts |= {
            "residual within a layer": RESIDUAL * nd,
            "inside of both norms": 2 * (4 * nd + 4 * n),
            "norms' results": halves + nd * low,
            "queries, keys, values": projected,
            "turned queries and keys": nd * low,
            "attention's results": attended + statistics,
            "hidden units, before and after SELU": 2 * hidden,
            "dropout mask": 0 if config.dropout == 0 else nd * low,
        }
    elif recompute == "selective":
        parts |= {
            "queries, keys, values": projected,
            "attention's results": attended + statistics,
            "attention's projections": attended,
            "hidden units before SELU": hidden,
            "feed-forward's result": nd * low,
        }
    total = {name: config.layers * count for name, count in parts.items()}
    total["code vectors"] = n * config.levels * config.code_width * low
    return total


def backward_bytes(config: MEGXLConfig, work: Workload, recompute: Recompute, *, mixed: bool) -> int:
    """What the backward pass adds at its peak: a layer's activations made again, and the gradients that pass through.

    Parameters are those of `kept_bytes`.
    """
    nd, low = _rows(config, work) * config.width, 2 if mixed else 4
    gradients = RESIDUAL * nd + FEEDFORWARD_RATIO * nd * low
    if recompute == "off":
        return gradients
    whole, kept = (
        sum(kept_bytes(config, work, mode, mixed=mixed).values()) // config.layers for mode in ("off", recompute)
    )
    return gradients + whole - kept


def _rows(config: MEGXLConfig, work: Workload) -> int:
    return work.batch * work.sensors * -(-work.samples // config.samples_per_token)
