"""What the decoders of a demonstration come to, in sentences that follow from their numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from megxl.decoding.metrics import Metric
from megxl.decoding.paired import paired_difference
from megxl.errors import InputError
from megxl.reporting.words.headline import PROTOCOLS
from megxl.reporting.words.scores import TEST, Scored, interval_text, score
from megxl.training.runs import Run
from megxl.training.words.config import WordsConfig

LARGEST_P = 0.05
NO_TRUST = "Trust no accuracy on this page before that is explained."


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """How one decoder did on its test."""

    scored: Scored
    p: float | None
    """Share of exchanges of the words that score as well; None: was not asked for."""
    resamples: int
    split: str
    """How training and test were kept apart."""
    window_s: float
    """Signal that the decoder is given for a word."""

    @property
    def found(self) -> bool:
        """Whether words are found: surely more than by chance, and than by naming the most frequent ones every time."""
        interval = self.scored.interval
        floor = max(self.scored.chance, self.scored.frequency or 0.0)
        # an answer that never changes can leave its own chance by a hundredth; exchanged words score the same then
        return interval is not None and interval.low > floor and (self.p is None or self.p <= LARGEST_P)

    @property
    def told(self) -> str:
        """Value and interval, in per cent."""
        return f"{percent(self.scored.value)} ({interval_text(self.scored)})"


@dataclass(frozen=True)
class Verdict:
    """A sentence for people; `wrong` if it says that no number can be trusted."""

    sentence: str
    wrong: bool = False


def judge(path: Path, metric: Metric | None = None) -> Judged:
    """Score the test of a finished decoder, by default by the metric that it reports.

    Raises
    ------
    InputError
        It is no run of a decoder, or not a finished one.
    """
    run = Run.open(path, WordsConfig)
    results = run.results()
    if results is None:
        raise InputError(f"{run.path} has no results yet; finish it with megxl finetune run={run.path} resume=true.")
    scored = score(run, metric)
    told = results[TEST]["metrics"].get(scored.metric.name, {})
    protocol = run.config.data.protocol_name
    leaks = results["about"].get("leaks") or ()
    split = f"{protocol} split: {PROTOCOLS[protocol]}" + "".join(f"; it leaks: {leak}" for leak in leaks)
    return Judged(
        scored=scored,
        p=told.get("p"),
        resamples=run.config.evaluation.resamples,
        split=split,
        window_s=run.config.data.subsegment_duration,
    )


def words_found(fine_tuned: Judged) -> Verdict:
    """Say how often the decoder is right, and whether that is more than chance."""
    scored = fine_tuned.scored
    k, candidates = scored.metric.k, len(scored.places.candidates)
    said = (
        f"For {percent(scored.value)} of the words, the one that was heard is among the decoder's first {k} of "
        f"{candidates} candidates (95 % interval {interval_text(scored)}; by chance {percent(scored.chance)})."
    )
    if fine_tuned.found:
        return Verdict(said)
    return Verdict(f"{said} This is not shown to be better than chance: the decoder did not learn to find words here.")


def beside_scratch(fine_tuned: Judged, scratch: Judged) -> Verdict:
    """Say what pre-training was worth: both decoders are compared on the same words."""
    found = paired_difference(
        fine_tuned.scored.predictions,
        scratch.scored.predictions,
        fine_tuned.scored.metric,
        resamples=fine_tuned.resamples,
    )
    beside = f"The same decoder without pre-training reaches {scratch.told}"
    if found.low is None or found.high is None:
        return Verdict(f"{beside}; one group of words alone cannot tell whether they differ.")
    points = f"{100 * abs(found.difference):.1f} points"
    bounds = f"interval of the difference {100 * found.low:+.1f} to {100 * found.high:+.1f}"
    if found.low > 0:
        return Verdict(f"Pre-training helped. {beside}, {points} less ({bounds}).")
    if found.high < 0:
        return Verdict(f"Pre-training did harm here. {beside}, {points} more ({bounds}).")
    return Verdict(f"Pre-training is not shown to help here. {beside}; {bounds} points.")


def on_noise(noise: Judged) -> Verdict:
    """Say whether the control stays where it must."""
    if noise.found:
        return Verdict(
            "Something is wrong. A decoder that was given noise in place of the signal still finds words: "
            f"{noise.told}, chance {percent(noise.scored.chance)}. {NO_TRUST}",
            wrong=True,
        )
    return Verdict(f"Given noise in place of the signal, the decoder stays at chance, as it must: {noise.told}.")


def along_snr(by_snr: Mapping[float, Judged]) -> list[Verdict]:
    """Say how accuracy goes with the strength of the answer to words, and that none is found where there is none."""
    ordered = sorted(by_snr.items(), reverse=True)
    told = ", ".join(f"{percent(one.scored.value)} at {snr:g}" for snr, one in ordered)
    falls = all(higher.scored.value > lower.scored.value for (_, higher), (_, lower) in pairwise(ordered))
    rule = "The weaker the answer to words, the fewer are found" if falls else (
        "Accuracy does not simply rise with the answer to words here"
    )  # fmt: skip
    verdicts = [Verdict(f"{rule}: {told} (signal-to-noise ratio).")]
    lost = [f"{snr:g}" for snr, one in ordered if snr > 0 and not one.found]
    if lost:
        verdicts.append(Verdict(f"At {' and '.join(lost)} no words are shown to be found."))
    if by_snr[0.0].found:
        verdicts.append(
            Verdict(
                f"Something is wrong. At 0 the signal holds no answer to words, and yet the decoder finds them: "
                f"{by_snr[0.0].told}. {NO_TRUST}",
                wrong=True,
            )
        )
    return verdicts


def percent(share: float) -> str:
    """Write a share for people."""
    return f"{100 * share:.1f} %"
