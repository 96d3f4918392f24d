"""Vectors of words, computed once and kept on disk under the word itself, so that no order can mix them up.

Letters: N words, D width.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from megxl.decoding.targets import Encoder, EncoderIdentity
from megxl.errors import InputError
from megxl.placing import free_to_write, placed

Progress = Callable[[int, int], None]
"""Called with the words done and all that are to be computed."""
FORMAT = "megxl-word-vectors 1"
VECTORS = "vectors_ND"


def word_vectors(
    words: Sequence[str],
    encoder: Encoder,
    *,
    cache: str | Path | None = None,
    batch_size: int = 256,
    progress: Progress | None = None,
) -> Tensor:
    """Vectors of words in lower case, in their order.

    Parameters
    ----------
    words : sequence of str
        In any order; a word may come twice.
    encoder : Encoder
    cache : str or Path, optional
        Folder in which vectors are kept, a file for each encoder; made where it is missing. Also what was computed
        before an interruption is kept.
    batch_size : int
        Words that are encoded at once.
    progress : callable, optional

    Returns
    -------
    Tensor of float32, shape (N, D)

    Raises
    ------
    InputError
        No word; a vector that is not finite or zero; a cache that is damaged or, where it must be, cannot be written.
    """
    if not words:
        raise InputError("No word to make a vector of; the vocabulary is empty.")
    if batch_size < 1:
        raise InputError(f"batch_size = {batch_size}; allowed: at least one word.")
    path = None if cache is None else cache_file(cache, encoder.identity)
    texts = [word.lower() for word in words]
    known = {} if path is None else read_vectors(path, encoder.identity)
    known = {word: known[word] for word in set(texts) & known.keys()}
    # sorted, so that a vector depends in no bit on the order of the words: those of a batch share their padding
    missing = sorted(set(texts) - known.keys(), key=lambda word: (len(word), word))
    computed: dict[str, Tensor] = {}
    if path is not None and missing:
        _check_place(path)
    try:
        for start in range(0, len(missing), batch_size):
            batch = missing[start : start + batch_size]
            computed |= dict(zip(batch, _checked(batch, encoder), strict=True))
            if progress is not None:
                progress(len(computed), len(missing))
    finally:
        if path is not None and computed:
            _add(path, encoder.identity, computed)
    known |= computed
    return torch.stack([known[text] for text in texts])


def cache_file(cache: str | Path, identity: EncoderIdentity) -> Path:
    """Where the vectors of an encoder are kept in a folder."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", identity.model).strip("-.")
    digest = hashlib.sha256(identity.to_json().encode()).hexdigest()
    return Path(cache).expanduser() / f"{name}-layer{identity.layer}-{identity.pooling}-{digest[:16]}.safetensors"


def read_vectors(path: Path, identity: EncoderIdentity) -> dict[str, Tensor]:
    """Vectors by word that a file holds; none where there is no file.

    Raises
    ------
    InputError
        The file is damaged or another encoder's.
    """
    if not path.is_file():
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            facts, vectors_ND = file.metadata() or {}, file.get_tensor(VECTORS)
        words = json.loads(facts["words"])
        fits = facts["format"] == FORMAT and facts["encoder"] == identity.to_json()
        fits &= len(words) == len(set(words)) == len(vectors_ND) and bool(vectors_ND.isfinite().all())
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise InputError(
            f"{path} cannot be read as word vectors ({error}); delete it to compute them again."
        ) from error
    if not fits:
        raise InputError(f"{path} does not hold the word vectors that its name says; delete it to compute them again.")
    return dict(zip(words, vectors_ND, strict=True))


def check_word_vectors(words: Sequence[str], vectors_ND: Tensor, identity: EncoderIdentity) -> None:
    """Refuse vectors that are zero or not finite.

    Raises
    ------
    InputError
        Says how many, and names the first word.
    """
    wrong_N = ~vectors_ND.isfinite().all(1) | (vectors_ND == 0).all(1)
    if bool(wrong_N.any()):
        word = words[int(wrong_N.nonzero()[0])]
        raise InputError(
            f"{identity.model}, layer {identity.layer}: the vector of {int(wrong_N.sum())} words is "
            f"zero or not finite (first: {word!r}); choose another layer or model, or leave the words out."
        )


def _checked(words: Sequence[str], encoder: Encoder) -> Tensor:
    vectors_ND = encoder.encode(words)
    if vectors_ND.shape != (len(words), encoder.width):
        raise InputError(
            f"{encoder.identity.model} gave vectors of the shape {tuple(vectors_ND.shape)} for {len(words)} words of "
            f"width {encoder.width}."
        )
    check_word_vectors(words, vectors_ND, encoder.identity)
    return vectors_ND.float()


def _check_place(path: Path) -> None:
    """Refuse a folder that cannot be written to before the long work rather than after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {path.parent} for word vectors cannot be made ({error.strerror}).") from error
    free_to_write(path, overwrite=True)


def _add(path: Path, identity: EncoderIdentity, computed: Mapping[str, Tensor]) -> None:
    """Write what the file holds by now, which another run may have added to, together with new vectors."""
    vectors = {**computed, **read_vectors(path, identity)}
    words = sorted(vectors)
    facts = {"format": FORMAT, "encoder": identity.to_json(), "words": json.dumps(words, ensure_ascii=False)}
    with placed(path, folder=False) as part:
        save_file({VECTORS: torch.stack([vectors[word] for word in words])}, part, facts)
