"""
From a recording to features
============================

A recording goes in, one vector for each sensor and 0.24 s comes out.

The recording is simulated, with the sensors of a Neuromag system. **The model has random weights**: shapes
and steps are those of a real run, the features mean nothing, and the output says so itself.
"""

import matplotlib.pyplot as plt
import torch

from megxl import MEGXL, BioCodec
from megxl.corpora.simulated import make_recording
from megxl.signals.normalization import scale_blocks
from megxl.sizes import PRESETS

# %%
# A recording is whatever MNE reads. This one lasts 30 s and is made up on the spot; we take its 102
# magnetometers.
raw = make_recording(seconds=30).pick("mag")
raw

# %%
# With released weights the next line would be ``MEGXL.from_pretrained("meg-xl-med.ckpt")``.
torch.manual_seed(0)
model = MEGXL(PRESETS["tiny"], BioCodec()).eval()

embedding = model.embed(raw, window_s=30)
print("features", embedding.features.shape, "= sensors, tokens, width")
print("tokens begin at", embedding.times_s[:4], "... s")
print(embedding.warning)

# %%
# What should be known about a run is said in sentences, and stands in every file that is saved.
for note in embedding.notes:
    print("-", note)

# %%
# What the codec reads is not the raw signal: it is filtered to 0.1-40 Hz, resampled to 50 Hz, then centred
# and scaled sensor by sensor in blocks of 3 s (dotted), and clipped at five interquartile ranges.
names, sfreq = raw.ch_names[:5], 50
prepared = raw.copy().pick(names).filter(0.1, 40, verbose="ERROR").resample(sfreq)
scaled = scale_blocks(torch.tensor(prepared.get_data()[None, :, : 12 * sfreq]), block=3 * sfreq)[0]

fig, (above, below) = plt.subplots(2, figsize=(8, 5), sharex=True)
for row, name in enumerate(names):
    picked = raw.get_data(picks=[name], stop=round(12 * raw.info["sfreq"]))[0]
    above.plot(
        raw.times[: picked.size],
        1e12 * (picked - picked.mean()) + 8 * row,
        color="C0",
        linewidth=0.6,
    )
    below.plot(
        torch.arange(scaled.shape[1]) / sfreq,
        scaled[row] + 6 * row,
        color="C1",
        linewidth=0.6,
    )
for border in (3, 6, 9):
    below.axvline(border, color="C5", linestyle=":")
above.set(title="As recorded", ylabel="field (pT; 8 pT apart)", yticks=[])
below.set(
    title="As the codec reads it",
    ylabel="scaled (no unit; 6 apart)",
    yticks=[],
    xlabel="time (s)",
)

# %%
# The features of one sensor, token by token. With ``pooling="sensor"`` there would be one vector for each
# sensor and window, with ``pooling="time"`` one for each token.
fig, axes = plt.subplots(figsize=(8, 3.2))
image = axes.imshow(embedding.features[0].T, aspect="auto", extent=(0, 30, 64, 0), cmap="cividis")
axes.set(
    xlabel="time (s)",
    ylabel="feature",
    title=f"Features of {embedding.sensors.names[0]} (random weights)",
)
fig.colorbar(image, label="value (no unit)")
