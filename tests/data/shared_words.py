"""What two parts of a split share, by brute force: samples, runs of words, and single words where all differ."""

from collections.abc import Iterable, Mapping

from megxl.data.groups import WordGroupSet
from tests.data.told import STORY, told

PAIRS = (("train", "validation"), ("train", "test"), ("validation", "test"))


def listeners(path, n=3, texts=STORY[:1500], **options):
    """One text, heard by some people."""
    return [told(path, texts, subject=f"sub-{number}", n_sensors=1, **options) for number in range(n)]


def shared_samples(groups, split):
    """Samples that lie in groups of two parts, by brute force."""
    owners: dict[tuple[int, int], set[str]] = {}
    for part, indices in split.parts.items():
        for group in (groups.groups[index] for index in indices):
            for sample in range(group.start, group.stop):
                owners.setdefault((group.recording, sample), set()).add(part)
    return sum(len(parts) > 1 for parts in owners.values())


def shared_runs(groups, split, length=8):
    """Runs of words within groups of two parts."""
    runs = {}
    for part, indices in split.parts.items():
        texts = [groups.groups[index].texts for index in indices]
        runs[part] = {tuple(words[n : n + length]) for words in texts for n in range(len(words) - length + 1)}
    return sum(len(runs[one] & runs[other]) for one, other in PAIRS)


def shared_words(groups: WordGroupSet, parts: Mapping[str, Iterable[int]]) -> int:
    """Words of groups of two parts; each word of STORY stands for one place in it."""
    words = {
        part: {text for index in indices for text in groups.groups[index].texts} for part, indices in parts.items()
    }
    return sum(len(words[one] & words[other]) for one, other in PAIRS)
