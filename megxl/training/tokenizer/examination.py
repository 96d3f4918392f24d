"""One tokenizer under examination: what it makes of rows, of their first levels, of disturbed and of shuffled ones.

Letters: N rows (one sensor of one window each), T samples or tokens, Q levels.
"""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from megxl.data.seeds import seed_of
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.code_statistics import CodeCounts
from megxl.tokenizer.fidelity import Fidelity, correlation_N
from megxl.training.tokenizer.coding import Coded, decode, encode
from megxl.training.tokenizer.judged_windows import WindowRows
from megxl.training.tokenizer.robustness import DISTURBANCES, Disturbance


class Examination:
    """What was measured of a tokenizer so far, row by row.

    Parameters
    ----------
    codec : BioCodec
    sfreq_hz : float
        Of the signal.
    seed : int
        Of noise and shuffles.

    Attributes
    ----------
    fidelity, shuffled : Fidelity
        Of the codes, and of the same codes with the tokens of each row permuted in time.
    counts : CodeCounts
    """

    def __init__(self, codec: BioCodec, sfreq_hz: float, seed: int) -> None:
        self.codec, self.seed = codec, seed
        self.fidelity, self.shuffled = Fidelity(sfreq_hz), Fidelity(sfreq_hz)
        self.counts = CodeCounts(codec.config.levels, codec.config.codes)
        self._parts: dict[Any, list[Tensor]] = defaultdict(list)

    def add(self, rows: WindowRows, signal_NT: Tensor) -> None:
        """Measure the rows of a window, of which `signal_NT` is the normalised signal."""
        coded = encode(self.codec, signal_NT)
        estimate_NT = decode(self.codec, coded)
        self.fidelity.add(estimate_NT, signal_NT)
        self.shuffled.add(decode(self.codec, self._shuffled(coded, rows)), signal_NT)
        r_N = correlation_N(estimate_NT, signal_NT)
        # a flat row has codes too, and they say nothing
        self.counts.add(coded.codes_NQT[~r_N.isnan()].transpose(1, 2))
        levels = self.codec.config.levels
        for level in range(1, levels):
            first = coded._replace(codes_NQT=coded.codes_NQT[:, :level])
            self._parts[level].append(correlation_N(decode(self.codec, first), signal_NT))
        self._parts[levels].append(r_N)
        for disturbance in DISTURBANCES:
            self._disturb(disturbance, rows, signal_NT, coded, r_N)

    def r_N(self, level: int) -> Tensor:
        """Correlation of each row with what its codes of the first so many levels decode to."""
        return torch.cat(self._parts[level])

    def disturbed_N(self, disturbance: Disturbance, what: str) -> Tensor:
        """Of each row the share of codes `kept`, that of the first level (`kept_first`), or `r`."""
        return torch.cat(self._parts[disturbance, what])

    def _shuffled(self, coded: Coded, rows: WindowRows) -> Coded:
        """Permute the tokens of each row in time, all levels of a token together."""
        generator = torch.Generator().manual_seed(seed_of("shuffle", self.seed, rows.key, round(1000 * rows.start_s)))
        codes_NQT = coded.codes_NQT
        order_NT = torch.rand(len(codes_NQT), codes_NQT.shape[-1], generator=generator).argsort(-1)
        return coded._replace(codes_NQT=codes_NQT.gather(-1, order_NT[:, None].expand_as(codes_NQT)))

    def _disturb(
        self, disturbance: Disturbance, rows: WindowRows, signal_NT: Tensor, clean: Coded, r_N: Tensor
    ) -> None:
        """Compare the codes of a disturbed signal, and what they decode to, with the undisturbed ones."""
        coded = encode(self.codec, disturbance.of(rows, signal_NT, self.seed))
        same_NQT = coded.codes_NQT == clean.codes_NQT
        # what keeps all its codes decodes to the same but for a gain, which r does not see
        changed_N, r_N = ~same_NQT.flatten(1).all(-1), r_N.clone()
        if changed_N.any():
            changed = Coded(coded.codes_NQT[changed_N], coded.scale_N1[changed_N], coded.length)
            r_N[changed_N] = correlation_N(decode(self.codec, changed), signal_NT[changed_N])
        flat_N = r_N.isnan()
        for what, same in (("kept", same_NQT), ("kept_first", same_NQT[:, :1])):
            share_N = same.double().mean((1, 2))
            self._parts[disturbance, what].append(share_N.masked_fill(flat_N, torch.nan))
        self._parts[disturbance, "r"].append(r_N)
