"""
What a tokenizer keeps
======================

A codec turns 12 samples of one sensor into a few codes. What it does not keep, no model will see.

Here a **tiny codec is trained for some seconds** on a simulated recording, which is enough to see it learn
and far too little to use it. ``megxl tokenizer`` does it properly: held-out recordings, resuming, a page of
results.
"""

import matplotlib.pyplot as plt
import torch

from megxl import BioCodec, BioCodecConfig
from megxl.corpora.simulated import make_recording
from megxl.signals.normalization import scale_blocks
from megxl.tokenizer.codebooks import CodeBookLearner, CodeBookRules
from megxl.tokenizer.fidelity import correlation_N
from megxl.tokenizer.objective import ObjectiveWeights, objective

# %%
# A minute of 102 magnetometers, prepared as a model reads it. Training takes the first 48 s, judging the last
# 12 s of every fourth.
sfreq, block = 50, 150
raw = make_recording(seconds=60).pick("mag").filter(0.1, 40, verbose="ERROR").resample(sfreq)
signal = scale_blocks(torch.tensor(raw.get_data()[None], dtype=torch.float32), block)[0]
train, held_out = signal[:, :2400].reshape(-1, 1, 300), signal[::4, None, 2400:]

# %%
# The training loop, with the parts that ``megxl tokenizer`` uses: an objective of samples and short-time
# spectra for encoder and decoder, running means for the code books.
torch.manual_seed(0)
codec = BioCodec(BioCodecConfig(filters=8, blocks=1, lstm_layers=1, width=32, levels=4, codes=64, code_width=8))
learner = CodeBookLearner(codec.quantizer, CodeBookRules(decay=0.9))
optimizer = torch.optim.Adam(codec.parameters(), lr=3e-3, betas=(0.5, 0.9))
weights = ObjectiveWeights(time=1.0, spectral=0.1)


def kept(levels):
    """Mean correlation of held-out signals with what is decoded from the first levels."""
    with torch.no_grad():
        codes, scale = codec.encode(held_out)
        decoded = codec.decode(codes[:, :levels], scale, held_out.shape[-1])
        return correlation_N(decoded[:, 0], held_out[:, 0]).mean().item(), decoded


steps, curve = 100, []
for step in range(steps + 1):
    if step % 20 == 0:
        curve.append((step, kept(levels=4)[0]))
    rows = torch.randperm(len(train))[:48]
    batch, seeds = train[rows], 1000 * step + rows
    if step == 0:
        learner.initialise(codec.vectors(batch), seeds, seed=0)
    output = codec(batch, observe=learner.observer(seeds))
    loss = objective(output.signal_N1T, batch, output.commitment, weights).total
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    learner.update(step, seed=0)

# %%
# Left: the correlation *r* with recordings that were not trained on, seconds apart from those that were.
# Right: what is lost when later levels are left out; each level codes what the ones before it left over.
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
left.plot(*zip(*curve, strict=True), marker="o")
left.set(
    xlabel="training steps",
    ylabel="r, held-out seconds (no unit)",
    ylim=(-0.1, 1),
    title="Learning",
)
by_level = [kept(levels)[0] for levels in range(1, 5)]
right.bar(range(1, 5), by_level, width=0.6)
right.set(xlabel="levels decoded from", xticks=range(1, 5), title="Level by level")

# %%
# One sensor, true and decoded. The slow waves come back first.
value, decoded = kept(levels=4)
times = torch.arange(300) / sfreq
fig, axes = plt.subplots(figsize=(8, 2.8))
axes.plot(times, held_out[10, 0, :300], label="true", color="C5", linewidth=2)
axes.plot(times, decoded[10, 0, :300], label="decoded from its codes", color="C1", linewidth=1.2)
axes.set(
    xlabel="time (s)",
    ylabel="scaled signal (no unit)",
    title=f"{raw.ch_names[4 * 10]}, mean r of all = {value:.2f}",
)
axes.legend(ncols=2, loc="upper right")
