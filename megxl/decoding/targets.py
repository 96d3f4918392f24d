"""Encoders: what turns words into the vectors that a decoder is to predict.

Letters: N words, S sub-words, D width.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from megxl.errors import InputError

Pooling = Literal["mean", "first", "last"]
"""Which sub-words make the word; special tokens such as the end of the sentence never do."""
PUBLISHED_MODEL, PUBLISHED_LAYER = "t5-large", 12
OFFLINE = "wordllama"
"""Name of the encoder whose package holds its weights."""
_NO_LIMIT = 10**9


@dataclass(frozen=True, kw_only=True)
class EncoderIdentity:
    """All that decides about the vector of a word, and so the key of a cache."""

    model: str
    """Name on the hub, of the folder, or of the package."""
    revision: str
    """Commit on the hub, hash of the folder's files, or version of the package."""
    layer: int
    pooling: str
    context: str = "none"
    """``none``: a word stands alone; ``group``: it stands in the text of its group (`megxl.decoding.in_context`)."""

    def to_json(self) -> str:
        """One line; the same for the same identity."""
        return json.dumps(asdict(self), sort_keys=True)


class Encoder(Protocol):
    """What gives vectors of words."""

    @property
    def identity(self) -> EncoderIdentity:
        """What its vectors depend on besides the word."""
        ...

    @property
    def width(self) -> int:
        """D."""
        ...

    def encode(self, words: Sequence[str]) -> Tensor:
        """Vectors (N, D) of words, each standing alone: float32 on the CPU, in the order of the words.

        Raises
        ------
        InputError
            Names the words that the encoder knows no piece of.
        """
        ...


class TransformersEncoder:
    """A layer of a text model of Hugging Face, the mean over a word's sub-words.

    The defaults are the published targets: T5-large, the output of its 12th block before any normalisation. Of a model
    with encoder and decoder, only the encoder is used. The weights are read at the first word.

    Parameters
    ----------
    model : str or Path
        Folder with config, tokenizer and weights, or a name on the hub.
    layer : int
        Index of `hidden_states`: 0 the embedding of the sub-words, k the output of block k. -1 is the last one, which
        most models, T5 too, normalise.
    pooling : {"mean", "first", "last"}
    revision : str, optional
        Branch, tag or commit on the hub.
    device : torch.device or str
        Where it computes.
    """

    def __init__(
        self,
        model: str | Path = PUBLISHED_MODEL,
        *,
        layer: int = PUBLISHED_LAYER,
        pooling: Pooling = "mean",
        revision: str | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if pooling not in get_args(Pooling):
            raise InputError(f"pooling = {pooling!r}; allowed: {', '.join(get_args(Pooling))}.")
        self._source, self.device = str(model), torch.device(device)
        hint = "Word vectors of a text model need transformers: pip install 'megxl[decode]'."
        self._transformers = _package("transformers", hint)
        self._folder = Path(model).expanduser()
        self._revision = None if self._folder.is_dir() else self._commit(revision)
        self.config = self._load(self._transformers.AutoConfig)
        self.tokenizer = self._load(self._transformers.AutoTokenizer)
        self.pooling: Pooling = pooling
        self.layer = self._checked_layer(layer)

    @property
    def width(self) -> int:
        """D."""
        return self.config.hidden_size

    @property
    def identity(self) -> EncoderIdentity:
        """See `Encoder`; of a folder, its name and the hash of its files, so that it may be moved but not changed."""
        return self._identity

    @cached_property
    def _identity(self) -> EncoderIdentity:
        if self._revision is None:
            name, revision = self._folder.resolve().name, _folder_hash(self._folder)
        else:
            name, revision = self._source, self._revision
        return EncoderIdentity(model=name, revision=revision, layer=self.layer, pooling=self.pooling)

    def encode(self, words: Sequence[str]) -> Tensor:
        """See `Encoder`."""
        ids, special = self.tokens(words)
        refuse_unknown([word for word, row in zip(words, special, strict=True) if bool(row.all())], self._source)
        return pooled(self.states(ids), ~pad_sequence(special, batch_first=True, padding_value=True), self.pooling)

    def tokens(self, texts: Sequence[str]) -> tuple[list[Tensor], list[Tensor]]:
        """Numbers of the sub-words of texts, and for each whether it is a special token."""
        # not verbose: it would warn of long texts, which are not read at once
        told = self.tokenizer(list(texts), return_special_tokens_mask=True, verbose=False)
        special = [torch.tensor(row, dtype=torch.bool) for row in told["special_tokens_mask"]]
        return [torch.tensor(row, dtype=torch.int64) for row in told["input_ids"]], special

    @property
    def longest(self) -> int | None:
        """Sub-words, special tokens with them, that are read at once; None: as many as there are."""
        limits = (self.tokenizer.model_max_length, getattr(self.config, "max_position_embeddings", None))
        # a tokenizer without a limit says so by a number that no text has
        return min((limit for limit in limits if limit and limit < _NO_LIMIT), default=None)

    @torch.no_grad()
    def states(self, ids: Sequence[Tensor]) -> Tensor:
        """Output of the layer for rows of sub-words, shape (N, S, D): float32 on the CPU; filled up at the end."""
        # filled up here: some tokenizers have no token for it, and what stands there is not looked at
        fill = self.tokenizer.pad_token_id or 0
        ids_NS = pad_sequence(list(ids), batch_first=True, padding_value=fill)
        there_NS = torch.arange(ids_NS.shape[1]) < torch.tensor([len(row) for row in ids])[:, None]
        states = self._network(
            input_ids=ids_NS.to(self.device),
            attention_mask=there_NS.long().to(self.device),
            output_hidden_states=True,
        ).hidden_states
        return states[self.layer].float().cpu()

    @cached_property
    def _network(self) -> torch.nn.Module:
        auto = self._transformers
        known = type(self.config) in auto.MODEL_FOR_TEXT_ENCODING_MAPPING
        kind = auto.AutoModelForTextEncoding if known else auto.AutoModel
        network, told = self._load(kind, output_loading_info=True)
        # else they would be drawn at random; a pooler stands behind all layers
        missing = sorted(name for name in told["missing_keys"] if "pooler" not in name)
        if missing:
            raise InputError(
                f"The weights of the text model {self._source!r} lack {len(missing)} tensors (first: {missing[0]}); "
                "give the weights that belong to its config."
            )
        if self.config.is_encoder_decoder and not known:
            network = network.get_encoder()
        return network.float().eval().to(self.device)

    def _checked_layer(self, layer: int) -> int:
        count = self.config.num_hidden_layers
        if isinstance(layer, bool) or not isinstance(layer, int) or not -1 <= layer <= count:
            raise InputError(
                f"layer = {layer!r}; {self._source} has the layers 0 (sub-words) to {count}, and -1 for the last."
            )
        return count if layer == -1 else layer

    def _commit(self, revision: str | None) -> str:
        """Commit on the hub that a branch or tag stands for: what is read later is of the same one."""
        try:
            config = self._transformers.utils.cached_file(self._source, "config.json", revision=revision)
        except (OSError, ValueError) as error:
            raise self._not_loaded(error) from error
        return Path(config).parent.name

    def _load(self, kind: Any, **options: Any) -> Any:
        source = self._source if self._revision else str(self._folder)
        try:
            return kind.from_pretrained(source, revision=self._revision, **options)
        except (OSError, ValueError, RuntimeError) as error:  # the last one is about tensors of another shape
            raise self._not_loaded(error) from error

    def _not_loaded(self, error: Exception) -> InputError:
        return InputError(
            f"The text model {self._source!r} cannot be loaded ({_first_line(error)}). Give a folder that "
            f"save_pretrained wrote, with config, tokenizer and weights, or a name on the hub; without a network "
            f"{OFFLINE!r} works."
        )


class WordLlamaEncoder:
    """Static sub-word vectors of 256 numbers from the package `wordllama`, which holds them: nothing is fetched."""

    def __init__(self) -> None:
        package = _package(OFFLINE, "The offline word vectors need wordllama: pip install wordllama.")
        self._model = package.WordLlama.load(cache_dir=Path(package.__file__).parent, disable_download=True)
        self.width: int = self._model.embedding.shape[1]
        self.identity = EncoderIdentity(model=OFFLINE, revision=version(OFFLINE), layer=0, pooling="mean")

    def encode(self, words: Sequence[str]) -> Tensor:
        """See `Encoder`."""
        pieces = [self._model.tokenizer.encode(word, add_special_tokens=False).ids for word in words]
        refuse_unknown([word for word, ids in zip(words, pieces, strict=True) if not ids], OFFLINE)
        return torch.from_numpy(self._model.embed(list(words), norm=False))


def open_encoder(
    model: str | Path = PUBLISHED_MODEL,
    *,
    layer: int = PUBLISHED_LAYER,
    pooling: Pooling = "mean",
    revision: str | None = None,
    device: torch.device | str = "cpu",
) -> Encoder:
    """Encoder by name: `wordllama`, which has one layer and one pooling, or what `TransformersEncoder` takes."""
    if str(model) == OFFLINE:
        return WordLlamaEncoder()
    return TransformersEncoder(model, layer=layer, pooling=pooling, revision=revision, device=device)


def _package(name: str, hint: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(hint) from error


def pooled(states_NSD: Tensor, pieces_NS: Tensor, pooling: Pooling) -> Tensor:
    """One vector a word from those of its pieces; other places hold special tokens and padding."""
    if pooling == "mean":
        weights_NS = pieces_NS / pieces_NS.sum(1, keepdim=True)
        # places that are no piece are put to zero: a weight of 0 would keep an infinite value
        return (weights_NS[:, None] @ states_NSD.masked_fill(~pieces_NS[..., None], 0)).squeeze(1)
    places_S = torch.arange(pieces_NS.shape[1])
    first, last = places_S.where(pieces_NS, len(places_S)).amin(1), places_S.where(pieces_NS, -1).amax(1)
    return states_NSD[torch.arange(len(states_NSD)), first if pooling == "first" else last]


def refuse_unknown(words: Sequence[str], source: str) -> None:
    """Refuse words that have no sub-word."""
    if words:
        listed = ", ".join(repr(word) for word in words[:5]) + (", ..." if len(words) > 5 else "")
        raise InputError(
            f"{len(words)} words have no sub-word in {source} and so no vector ({listed}). "
            "Leave them out of the events, or use another text model."
        )


def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")):
        with path.open("rb") as file:
            digest.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
