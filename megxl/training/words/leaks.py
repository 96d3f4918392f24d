"""How test data reach training or selection in a split, in sentences with numbers that are counted in the groups."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from megxl.data.group_splits import GroupSplit
from megxl.data.groups import READ_AS_MISSING, READ_BY_PANDAS, WordGroupSet
from megxl.data.preparing.summary import counted
from megxl.data.same_text import TEXT_RUN, word_streams

if TYPE_CHECKING:
    from megxl.training.words.config import WordsConfig


def find_leaks(groups: WordGroupSet, split: GroupSplit, config: "WordsConfig") -> Iterator[str]:
    """Name what leaks from the test part (or into the choice of an epoch), one sentence each; none: nothing found."""
    published = config.data.protocol_name == "published"
    if signal := groups_in_common_signal(groups, split):
        yield (
            f"{signal} of {counted(len(split.test), 'test group')} share seconds of signal with training groups: "
            "windows of neighbouring groups overlap, and a hash decides about each group by itself."
        )
    both = set(split.validation) & set(split.test)
    if both:
        yield f"{counted(len(both), 'group')} of the test validate too: the best epoch is chosen on the test."
    share = share_of_common_text(groups, split)
    if share > 0:
        yield (
            f"{share:.1%} of the test words stand in a text that is trained on, in other recordings or near by (runs "
            f"of {TEXT_RUN} equal words)."
        )
    if published:
        yield from _on_words(groups, split)
    if published and config.data.use_hashed_split is not False and config.data.split_seed is None:
        yield (
            f"The seed of the training ({config.seed}) decides the split too: other seeds have other test groups, and "
            "what one tests on, another trains on."
        )


def groups_in_common_signal(groups: WordGroupSet, split: GroupSplit) -> int:
    """Count the test groups of which a sample lies in a training group as well."""
    spans: dict[int, list[tuple[int, int]]] = {}
    for group in (groups.groups[index] for index in split.train):
        spans.setdefault(group.recording, []).append((group.start, group.stop))
    test = [groups.groups[index] for index in split.test]
    return sum(
        any(start < group.stop and group.start < stop for start, stop in spans.get(group.recording, ()))
        for group in test
    )


def share_of_common_text(groups: WordGroupSet, split: GroupSplit) -> float:
    """Share of the test words at which a run of words begins, or ends, that does so at a training word as well."""
    train, test = set(split.train), set(split.test)
    begun: set[int | None] = set()
    ended: set[int | None] = set()
    streams = word_streams(groups)
    for stream in streams:
        for place, index, _ in stream.groups:
            if index in train:
                begun.add(stream.begun[place])
                ended.add(stream.ended[place])
    known = total = 0
    for stream in streams:
        for place, index, _ in stream.groups:
            if index in test:
                total += 1
                runs = ((stream.begun[place], begun), (stream.ended[place], ended))
                known += any(run is not None and run in there for run, there in runs)
    return known / total if total else 0.0


def on_recordings(groups: WordGroupSet, split: GroupSplit) -> Iterator[str]:
    """Say what a test does not ask for: other recordings, other people."""
    keys, people = (
        {part: {name(groups.groups[index].recording) for index in indices} for part, indices in split.parts.items()}
        for name in (
            lambda number: groups.recordings[number].key,
            lambda number: (groups.recordings[number].corpus, groups.recordings[number].subject),
        )
    )
    if same := keys["test"] & keys["train"]:
        yield (
            f"{len(same)} of {counted(len(keys['test']), 'test recording')} are trained on too, in other stretches: "
            "the result says little about new sessions."
        )
    if people["test"] <= people["train"]:
        yield "All test subjects are trained on too: the result says nothing about new people."


def _on_words(groups: WordGroupSet, split: GroupSplit) -> Iterator[str]:
    heard = {part: {text for i in indices for text in groups.groups[i].texts} for part, indices in split.parts.items()}
    new = len((heard["test"] | heard["validation"]) - heard["train"])
    words = sum(map(len, (groups.groups[index].words for index in split.test)))
    yield (
        f"The words to retrieve are chosen by counting validation and test too ({counted(words, 'test word')} among "
        f"them); {counted(new, 'word')} of those parts never occur in training."
    )
    kept = sum(
        word.text in READ_AS_MISSING
        for group in groups
        for word in group.words
        if groups.recordings[group.recording].corpus in READ_BY_PANDAS
    )
    if kept:
        yield (
            f"{counted(kept, 'word')} such as 'None' are kept; the published code lost them, so that groups after them "
            "differ from its own by a word."
        )
