"""What a decoder is made of, in plain values, and how it is built from them."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from megxl.decoding.codec_features import CodecBackbone
from megxl.decoding.convolution import ConvolutionBackbone
from megxl.decoding.decoder import Backbone, Decoder, MEGXLBackbone
from megxl.decoding.heads import Head, LinearProbe, MLPHead, SensorAttentionHead
from megxl.decoding.sequence import Sees, SequenceHead
from megxl.decoding.subjects import SubjectEmbedding
from megxl.errors import InputError
from megxl.model.megxl import MEGXL, Compat
from megxl.tokenizer.biocodec import BioCodec

BackboneName = Literal["megxl", "convolution", "codec"]
HeadName = Literal["mlp", "linear", "sensors", "sequence"]

SEQUENCE_WIDTH = 256
"""Width of the transformer over the words of a group."""
MOST_HIDDEN = 768
"""Hidden width of the head that attends over sensors: the published 2048 is meant for the flat one."""


@dataclass(frozen=True, kw_only=True)
class DecoderSpec:
    """All that is needed to build a decoder, its weights aside.

    Raises
    ------
    InputError
        A value that is not allowed, or two that do not go together.
    """

    backbone: BackboneName = "megxl"
    head: HeadName = "mlp"
    sensors: int | None = None
    """Sensors that a flat head (`mlp`, `linear`) expects; not looked at where the head or backbone takes any."""
    width: int = 512
    """Width of the backbone's features."""
    target_width: int = 1024
    hidden: int = 2048
    """Width of the head's hidden layer; a head that attends over sensors takes 768 of it at most."""
    dropout: float = 0.1
    """Of the head, in training."""
    sees: Sees = "group"
    """What a sequence head sees."""
    subjects: tuple[str, ...] | None = None
    """Whom the subject embedding knows; None: there is none."""
    window_s: float = 3.0
    """Length of a word's window, seconds."""
    compat: Compat = "default"
    """How the model computes (`MEGXL`)."""

    def __post_init__(self) -> None:
        for name, choice in (("backbone", BackboneName), ("head", HeadName), ("sees", Sees), ("compat", Compat)):
            if getattr(self, name) not in get_args(choice):
                raise InputError(f"{name} = {getattr(self, name)!r}; allowed: {', '.join(get_args(choice))}.")
        for name in ("width", "target_width", "hidden"):
            _refuse_count(name, getattr(self, name))
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout = {self.dropout!r}; allowed: from 0 and below 1.")
        if not self.window_s > 0:
            raise InputError(f"window_s = {self.window_s!r}; allowed: above 0 s (published: 3).")
        if self.head == "sensors" and self.backbone == "convolution":
            raise InputError(
                "head = 'sensors' attends over sensors, but the backbone 'convolution' has put them together already; "
                "allowed with it: mlp, linear, sequence."
            )
        if self.flat:
            _refuse_count(f"sensors (which head = {self.head!r} needs)", self.sensors)
        if self.subjects is not None:
            object.__setattr__(self, "subjects", tuple(self.subjects))

    @property
    def flat(self) -> bool:
        """Whether the head is bound to the number and order of the sensors."""
        return self.head in ("mlp", "linear") and self.backbone != "convolution"

    @property
    def rows(self) -> int | None:
        """Sensors that a batch must have (`Batch.padded`); None: any number."""
        return self.sensors if self.flat else None

    def to_json(self) -> dict[str, Any]:
        """Return plain fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> "DecoderSpec":
        """Rebuild what `to_json` gave; unknown and missing fields are refused."""
        names = {field.name for field in fields(cls)}
        if set(said) != names:
            strange = sorted(set(said) ^ names)
            raise InputError(f"A decoder's description has exactly the fields {sorted(names)}; differing: {strange}.")
        return cls(**said)


def build_decoder(
    spec: DecoderSpec, *, model: MEGXL | None = None, tokenizer: BioCodec | None = None, trains: bool = True
) -> Decoder:
    """Make a decoder whose head (and backbone, where it is a convolution) has random weights.

    Parameters
    ----------
    spec : DecoderSpec
    model : MEGXL, optional
        Needed for the backbone `megxl`.
    tokenizer : BioCodec, optional
        Needed for the backbone `codec`.
    trains : bool
        Whether the model learns; a codec never does, a convolution always.

    Raises
    ------
    InputError
        Model or tokenizer missing, or of another width than the description's.
    """
    backbone = _backbone(spec, model, tokenizer, trains)
    if backbone.width != spec.width:
        raise InputError(
            f"The checkpoint of the backbone {spec.backbone!r} gives features of width {backbone.width}, but the head "
            f"was made for width {spec.width}; give the checkpoint that it was trained with."
        )
    subjects = None if spec.subjects is None else SubjectEmbedding(spec.subjects, spec.width)
    return Decoder(backbone, _head(spec), subjects)


def _backbone(spec: DecoderSpec, model: MEGXL | None, tokenizer: BioCodec | None, trains: bool) -> Backbone:
    if spec.backbone == "convolution":
        return ConvolutionBackbone(spec.width, window_s=spec.window_s)
    if spec.backbone == "codec":
        if tokenizer is None:
            raise InputError("The backbone 'codec' needs a tokenizer; name one (model.tokenizer_checkpoint).")
        return CodecBackbone(tokenizer, spec.window_s)
    if model is None:
        raise InputError("The backbone 'megxl' needs a model; name a checkpoint (model.criss_cross_checkpoint).")
    if model.compat != spec.compat:
        raise InputError(f"The model computes with compat={model.compat!r}, the decoder wants {spec.compat!r}.")
    return MEGXLBackbone(model, spec.window_s, trains)


def _head(spec: DecoderSpec) -> Head:
    sensors = spec.rows or 1  # a convolution leaves one
    if spec.head == "mlp":
        return MLPHead(sensors, spec.width, spec.target_width, hidden=spec.hidden, dropout=spec.dropout)
    if spec.head == "linear":
        return LinearProbe(sensors, spec.width, spec.target_width)
    if spec.head == "sensors":
        return _attention(spec, spec.target_width)
    word_head = (
        LinearProbe(1, spec.width, SEQUENCE_WIDTH)
        if spec.backbone == "convolution"
        else _attention(spec, SEQUENCE_WIDTH)
    )
    return SequenceHead(word_head, spec.target_width, dropout=spec.dropout, sees=spec.sees)


def _attention(spec: DecoderSpec, target_width: int) -> SensorAttentionHead:
    return SensorAttentionHead(spec.width, target_width, hidden=min(spec.hidden, MOST_HIDDEN), dropout=spec.dropout)


def _refuse_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name} = {value!r}; allowed: a whole number, at least 1.")
