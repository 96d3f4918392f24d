"""Disturbances of a signal that codes should survive: noise, and gains before and after the normalisation.

Letters: N rows (one sensor each), T samples.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from megxl.data.seeds import seed_of
from megxl.training.tokenizer.judged_windows import WindowRows


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """One way to disturb a window."""

    kind: Literal["noise", "gain_before", "gain_after"]
    """White noise on the normalised signal, or a gain before or after normalisation."""
    amount: float
    """Power of a row over that of its noise in dB, or the factor."""

    def of(self, rows: WindowRows, signal_NT: Tensor, seed: int) -> Tensor:
        """Disturb the rows of a window, of which `signal_NT` is the normalised signal.

        The noise is a pure function of the seed and the window: it is the same for all tokenizers and, but for its
        size, at all amounts, so that differences are not those of another draw.
        """
        if self.kind == "gain_after":
            return signal_NT * self.amount
        if self.kind == "gain_before":
            return rows.normalized(rows.raw_NT * self.amount)
        generator = torch.Generator().manual_seed(seed_of("noise", seed, rows.key, round(1000 * rows.start_s)))
        noise_NT = torch.randn(signal_NT.shape, generator=generator)
        size_N1 = signal_NT.std(-1, correction=0, keepdim=True) * 10 ** (-self.amount / 20)
        return signal_NT + size_N1 * noise_NT


DISTURBANCES = (
    Disturbance(kind="noise", amount=20.0),
    Disturbance(kind="noise", amount=10.0),
    Disturbance(kind="noise", amount=0.0),
    Disturbance(kind="gain_before", amount=0.1),
    Disturbance(kind="gain_before", amount=10.0),
    Disturbance(kind="gain_after", amount=0.1),
    Disturbance(kind="gain_after", amount=10.0),
)
"""Those that are tried."""
