"""
From words to a split without leaks
===================================

A decoder is only as good as its split. Words of a recording lie close together: neighbouring groups share
signal, and two people who heard one story share its text.

Here two simulated listeners hear **the same story**. We group their words, split the groups in two ways, and
count what training and test have in common.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt

from megxl.corpora.simulated import Simulated
from megxl.corpora.simulation.recipe import Recipe
from megxl.corpora.simulation.writing import write_corpus
from megxl.data.group_splits import hashed_split
from megxl.data.groups import Grouping, word_groups
from megxl.data.preparing.request import Request
from megxl.data.preparing.running import prepare_corpus
from megxl.data.strict_splits import Strict, strict_split
from megxl.data.vocabulary import vocabulary
from megxl.store import Store

# %%
# In the shell: ``megxl simulate heard --corpus recipe ...`` and ``megxl prepare simulated heard --store
# store``.
folder = Path(tempfile.mkdtemp())
recipe = Recipe(minutes=8, system="neuromag24", sfreq_hz=100)
write_corpus(folder / "heard", "recipe", recipe, subjects=2, sessions=1)
prepare_corpus(Request(corpus=Simulated(), root=folder / "heard", store=folder / "store", workers=0))
store = Store(folder / "store")
first, second = store.recordings()

# %%
# Real tables are never quite the same: let the second listener's lack the first word. From there on the
# groups of the two are cut one word apart.
recordings = [first, replace(second, words=list(second.words)[1:])]

# %%
# Ten words make a group here (published: 50); each has 3 s of signal from 0.5 s before its onset.
groups = word_groups(recordings, Grouping(words=10))
print(groups.summary)
print(" ".join(groups.groups[0].texts))

# %%
# The published rule hashes the words of a group. It has to be asked for, since its parts overlap.
published = hashed_split(groups, allow_leak=True)
strict = strict_split(groups, Strict(by="block", block_s=60))
print(published.leak)
print(strict.summary)


# %%
# Two counts that know nothing of the rules: samples of the test that lie in training groups, and runs of
# eight words of the test that training has, too.
def shared_signal(split):
    """Share of the test's samples that training holds."""
    samples = {
        part: {
            (groups.groups[n].recording, sample)
            for n in indices
            for sample in range(groups.groups[n].start, groups.groups[n].stop)
        }
        for part, indices in split.parts.items()
    }
    return len(samples["test"] & samples["train"]) / len(samples["test"])


def shared_text(split):
    """Share of the test's runs of eight words that training holds."""
    runs = {
        part: {groups.groups[n].texts[i : i + 8] for n in indices for i in range(3)}
        for part, indices in split.parts.items()
    }
    return len(runs["test"] & runs["train"]) / len(runs["test"])


for name, split in (("published", published), ("strict", strict)):
    print(f"{name:9}  signal {shared_signal(split):6.1%}   text {shared_text(split):6.1%}")

# %%
# Who goes where, in time. The strict split leaves groups out (white): what lies nearer to another part than 3
# s, and text that belongs to two parts. The same minutes of both listeners go to the same part, since they
# heard the same words.
colours, fills = (
    {"train": "C0", "validation": "C2", "test": "C1"},
    {"train": None, "validation": "..", "test": "//"},
)
fig, rows = plt.subplots(2, figsize=(8, 3.6), sharex=True)
for axes, (name, split) in zip(
    rows,
    (("Published: hash of the words", published), ("Strict: blocks of 60 s", strict)),
    strict=True,
):
    for part, indices in split.parts.items():
        for number, index in enumerate(indices):
            group = groups.groups[index]
            axes.barh(
                group.recording,
                (group.stop - group.start) / 50 / 60,
                left=group.start / 50 / 60,
                height=0.7,
                color=colours[part],
                hatch=fills[part],
                edgecolor="white",
                linewidth=0.4,
                label=part if number == 0 else None,
            )
    axes.set(title=name, yticks=[0, 1], yticklabels=["listener 1", "listener 2"])
rows[1].set_xlabel("time in the recording (min)")
rows[0].legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 1))

# %%
# Candidates are counted in the training part alone, so that the test chooses nothing.
words = vocabulary(groups, strict.train)
print(len(words.words), "words to choose from; the most frequent:", *words.words[:8])
