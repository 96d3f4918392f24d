"""Chance that depends on names alone: the same parts give the same number in every process, order and version."""

import hashlib


def seed_of(*parts: int | str) -> int:
    """Number in [0, 2**63) that is a pure function of its parts, for a generator or a choice.

    The parts are the training seed and what the choice belongs to: an epoch, the key of a recording, a sample. The
    names of recordings rather than their places make a choice independent of what else was selected.
    """
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
