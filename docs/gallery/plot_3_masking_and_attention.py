"""
Masking, and who attends to whom
================================

Pre-training hides two of five blocks of 3 s on all sensors at once. The model has to say which codes were
there, from what came before and after.

**The model has random weights.** What is shown is where tokens are hidden and where attention *can* look, not
what a trained model has learnt.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from megxl.model.attention_maps import measure_attention
from megxl.model.embedding import SensorTensors
from megxl.model.inputs import batch_sensors
from megxl.model.masking import draw_mask, plan_mask
from megxl.model.megxl import MEGXL
from megxl.signals.sensors import neuromag306
from megxl.sizes import MEGXLConfig

# %%
# The published window is 150 s: 625 tokens in 50 blocks, of which 20 are hidden. Each window has a seed of
# its own, so a run that was stopped draws the same masks when it goes on.
config = MEGXLConfig()
plan = plan_mask(tokens=625, config=config)
print(plan)
mask = draw_mask(plan, [torch.Generator().manual_seed(seed) for seed in range(6)])

fig, axes = plt.subplots(figsize=(8, 2.6))
axes.imshow(mask, aspect="auto", cmap="Greys", extent=(0, 150, 6.5, 0.5), interpolation="nearest")
axes.set(
    xlabel="time in the window (s)",
    ylabel="window (seed)",
    yticks=range(1, 7),
    title="Hidden (dark), on every sensor",
)
print(f"{mask.float().mean():.1%} of the tokens are hidden")

# %%
# A small window of 24 magnetometers through a tiny model. Loss is in nats; before any training it is near
# that of guessing by lot, ln 256 = 5.55.
array = neuromag306()
array = array.select(array.names[2::12])
tiny = MEGXLConfig(width=64, layers=2, heads=4, fourier_width=50, masked_blocks=4)
torch.manual_seed(0)
model = MEGXL(tiny).eval()
codes = torch.randint(256, (1, len(array), 125, 6))
hidden = draw_mask(plan_mask(125, tiny), [torch.Generator().manual_seed(0)])
with torch.no_grad():
    prediction = model.masked_prediction(codes, array, hidden)
print(f"loss {prediction.loss:.2f} nats, of chance {np.log(256):.2f}; {int(prediction.tokens)} hidden tokens")

# %%
# Criss-cross attention: half of a layer's heads look along time (same sensor, all tokens), half look across
# sensors (same token, all sensors). Untrained heads look about evenly at everything, which is the line to
# compare a trained model with: ``megxl evaluate RUN --attention``.
tensors, _ = batch_sensors([array])
assert isinstance(tensors, SensorTensors)
heads = measure_attention(model, codes, tensors, torch.tensor(array.positions_C3))

fig, both = plt.subplots(1, 2, figsize=(8, 3))
for axes, axis, unit, scale in zip(both, ("time", "space"), ("s", "cm"), (1, 100), strict=True):
    own = [head for head in heads if head.axis == axis]
    labels = [f"layer {head.layer}\nhead {head.head}" for head in own]
    axes.bar(labels, [scale * head.distance for head in own], width=0.6)
    axes.axhline(scale * own[0].even_distance, color="C1", linestyle="--", label="even attention")
    axes.set(ylabel=f"mean distance ({unit})", title=f"Along {axis}")
    axes.legend(loc="lower right", facecolor="white", frameon=True)
