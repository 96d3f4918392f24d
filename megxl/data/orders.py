"""The order of an epoch's items, and how items of one array come together in batches.

Letters: N items.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from megxl.data.seeds import seed_of

Order = Literal["recording", "recording_shuffled", "window", "published", "file"]
"""Recordings in another order every epoch, with their items in the order of time (`recording`) or not
(`recording_shuffled`); all items mixed (`window`); recordings as the published code permutes them (`published`); or as
they come, every epoch alike, with the draws of epoch 0 (`file`: for validation)."""


def epoch_order(recording_N: np.ndarray, order: Order, seed: int, epoch: int) -> list[int]:
    """Places of all items in the order of an epoch.

    Parameters
    ----------
    recording_N : array of int
        Recording of each item.
    order : Order
    seed, epoch : int
    """

    def by_chance(kind: str, places: Sequence[int]) -> list[int]:
        return sorted(places, key=lambda place: seed_of(kind, seed, epoch, place))

    if order == "window":
        return by_chance("item", range(len(recording_N)))
    blocks = _blocks(recording_N)
    if order == "published":
        return published_recording_order([len(block) for block in blocks], seed, epoch)
    if order != "file":
        blocks = [blocks[place] for place in by_chance("recording", range(len(blocks)))]
    if order == "recording_shuffled":
        blocks = [by_chance("item", block) for block in blocks]
    return [index for block in blocks for index in block]


def published_recording_order(segments_per_recording: Sequence[int], seed: int, epoch: int) -> list[int]:
    """Items in the order of the published code: recordings permuted by ``torch.randperm``, each from begin to end.

    Parameters
    ----------
    segments_per_recording : sequence of int
        Items of each recording; they are numbered through.
    seed, epoch : int
        Their sum seeds the generator.
    """
    generator = torch.Generator().manual_seed(seed + epoch)
    permutation = torch.randperm(len(segments_per_recording), generator=generator).tolist()
    first = np.concatenate([[0], np.cumsum(segments_per_recording)]).tolist()
    return [index for place in permutation for index in range(first[place], first[place + 1])]


def fill_batches(stream: Sequence[int], sensors_N: np.ndarray, batch_size: int) -> tuple[list[list[int]], list[int]]:
    """Fill batches in the order of a stream, each with items of one number of sensors; what is left shares batches.

    Returns
    -------
    full : list of list of int
        Whole batches, in the order in which they are filled; mixed ones last.
    short : list of int
        Fewer items than a batch; none if all found a place.
    """
    full: list[list[int]] = []
    waiting: dict[int, list[int]] = {}
    for index in stream:
        batch = waiting.setdefault(int(sensors_N[index]), [])
        batch.append(index)
        if len(batch) == batch_size:
            full.append(waiting.pop(int(sensors_N[index])))
    left = [index for _, batch in sorted(waiting.items()) for index in batch]
    full += [left[start : start + batch_size] for start in range(0, len(left) - batch_size + 1, batch_size)]
    return full, left[len(left) // batch_size * batch_size :]


def _blocks(recording_N: np.ndarray) -> list[list[int]]:
    """Items of each recording, in the order of the recordings' first items."""
    blocks: dict[int, list[int]] = {}
    for index, recording in enumerate(recording_N.tolist()):
        blocks.setdefault(recording, []).append(index)
    return list(blocks.values())
