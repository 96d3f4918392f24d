"""Diagrams of the concepts page, drawn while the site is built."""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from figure_style import BLUE, GREY, INK, ORANGE, PURPLE
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle

from megxl.model.masking import draw_mask, plan_mask
from megxl.sizes import MEGXLConfig


def scales() -> None:
    """A window, a block of it, a token of that, and the levels of the token, each a magnification of the one above."""
    rows = [
        ("window: 150 s", 50, "50 blocks of 3 s", BLUE),
        ("block: 3 s", 12.5, "12.5 tokens of 0.24 s, scaled together", PURPLE),
        ("token: 0.24 s", 12, "12 samples at 50 Hz", ORANGE),
        ("codes of a token", 6, "6 levels, each one of 256 codes", GREY),
    ]
    _, axes = plt.subplots(figsize=(8, 4.2))
    for number, (name, parts, told, colour) in enumerate(rows):
        top = -1.6 * number
        for part in range(math.ceil(parts)):
            width = min(1, parts - part) / parts
            axes.add_patch(Rectangle((part / parts, top), width, 0.7, facecolor=colour, edgecolor="white", alpha=0.85))
        axes.text(-0.02, top + 0.35, name, ha="right", va="center", weight="bold")
        axes.text(1.02, top + 0.35, told, va="center")
        if number:
            wide = 1 / rows[number - 1][1]
            start = wide * (rows[number - 1][1] // 2)
            for near, far in ((start, 0.0), (start + wide, 1.0)):
                axes.plot([near, far], [top + 1.6, top + 0.7], color=INK, linewidth=0.7, linestyle=":")
    for level in range(6):
        axes.text((level + 0.5) / 6, -4.45, ("191", "7", "64", "250", "18", "93")[level], ha="center", va="center")
    axes.set(xlim=(-0.27, 1.52), ylim=(-5, 0.9))
    axes.axis("off")


def pipeline() -> None:
    """What becomes of a recording on its way to features and words."""
    steps = [
        ("recording", "any format\nof MNE"),
        ("prepared", "0.1-40 Hz\n50 Hz"),
        ("scaled", "blocks of\n3 s"),
        ("codes", "frozen\ncodec"),
        ("features", "criss-cross\ntransformer"),
        ("words", "head, closed\nvocabulary"),
    ]
    _, axes = plt.subplots(figsize=(8, 1.7))
    for number, (name, told) in enumerate(steps):
        colour = (BLUE, BLUE, BLUE, ORANGE, PURPLE, PURPLE)[number]
        axes.add_patch(Rectangle((1.5 * number, 0), 1.15, 1, facecolor="white", edgecolor=colour, linewidth=2))
        axes.text(1.5 * number + 0.575, 0.74, name, ha="center", va="center", weight="bold", fontsize=9)
        axes.text(1.5 * number + 0.575, 0.32, told, ha="center", va="center", fontsize=8)
        if number:
            _arrow(axes, (1.5 * number - 0.33, 0.5), (1.5 * number - 0.02, 0.5))
    axes.set(xlim=(-0.1, 8.8), ylim=(-0.1, 1.1))
    axes.axis("off")


def criss_cross() -> None:
    """Which tokens a token looks at: half of the heads at those of its sensor, half at those of its time."""
    _, both = plt.subplots(1, 2, figsize=(8, 3))
    for axes, (title, row, column) in zip(both, (("Along time", 3, None), ("Across sensors", None, 5)), strict=True):
        for sensor in range(7):
            for token in range(12):
                seen = sensor == row or token == column
                own = (sensor, token) == (3, 5)
                axes.add_patch(
                    Rectangle(
                        (token, 6 - sensor), 0.88, 0.88, facecolor=ORANGE if own else BLUE if seen else "#e4eaee",
                        hatch="//" if seen and not own else None, edgecolor="white",
                    )
                )  # fmt: skip
        axes.set(
            xlim=(-0.2, 12.1), ylim=(-0.2, 7.1), xticks=[], yticks=[], xlabel="tokens (0.24 s each)", ylabel="sensors"
        )
        axes.set_title(title)
        axes.spines[:].set_visible(False)


def masking() -> None:
    """The hidden tokens of one window, drawn as in pre-training."""
    mask_BT = draw_mask(plan_mask(625, MEGXLConfig()), [torch.Generator().manual_seed(3)])
    _, axes = plt.subplots(figsize=(8, 1.9))
    axes.imshow(np.repeat(mask_BT, 8, axis=0), aspect="auto", cmap="Blues", extent=(0, 150, 0, 8), vmax=1.4)
    axes.set(xlabel="time in the window (s)", ylabel="sensors", yticks=[], title="Dark: hidden on every sensor")


def word_group() -> None:
    """Words of a recording, the 3 s of signal that belong to each, and the tape that the model sees."""
    words, onsets = ("the", "boat", "was", "late", "again"), (0.6, 0.85, 1.4, 1.65, 2.1)
    _, (above, below) = plt.subplots(2, figsize=(8, 4), height_ratios=(1.6, 1))
    for number, (word, onset) in enumerate(zip(words, onsets, strict=True)):
        above.barh(4 - number, 3, left=onset - 0.5, height=0.6, color=(BLUE, PURPLE)[number % 2], alpha=0.8)
        above.plot([onset, onset], [4 - number - 0.3, 4 - number + 0.3], color="white", linewidth=2.5)
        above.text(onset + 0.08, 4 - number, word, va="center", color="white", weight="bold")
        below.barh(0, 3, left=3 * number, height=0.6, color=(BLUE, PURPLE)[number % 2], alpha=0.8)
        below.text(3 * number + 1.5, 0, word, ha="center", va="center", color="white", weight="bold")
    above.set(
        yticks=[], xlabel="time in the recording (s)", title="Each word's 3 s, from 0.5 s before its onset (white)"
    )
    below.set(
        yticks=[],
        ylim=(-0.6, 0.6),
        xlabel="time on the tape (s)",
        title="What the model sees: one after the other, 50 words",
    )
    for axes in (above, below):
        axes.spines["left"].set_visible(False)


def strict_split() -> None:
    """Parts of a recording under both rules."""
    names = ("train", "validation", "test")
    colours, hatches = (
        dict(zip(names, (BLUE, PURPLE, ORANGE), strict=True)),
        dict(zip(names, (None, "..", "//"), strict=True)),
    )
    hashed = (
        "train",
        "train",
        "test",
        "train",
        "validation",
        "train",
        "train",
        "train",
        "test",
        "train",
        "train",
        "validation",
    )
    _, (above, below) = plt.subplots(2, figsize=(8, 2.9), sharex=True)
    for number, part in enumerate(hashed):
        above.barh(
            number % 2 * 0.5,
            27,
            left=number * 20,
            height=0.42,
            color=colours[part],
            hatch=hatches[part],
            edgecolor="white",
        )
    for start, width, part in ((0, 117, "train"), (125, 55, "test"), (188, 59, "validation")):
        below.barh(
            0, width, left=start, height=0.6, color=colours[part], hatch=hatches[part], edgecolor="white", label=part
        )
    above.set(yticks=[], title="Hashed groups (published): neighbours overlap, and fall to different parts")
    below.set(yticks=[], xlabel="time in the recording (s)", title="Strict: parts lie apart, and repeat no text")
    below.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.55))
    for axes in (above, below):
        axes.spines["left"].set_visible(False)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color=INK))
