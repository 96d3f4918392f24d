"""
A probe with scikit-learn
=========================

``MEGXLFeatures`` turns trials into rows of numbers inside a scikit-learn pipeline. A probe then asks whether
they tell two conditions apart.

The trials are simulated: in one condition a rhythm of 10 Hz is added at some sensors. **The model has random
weights**, so this is a random projection of the signal. That such a thing can work is the point: without this
comparison a score says nothing about pre-training.
"""

import warnings

import matplotlib.pyplot as plt
import mne
import numpy as np
import torch
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from megxl import MEGXL, BioCodec
from megxl.corpora.simulated import make_recording
from megxl.sizes import PRESETS
from megxl.sklearn import MEGXLFeatures

# %%
# A recording of 20 magnetometers, filtered **before** it is cut: trials are too short for a high-pass of 0.1
# Hz. Each of the four runs gives twelve trials of 3 s.
raw = make_recording(seconds=144).pick("mag")
raw = raw.pick(raw.ch_names[::5][:20]).filter(0.1, 40, verbose="ERROR").resample(100)
epochs = mne.make_fixed_length_epochs(raw, duration=3, preload=True, verbose="ERROR")
signal = epochs.get_data(copy=False)
condition, run = np.arange(len(signal)) % 2, np.arange(len(signal)) // 12

rhythm = np.sin(2 * np.pi * 10 * epochs.times)
signal[condition == 1, :6] += 0.6 * signal.std() * rhythm
print(len(signal), "trials,", signal.shape[1], "sensors,", signal.shape[2], "samples")

# %%
# Three probes and the answer without any signal. Whole runs are held out, since trials of one run have more
# in common than their condition.
torch.manual_seed(0)
model = MEGXL(PRESETS["tiny"], BioCodec()).eval()
warnings.filterwarnings("ignore", message="RANDOM WEIGHTS")  # it would be said in every fold


def power(trials):
    """Root mean square of each sensor: the simplest features there are."""
    return np.sqrt((np.asarray(trials) ** 2).mean(axis=-1)) * 1e12


trials = epochs.get_data(copy=True)
classifier = (StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
features = {"sensors": epochs.info, "sfreq_hz": epochs.info["sfreq"], "pooling": "sensor"}
probes = {
    "most frequent": DummyClassifier(),
    "power": make_pipeline(FunctionTransformer(power), *classifier),
    "random model": make_pipeline(MEGXLFeatures(model, **features), *classifier),
    "its embedding": make_pipeline(MEGXLFeatures(model, layer=0, **features), *classifier),
}
scores = {
    name: cross_val_score(probe, trials, condition, groups=run, cv=GroupKFold(4)) for name, probe in probes.items()
}
for name, values in scores.items():
    print(f"{name:14} {values.mean():.2f}   by run: {' '.join(f'{value:.2f}' for value in values)}")

# %%
# Twelve trials a run are few: look at the points, not at the bars.
fig, axes = plt.subplots(figsize=(8, 3.2))
axes.bar(list(scores), [values.mean() for values in scores.values()], color="C5", width=0.6)
for place, values in enumerate(scores.values()):
    axes.plot(place + np.linspace(-0.15, 0.15, 4), values, "o", color="C0")
axes.axhline(0.5, color="C1", linestyle="--")
axes.text(3.4, 0.51, "chance", va="bottom")
axes.set(
    xlim=(-0.5, 3.9),
    ylim=(0, 1.05),
    ylabel="accuracy (share of 1)",
    title="Bars: mean over runs. Points: each held-out run",
)

# %%
# What should be known about the features stands in ``notes_``.
told = MEGXLFeatures(model, **features).fit(trials)
print(*told.notes_, sep="\n")
