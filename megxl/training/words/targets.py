"""What a decoder of words is to predict: the vector of each word, alone or in the text of its group.

Letters: N words of items one after another, V words of a vocabulary, E width of a vector.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from megxl.decoding.in_context import Text, context_identity, context_vectors
from megxl.decoding.targets import EncoderIdentity, open_encoder
from megxl.decoding.vectors import Progress, word_vectors
from megxl.errors import InputError

if TYPE_CHECKING:
    from megxl.training.words.config import WordsConfig
    from megxl.training.words.sections import TargetSection


EVERY_S = 30.0
"""Seconds between two sentences about work that goes on."""


class WordTargets:
    """Vectors of words, float32 on the CPU; `WordTargets.make` encodes them.

    Parameters
    ----------
    vectors : mapping of str to Tensor, shape (E,)
        Of each word alone, in lower case.
    in_context : mapping of tuples of words to Tensor, shape (W, E), or None
        Of each word in the text of its group; None: words have the same vector everywhere.
    identity : EncoderIdentity
    """

    def __init__(
        self, vectors: Mapping[str, Tensor], in_context: Mapping[Text, Tensor] | None, identity: EncoderIdentity
    ) -> None:
        self._numbers = {word: number for number, word in enumerate(sorted(vectors))}
        self._alone_VE = torch.stack([vectors[word] for word in self._numbers])
        self._in_context = in_context
        self.identity = identity
        self.notes: list[str] = []
        """What a reader should know, a sentence each."""

    @classmethod
    def make(
        cls,
        texts: Sequence[str],
        groups: Sequence[Sequence[str]],
        t5: "TargetSection",
        *,
        device: torch.device | str,
        progress: Progress | None = None,
    ) -> "WordTargets":
        """Encode words, or take them from the cache; the encoder is gone afterwards.

        Parameters
        ----------
        texts : sequence of str
            All words of all parts.
        groups : sequence of sequences of str
            Words of all groups, of all parts; looked at if `t5.context` is ``group``.
        t5 : TargetSection
        device : torch.device or str
            Where the encoder computes.
        progress : callable, optional
            Called with the words (then, in context, the groups) done and all that are to be encoded.

        Raises
        ------
        InputError
            An encoder that cannot be loaded or has no context; a word without a vector, or with one that is zero or
            not finite.
        """
        encoder = open_encoder(t5.model_name, layer=t5.layer, pooling=t5.pooling, revision=t5.revision, device=device)
        cache, in_group = Path(t5.cache_dir), t5.context == "group"
        identity = context_identity(encoder) if in_group else encoder.identity  # before the work: it may refuse
        words = sorted({word.lower() for word in texts})
        alone_VE = word_vectors(words, encoder, cache=cache, progress=progress)
        in_context = context_vectors(groups, encoder, cache=cache, progress=progress) if in_group else None
        return cls(dict(zip(words, alone_VE, strict=True)), in_context, identity)

    @property
    def width(self) -> int:
        """E."""
        return self._alone_VE.shape[1]

    def of(self, words: Sequence[Sequence[str]]) -> Tensor:
        """Vectors of the words of items, one item after another, shape (N, E); in context, items are whole groups.

        Raises
        ------
        InputError
            A word, or in context a group, that was not encoded.
        """
        if self._in_context is None:
            return self._alone_VE[self.numbers(words)]
        texts = [tuple(word.lower() for word in item) for item in words]
        missing = [text for text in texts if text not in self._in_context]
        if missing:
            raise InputError(
                f"The group {' '.join(missing[0])[:60]!r} was not encoded; targets in context are of whole groups."
            )
        return torch.cat([self._in_context[text] for text in texts])

    def numbers(self, words: Sequence[Sequence[str]]) -> Tensor:
        """Which word each is, shape (N,), int64: the same number is the same word, whatever its vector."""
        flat = [word.lower() for item in words for word in item]
        missing = [word for word in flat if word not in self._numbers]
        if missing:
            raise InputError(f"{len(missing)} words were not encoded (first: {missing[0]!r}).")
        return torch.tensor([self._numbers[word] for word in flat], dtype=torch.int64)

    def candidates(self, vocabulary: Sequence[str], train_groups: Sequence[Sequence[str]]) -> Tensor:
        """Vectors from which a word is chosen, shape (V, E).

        In context, the mean over a word's occurrences in the training groups: those of other parts would tell what is
        to be found. A word that does not occur there has its vector alone, which `notes` says.
        """
        alone_VE = self.of_words(vocabulary)
        if self._in_context is None:
            return alone_VE
        places = {word.lower(): place for place, word in enumerate(vocabulary)}
        sums_VE, times = torch.zeros(alone_VE.shape, dtype=torch.float64), Counter[int]()
        for group in train_groups:
            for word, vector_E in zip(group, self.of([group]), strict=True):
                if (place := places.get(word.lower())) is not None:
                    sums_VE[place] += vector_E
                    times[place] += 1
        times_V1 = torch.tensor([[times[place]] for place in range(len(alone_VE))])
        absent = [word for place, word in enumerate(vocabulary) if not times[place]]
        if absent:
            self.notes.append(
                f"{len(absent)} words of the vocabulary do not occur in the training part (first: {absent[0]!r}): as "
                "candidates they have the vectors of words alone."
            )
        return torch.where(times_V1 > 0, (sums_VE / times_V1.clamp(min=1)).float(), alone_VE)

    def of_words(self, words: Sequence[str]) -> Tensor:
        """Vectors of words alone, shape (len(words), E)."""
        return self._alone_VE[self.numbers([words])]


class EncodingTold:
    """Says every half a minute how many texts are encoded: a large model takes minutes for the words of a corpus.

    Parameters
    ----------
    say : callable
        Is told a sentence.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._last_s = time.monotonic()

    def __call__(self, done: int, texts: int) -> None:
        """Know that so many are done, of all that there are."""
        if time.monotonic() >= self._last_s + EVERY_S:
            self._last_s = time.monotonic()
            self._say(f"Targets: {done} of {texts} words or groups are encoded.")


def width_note(width: int, config: "WordsConfig") -> str | None:
    """Say that the configuration names another width than the targets have, which holds."""
    section = "linear_probe" if config.command == "probe" else "word_mlp"
    named = getattr(config.model, section).embed_dim
    if named is None or named == width:
        return None
    return (
        f"model.{section}.embed_dim = {named} is not used: the vectors of {config.t5.model_name} have {width} numbers."
    )
