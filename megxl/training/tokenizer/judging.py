"""How good tokenizers are: all of them on the same rows, beside what should do badly.

Letters: N rows (one sensor of one window each), T samples, M measures, Q levels, V codes.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict

from torch import Tensor

from megxl.errors import InputError
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.fidelity import Fidelity, band_names
from megxl.training.tokenizer.coding import decode, encode, random_codec
from megxl.training.tokenizer.examination import Examination
from megxl.training.tokenizer.judged import Control, Disturbed, Judged, LevelScores, TokenizerScores, WindowFacts
from megxl.training.tokenizer.judged_notes import tokenizer_notes, trained_signal, window_notes
from megxl.training.tokenizer.judged_rows import RowTable
from megxl.training.tokenizer.judged_windows import JudgedWindows
from megxl.training.tokenizer.robustness import DISTURBANCES

MEASURES = ("r", "si_sdr_db", "variance_explained")
"""First columns of `Fidelity.values_NM`; the errors by band follow."""


def judge(
    tokenizers: Mapping[str, BioCodec],
    windows: JudgedWindows,
    *,
    seed: int = 0,
    advance: Callable[[int, int], None] | None = None,
) -> Judged:
    """Judge tokenizers by how well they give back the same rows, and by what their codes are like.

    Windows are read one at a time. Of each row a tokenizer codes the signal and seven disturbed ones, and decodes each
    number of levels, the disturbed codes and the shuffled ones: about ten times the work of coding it once.

    Parameters
    ----------
    tokenizers : mapping of name to BioCodec
        In evaluation mode, each on the device where it shall work. They may differ in all their sizes.
    windows : JudgedWindows
    seed : int
        Of noise, shuffles, random weights and bootstrap: the same seed gives the same numbers.
    advance : callable, optional
        Called with steps done and in all; a step is one tokenizer, or one with random weights, on one window.

    Raises
    ------
    InputError
        No tokenizer; windows shorter than one of its tokens.
    """
    _refuse_long_tokens(tokenizers, windows)
    examined = {name: Examination(codec, windows.sfreq_hz, seed) for name, codec in tokenizers.items()}
    devices = {codec.config: next(codec.parameters()).device for codec in tokenizers.values()}
    untrained = {sizes: random_codec(sizes, seed, device) for sizes, device in devices.items()}
    chance = {sizes: Fidelity(windows.sfreq_hz) for sizes in untrained}
    done, steps = 0, len(windows) * (len(examined) + len(untrained))
    for rows in windows:
        signal_NT = rows.signal_NT
        for one in (*examined.values(), *untrained):
            if isinstance(one, Examination):
                one.add(rows, signal_NT)
            else:
                codec = untrained[one]
                chance[one].add(decode(codec, encode(codec, signal_NT)), signal_NT)
            done += 1
            if advance is not None:
                advance(done, steps)
    first, table = next(iter(examined.values())), RowTable(windows, seed)
    return Judged(
        windows=_facts(windows, table, first.fidelity, seed),
        tokenizers={
            name: _scores(one, first, chance[one.codec.config], windows, table) for name, one in examined.items()
        },
    )


def _scores(
    one: Examination, first: Examination, chance: Fidelity, windows: JudgedWindows, table: RowTable
) -> TokenizerScores:
    """Sum up what was measured of one tokenizer."""
    codec, values_NM = one.codec, one.fidelity.values_NM
    rate = one.counts.bits_per_second(windows.sfreq_hz, codec.config.samples_per_token)
    bands = zip(band_names(windows.sfreq_hz), values_NM[:, len(MEASURES) :].unbind(1), strict=True)
    controls = {"shuffled": one.shuffled.values_NM, "random": chance.values_NM}
    return TokenizerScores(
        sizes=asdict(codec.config),
        provenance=codec.provenance,
        signal=trained_signal(codec),
        parameters=sum(parameter.numel() for parameter in codec.parameters()),
        samples_per_token=codec.config.samples_per_token,
        tokens=one.counts.tokens,
        **{name: table.spread(values_NM[:, m]) for m, name in enumerate(MEASURES)},
        r_beside_first=None if one is first else table.estimate(values_NM[:, 0] - first.fidelity.values_NM[:, 0]),
        bands={name: table.estimate(values_N) for name, values_N in bands},
        levels=_levels(one, table),
        bits_per_second={"nominal": rate.nominal, "entropy": rate.entropy_coded},
        robustness=tuple(
            Disturbed(
                kind=disturbance.kind,
                amount=disturbance.amount,
                kept=table.estimate(one.disturbed_N(disturbance, "kept")),
                kept_first=table.estimate(one.disturbed_N(disturbance, "kept_first")),
                r=table.estimate(one.disturbed_N(disturbance, "r")),
            )
            for disturbance in DISTURBANCES
        ),
        kept_by_chance=_matches(one.counts.counts_QV),
        controls={
            control: Control(**{name: table.estimate(found_NM[:, m]) for m, name in enumerate(MEASURES)})
            for control, found_NM in controls.items()
        },
        sensors=table.by_sensor(values_NM[:, 0], 1 - values_NM[:, 2]),
        notes=tuple(tokenizer_notes(codec, windows, one.counts.tokens)),
    )


def _matches(counts_QV: Tensor) -> float:
    """Chance that two tokens drawn anywhere share a code, mean over levels."""
    shares_QV = counts_QV.double() / counts_QV.sum(1, keepdim=True)
    return shares_QV.square().sum(1).mean().item()


def _levels(one: Examination, table: RowTable) -> tuple[LevelScores, ...]:
    counts = one.counts
    per_level = zip(counts.usage_Q, counts.perplexity_Q, counts.entropy_bits_Q, counts.counts_QV, strict=True)
    return tuple(
        LevelScores(
            level=level,
            usage=usage.item(),
            perplexity=perplexity.item(),
            entropy_bits=entropy.item(),
            r=table.estimate(one.r_N(level)),
            counts=counts_V.numpy(),
        )
        for level, (usage, perplexity, entropy, counts_V) in enumerate(per_level, 1)
    )


def _facts(windows: JudgedWindows, table: RowTable, fidelity: Fidelity, seed: int) -> WindowFacts:
    flat = int(fidelity.values_NM[:, 0].isnan().sum())
    return WindowFacts(
        number=len(windows),
        of=windows.of,
        window_s=windows.window_s,
        sfreq_hz=windows.sfreq_hz,
        block_s=windows.block_s,
        clip=windows.clip,
        sensors=windows.sensors,
        rows=len(table),
        flat_rows=flat,
        bad_sensors=windows.bad_sensors,
        recordings=dict(Counter(windows.keys)),
        intervals_over=table.intervals_over,
        seed=seed,
        notes=tuple(window_notes(windows, table.intervals_over, flat, len(table))),
    )


def _refuse_long_tokens(tokenizers: Mapping[str, BioCodec], windows: JudgedWindows) -> None:
    if not tokenizers:
        raise InputError("No tokenizer to judge.")
    for name, codec in tokenizers.items():
        if (token := codec.config.samples_per_token) > windows.samples:
            raise InputError(
                f"{name}: a token has {token} samples, and windows of {windows.window_s:g} s have {windows.samples}; "
                "choose longer windows."
            )
