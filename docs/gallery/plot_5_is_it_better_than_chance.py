"""
Is it better than chance?
=========================

Accuracy alone says little. Beside it belong an interval, chance, what an answer without any signal would
score, a control that was trained without the signal, and a permutation test.

All of it is made from saved predictions, without model or GPU. **The two "decoders" here never saw a
signal**: their answers are drawn by lot, the first with a bias towards the right one, so that we know what
must come out.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from megxl.corpora.simulation.story import vocabulary
from megxl.decoding.metrics import Metric
from megxl.decoding.occurrences import Occurrences
from megxl.decoding.paired import paired_difference
from megxl.decoding.permutation import permutation_test
from megxl.decoding.predictions import Predictions, read_predictions, write_predictions
from megxl.decoding.retrieval import find_places
from megxl.decoding.statistics import frequency_baseline, interval

# %%
# Forty groups of 25 words of four listeners, frequent words more often than rare ones.
generator = torch.Generator().manual_seed(1)
candidates = sorted(vocabulary())[:50]
frequency = 1 / torch.arange(2.0, 52.0)
heard = torch.multinomial(frequency, 1000, replacement=True, generator=generator)
occurrences = Occurrences(
    words=[candidates[word] for word in heard],
    groups=[f"group {n // 25}" for n in range(1000)],
    recordings=[f"recording {n // 250}" for n in range(1000)],
    subjects=[f"listener {n // 250}" for n in range(1000)],
    sessions=[""] * 1000,
    onsets_s=[0.4 * n for n in range(1000)],
)


def decoder(bias):
    """Scores of all candidates, drawn by lot but for a bias towards the word that was heard."""
    scores = torch.randn(1000, 50, generator=generator)
    scores[torch.arange(1000), heard] += bias
    counts = (1000 * frequency).int().tolist()
    return Predictions(values_NX=scores, occurrences=occurrences, vocabulary=candidates, counts=counts)


# %%
# Saved and read again: what ``megxl evaluate RUN`` starts from.
folder = write_predictions(Path(tempfile.mkdtemp()) / "tuned", decoder(bias=0.5))
tuned, control = read_predictions(folder), decoder(bias=0.0)

# %%
# Balanced top-10 among 50, the published headline: each word counts the same, however often it occurs. Groups
# are drawn anew within listeners, and listeners too, since words of one group are not independent.
metric = Metric(k=10, among=50)
rows = {"decoder": tuned, "noise control": control}
results = {
    name: interval(predictions, find_places(predictions, 50), metric, resamples=2000)
    for name, predictions in rows.items()
}
places = find_places(tuned, 50)
chance, frequent = metric.chance(places), frequency_baseline(places, metric, tuned.counts)
for name, result in results.items():
    print(f"{name:14} {result.value:.3f}  [{result.low:.3f}, {result.high:.3f}]")
print(f"chance         {chance:.3f}\nfrequent words {frequent:.3f} (always the same answer)")

# %%
# Few listeners make intervals too narrow. That is said, not hidden.
print(*results["decoder"].notes, sep="\n")

# %%
# Two questions with one answer each. Is the decoder better than the control on the same words? Would the same
# predictions, handed to other groups of the same recording, score as much?
difference = paired_difference(tuned, control, metric, resamples=2000)
print(f"above the control: {difference.difference:+.3f}  [{difference.low:+.3f}, {difference.high:+.3f}]")
tests = {name: permutation_test(p, metric, within=occurrences.recordings, permutations=500) for name, p in rows.items()}
for name, test in tests.items():
    print(f"{name:14} p = {test.p:.3f}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), width_ratios=(1, 1.3))
for place, result in enumerate(results.values()):
    below, above = result.value - result.low, result.high - result.value
    left.errorbar(
        place,
        result.value,
        yerr=[[below], [above]],
        fmt="os"[place],
        color=f"C{place}",
        capsize=5,
    )
left.axhline(chance, color="C5", linestyle="--")
left.text(1.45, chance, "chance", va="bottom", ha="right")
left.set(
    xticks=[0, 1],
    xticklabels=results,
    xlim=(-0.5, 1.5),
    ylim=(0, 0.6),
    ylabel="balanced top-10 (share of 1)",
)
right.hist(tests["decoder"].null_P, bins=25, color="C5", label="words of other groups")
right.axvline(tests["decoder"].value, color="C0", linewidth=2, label="decoder")
right.axvline(
    tests["noise control"].value,
    color="C1",
    linewidth=2,
    linestyle="--",
    label="noise control",
)
right.set(xlabel="balanced top-10 (share of 1)", ylabel="permutations", title="Permutation test")
right.margins(y=0.4)
right.legend(loc="upper center")
