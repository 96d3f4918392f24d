"""Vectors of words inside the text of their group, computed once and kept on disk under that text.

Letters: W words of a text, S its sub-words, D width.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from megxl.decoding.targets import (
    OFFLINE,
    Encoder,
    EncoderIdentity,
    TransformersEncoder,
    pooled,
    refuse_unknown,
)
from megxl.decoding.vectors import VECTORS, Progress, cache_file, check_word_vectors
from megxl.errors import InputError
from megxl.placing import placed

FORMAT = "megxl-context-vectors 1"
Text = tuple[str, ...]
"""Words of a group in lower case."""


def context_identity(encoder: Encoder) -> EncoderIdentity:
    """Identity of the vectors that an encoder gives in context.

    Raises
    ------
    InputError
        The encoder has no context.
    """
    _with_context(encoder)
    return replace(encoder.identity, context="group")


def context_vectors(
    texts: Sequence[Sequence[str]],
    encoder: Encoder,
    *,
    cache: str | Path | None = None,
    at_once: int = 256,
    progress: Progress | None = None,
) -> dict[Text, Tensor]:
    """Vectors of the words of texts, each text by itself: no other one plays a part.

    Parameters
    ----------
    texts : sequence of sequences of str
        Words of each group; the case plays no part.
    encoder : Encoder
    cache : str or Path, optional
        Folder in which vectors are kept, below it one for each encoder; made where it is missing. Also what was
        computed before an interruption is kept.
    at_once : int
        Texts in a file of it.
    progress : callable, optional
        Called with the texts done and all that are to be computed.

    Returns
    -------
    dict of Tensor of float32, shape (W, D)
        By the words of the text.

    Raises
    ------
    InputError
        An encoder without context; a word without a sub-word or with a vector that is zero or not finite; a damaged
        cache.
    """
    encoder, identity = _with_context(encoder), context_identity(encoder)
    wanted = dict.fromkeys(tuple(word.lower() for word in text) for text in texts)
    folder = None if cache is None else cache_file(cache, identity).with_suffix("")
    known = {} if folder is None else _read(folder, identity, wanted.keys())
    missing = sorted(wanted.keys() - known.keys())
    for start in range(0, len(missing), at_once):
        computed: dict[Text, Tensor] = {}
        try:
            for text in missing[start : start + at_once]:
                vectors_WD = encode_in_context(text, encoder)
                check_word_vectors(text, vectors_WD, identity)
                computed[text] = vectors_WD
                if progress is not None:
                    progress(start + len(computed), len(missing))
        finally:
            if folder is not None and computed:
                _write(folder, identity, computed)
        known |= computed
    return {text: known[text] for text in wanted}


def encode_in_context(words: Sequence[str], encoder: TransformersEncoder) -> Tensor:
    """Vectors (W, D) of words that the encoder reads joined by blanks, pooled over the sub-words of each.

    A text that is longer than the encoder takes is read in pieces of its greatest length that overlap by half, and
    every sub-word is taken from the piece in which it stands farthest from where the text is cut.
    """
    pieces, blanks_W, before, after = _pieces(words, encoder)
    states_SD = _states(torch.cat(pieces), before, after, encoder)
    lengths_W = torch.tensor([len(ids) for ids in pieces])
    states_WSD = pad_sequence(list(states_SD.split(lengths_W.tolist())), batch_first=True)
    places_S = torch.arange(states_WSD.shape[1])
    own_WS = (places_S >= blanks_W[:, None]) & (places_S < lengths_W[:, None])
    return pooled(states_WSD, own_WS, encoder.pooling)


def _pieces(words: Sequence[str], encoder: TransformersEncoder) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
    """Sub-words of each word as they stand in the text, how many of them are the blank before it, special tokens.

    Words are split apart, so that no sub-word can belong to two: alone, or with the blank before them where the
    encoder's own tokens of the text are made that way. This needs no offsets, which not all tokenizers have. A blank
    that is a sub-word by itself, as in models of letters, is read but is no part of a word.
    """
    (whole_S,), (special_S,) = encoder.tokens([" ".join(words)])
    alone, with_blank = _own(encoder, words), _own(encoder, [words[0], *(f" {word}" for word in words[1:])])
    refuse_unknown([word for word, ids in zip(words, alone, strict=True) if not len(ids)], encoder.identity.model)
    as_read = torch.equal(torch.cat(with_blank), whole_S[~special_S])
    pieces = with_blank if as_read else alone
    blanks = [
        len(ids) - len(own) if torch.equal(ids[len(ids) - len(own) :], own) else 0
        for ids, own in zip(pieces, alone, strict=True)
    ]
    leading = int((~special_S).int().argmax())
    trailing = int((~special_S).flip(0).int().argmax())
    return pieces, torch.tensor(blanks), whole_S[:leading], whole_S[len(whole_S) - trailing :]


def _own(encoder: TransformersEncoder, texts: Sequence[str]) -> list[Tensor]:
    """Sub-words of texts without special tokens."""
    return [ids[~special] for ids, special in zip(*encoder.tokens(texts), strict=True)]


def _states(ids_S: Tensor, before: Tensor, after: Tensor, encoder: TransformersEncoder) -> Tensor:
    """Hidden states (S, D) of sub-words between special tokens."""
    length = len(ids_S)
    room = length if encoder.longest is None else max(encoder.longest - len(before) - len(after), 1)
    starts = [*range(0, length - room, max(room // 2, 1)), max(length - room, 0)]
    rows = [torch.cat([before, ids_S[start : start + room], after]) for start in starts]
    states_NSD = encoder.states(rows)[:, len(before) :]
    result_SD, margin_S = torch.empty(length, states_NSD.shape[-1]), torch.full((length,), -1)
    for start, states_SD in zip(starts, states_NSD, strict=True):
        stop = min(start + room, length)
        places_S = torch.arange(start, stop)
        # sub-words to the nearest cut; the text's end is none, and counting its beginning as one changes no choice
        right_S = stop - 1 - places_S if stop < length else torch.full_like(places_S, length)
        own_S = torch.minimum(places_S - start, right_S)
        better = places_S[own_S > margin_S[start:stop]]
        result_SD[better], margin_S[better] = states_SD[better - start], own_S[better - start]
    return result_SD


def _with_context(encoder: Encoder) -> TransformersEncoder:
    if not isinstance(encoder, TransformersEncoder):
        raise InputError(
            f"{encoder.identity.model!r} gives a word the same vector in every text, so there is nothing to take from "
            f"its context (t5.context = group); use t5.context=none, or a text model in place of {OFFLINE!r}."
        )
    return encoder


def _read(folder: Path, identity: EncoderIdentity, wanted: Collection[Text]) -> dict[Text, Tensor]:
    found: dict[Text, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                facts, vectors_ND = file.metadata() or {}, file.get_tensor(VECTORS)
            texts = [tuple(text) for text in json.loads(facts["texts"])]
            fits = facts["format"] == FORMAT and facts["encoder"] == identity.to_json()
            fits &= sum(map(len, texts)) == len(vectors_ND) and bool(vectors_ND.isfinite().all())
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise InputError(
                f"{path} cannot be read as word vectors ({error}); delete it to compute them again."
            ) from error
        if not fits:
            raise InputError(f"{path} does not hold the word vectors that its name says; delete it.")
        parts = vectors_ND.split([len(text) for text in texts])
        # a copy: a view would keep the whole file in memory
        found |= {text: part.clone() for text, part in zip(texts, parts, strict=True) if text in wanted}
    return found


def _write(folder: Path, identity: EncoderIdentity, computed: dict[Text, Tensor]) -> None:
    """Add a file, named by its texts: runs side by side never write over each other's."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {folder} for word vectors cannot be made ({error.strerror}).") from error
    texts = json.dumps(list(computed), ensure_ascii=False)
    facts = {"format": FORMAT, "encoder": identity.to_json(), "texts": texts}
    path = folder / f"{hashlib.sha256(texts.encode()).hexdigest()[:16]}.safetensors"
    with placed(path, folder=False) as part:
        save_file({VECTORS: torch.cat(list(computed.values()))}, part, facts)
