"""A run of a tokenizer as `megxl tokenizer` leaves it, in its first steps: a small codec, a small store, few rows."""

from pathlib import Path

import numpy as np

from megxl.training.runs import Run
from megxl.training.tokenizer.config import TokenizerConfig
from megxl.training.tokenizer.engine import train_tokenizer
from tests.training.tokenizer.small_codecs import codec_config, make_signals


def make_run(folder: Path) -> Run[TokenizerConfig]:
    """Train for six steps on recordings of band-limited noise at four sensors, and validate on one of them."""
    make_signals(folder)
    return train_tokenizer(codec_config(folder))


def scores(r: float = 0.9, low: float | None = 0.8, used: float = 0.7, name: str = "a") -> dict:
    """One tokenizer as judged.json has it, all numbers different, so that none can stand for another."""
    rng = np.random.default_rng(len(name))

    def estimate(mean: float) -> dict:
        return {"mean": mean, "low": None if low is None else mean - 0.1, "high": None if low is None else mean + 0.1}

    def spread(mean: float) -> dict:
        return estimate(mean) | {"median": mean + 0.01, "p5": mean - 0.31, "p95": mean + 0.04}

    return {
        "provenance": {"sha256": name},
        "tokens": 1234,
        "r": spread(r),
        "si_sdr_db": spread(7.6),
        "variance_explained": spread(0.81),
        "r_beside_first": None if name == "a" else estimate(-0.123),
        "bands": {"delta": estimate(-12.3), "theta": estimate(-8.7), "alpha": estimate(-3.1), "beta": estimate(-0.4)},
        "levels": [
            {"level": 1, "usage": used, "perplexity": 5.5, "entropy_bits": 2.46, "r": estimate(0.51),
             "counts": [30, 5, 0, 9]},
            {"level": 2, "usage": 1.0, "perplexity": 3.5, "entropy_bits": 1.81, "r": estimate(r),
             "counts": [11, 11, 11, 11]},
        ],
        "bits_per_second": {"nominal": 200.0, "entropy": 123.4},
        "robustness": [
            *({"kind": "noise", "amount": amount, "kept": estimate(kept), "kept_first": estimate(kept + 0.05),
               "r": estimate(r - 0.1)} for amount, kept in ((20.0, 0.63), (10.0, 0.42), (0.0, 0.21))),
            *({"kind": kind, "amount": amount, "kept": estimate(0.99), "kept_first": estimate(1.0), "r": estimate(r)}
              for kind in ("gain_before", "gain_after") for amount in (0.1, 10.0)),
        ],
        "controls": {
            "shuffled": {"r": estimate(0.02), "si_sdr_db": estimate(-31.0), "variance_explained": estimate(-0.9)},
            "random": {"r": estimate(0.03), "si_sdr_db": estimate(-36.0), "variance_explained": estimate(-0.2)},
        },
        "sensors": [
            {
                "names": [f"E{n}" for n in range(12)],
                "positions_C3": (0.1 * _directions(rng)).tolist(),
                "orientations_C3": np.zeros((12, 3)).tolist(),
                "kinds_C": [2] * 12,
                "recordings": ["armeni/sub-1"],
                "r_C": [0.5 + 0.04 * n for n in range(10)] + [None, None],
                "error_C": [0.6 - 0.03 * n for n in range(10)] + [None, None],
                "rows_C": [2] * 10 + [0, 2],
            }
        ],
        "notes": [f"told of {name} <b>"],
    }  # fmt: skip


def _directions(rng: np.random.Generator) -> np.ndarray:
    places_C3 = rng.standard_normal((12, 3)) * [1, 1, 0] + [0, 0, 1]
    return places_C3 / np.linalg.norm(places_C3, axis=1, keepdims=True)
