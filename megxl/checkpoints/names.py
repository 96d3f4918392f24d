"""Names and shapes of every tensor, ours beside the released ones, generated from the sizes.

One table a kind of checkpoint, in the order of the released files; it serves both directions and the check of shapes.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

CODE_BOOKS = "embedding.code_books"
ROPE = "time_attn.rope_embedding_layer"


class Row(NamedTuple):
    """One tensor of a released file."""

    released: str
    ours: str | None
    """None: a derived table that we do not keep."""
    shape: tuple[int, ...] = ()
    part: int | None = None
    """Place along the first axis of our tensor, where ours stacks several released ones."""


def codec_rows(config: Mapping[str, Any]) -> list[Row]:
    """Table of a BioCodec of these sizes, without the released files' `_orig_mod.` prefix."""
    return [*_encoder(config), *_decoder(config), *_quantizer(config)]


def model_rows(config: Mapping[str, Any]) -> list[Row]:
    """Table of a MEG-XL model; its codec's rows stand in it if the config carries a codec."""
    width, half = config["width"], config["fourier_width"] // 2
    codec = codec_rows(config["tokenizer"]) if "tokenizer" in config else []
    return [
        Row("mask_token", "embedding.mask_vector", (width,)),
        *(
            Row(f"biocodec_embedding_{q}", CODE_BOOKS, (config["codes"], config["code_width"]), q)
            for q in range(config["levels"])
        ),
        *(Row(f"tokenizer.{row.released}", f"tokenizer.{row.ours}", row.shape) for row in codec),
        *_linear("embedding.code_projection", "rvq_projector", width, config["levels"] * config["code_width"]),
        Row("position_fourier_emb.B", "embedding.position.frequencies", (3, half)),
        *_linear("embedding.position.projection", "position_projector", width, 2 * half),
        Row("orientation_fourier_emb.B", "embedding.orientation.frequencies", (3, half)),
        *_linear("embedding.orientation.projection", "orientation_projector", width, 2 * half),
        Row("sensor_type_layer.weight", "embedding.kind.weight", (config["sensor_kinds"], width)),
        *(row for n in range(config["layers"]) for row in _layer(n, width)),
        *_linear("head", "output_head", config["levels"] * config["codes"], width),
    ]


def table_of(kind: str, config: Mapping[str, Any]) -> list[Row]:
    """Table of a checkpoint of this kind and these sizes."""
    return codec_rows(config) if kind == "biocodec" else model_rows(config)


def our_rows(rows: list[Row]) -> list[Row]:
    """Table of our own files: our names on both sides, stacked tensors as one."""
    parts: dict[str, int] = {}
    for row in rows:
        if row.ours and row.part is not None:
            parts[row.ours] = row.part + 1
    whole = {row.ours: row for row in rows if row.ours}
    return [Row(name, name, (parts[name], *row.shape) if name in parts else row.shape) for name, row in whole.items()]


def _layer(n: int, width: int) -> Iterator[Row]:
    """One criss-cross layer; each of its two attentions works on half of the width."""
    theirs, ours, half = f"criss_cross_transformer.layers.{n}", f"layers.{n}", width // 2
    yield Row(f"{theirs}.pre_attn_norm.weight", f"{ours}.attention_norm.weight", (width,))
    yield from _linear(f"{ours}.temporal.qkv", f"{theirs}.time_attn.qkv", 3 * half, half)
    yield from _linear(f"{ours}.temporal.out", f"{theirs}.time_attn.proj", half, half)
    yield Row(f"{theirs}.{ROPE}.freqs", None)
    yield Row(f"{theirs}.{ROPE}.rotate", None)
    yield from _linear(f"{ours}.spatial.qkv", f"{theirs}.spatial_attn.qkv", 3 * half, half)
    yield from _linear(f"{ours}.spatial.out", f"{theirs}.spatial_attn.proj", half, half)
    yield Row(f"{theirs}.pre_ff_norm.weight", f"{ours}.feedforward_norm.weight", (width,))
    yield from _linear(f"{ours}.feedforward.up", f"{theirs}.ff.layer.0", 4 * width, width)
    yield from _linear(f"{ours}.feedforward.down", f"{theirs}.ff.layer.2", width, 4 * width)


def _encoder(config: Mapping[str, Any]) -> Iterator[Row]:
    width, kernel, step, stages = config["filters"], config["kernel"], config["blocks"] + 2, len(config["strides"])
    yield from _conv("encoder.entry", "encoder.model.0.conv.conv", width, 1, kernel)
    for s, stride in enumerate(config["strides"]):
        yield from _blocks(f"encoder.stages.{s}", "encoder.model", 1 + step * s, width, config)
        yield from _conv(
            f"encoder.stages.{s}.down", f"encoder.model.{step * (s + 1)}.conv.conv", 2 * width, width, 2 * stride
        )
        width *= 2
    yield from _lstm("encoder.recurrence.lstm", f"encoder.model.{1 + step * stages}.lstm", width, config["lstm_layers"])
    yield from _conv("encoder.exit", f"encoder.model.{3 + step * stages}.conv.conv", config["width"], width, kernel)


def _decoder(config: Mapping[str, Any]) -> Iterator[Row]:
    kernel, step, stages = config["kernel"], config["blocks"] + 2, len(config["strides"])
    width = config["filters"] * 2**stages
    yield from _conv("decoder.entry", "decoder.model.0.conv.conv", width, config["width"], kernel)
    yield from _lstm("decoder.recurrence.lstm", "decoder.model.1.lstm", width, config["lstm_layers"])
    for s, stride in enumerate(reversed(config["strides"])):
        place = 3 + step * s
        up = f"decoder.model.{place}.convtr.convtr"
        yield from _conv(f"decoder.stages.{s}.up", up, width // 2, width, 2 * stride, transposed=True)
        width //= 2
        yield from _blocks(f"decoder.stages.{s}", "decoder.model", place + 1, width, config)
    yield from _conv("decoder.exit", f"decoder.model.{3 + step * stages}.conv.conv", 1, width, kernel)


def _blocks(ours: str, theirs: str, first: int, width: int, config: Mapping[str, Any]) -> Iterator[Row]:
    """Residual blocks of one stage; the released ones count their activations as places 0 and 2."""
    for b in range(config["blocks"]):
        block = f"{theirs}.{first + b}.block"
        yield from _conv(f"{ours}.blocks.{b}.dilated", f"{block}.1.conv.conv", width, width, config["kernel"])
        yield from _conv(f"{ours}.blocks.{b}.pointwise", f"{block}.3.conv.conv", width, width, 1)


def _quantizer(config: Mapping[str, Any]) -> Iterator[Row]:
    width, codes, code_width = config["width"], config["codes"], config["code_width"]
    for q in range(config["levels"]):
        ours, theirs = f"quantizer.levels.{q}", f"quantizer.vq.layers.{q}"
        yield from _linear(f"{ours}.project_in", f"{theirs}.project_in", code_width, width)
        yield from _linear(f"{ours}.project_out", f"{theirs}.project_out", width, code_width)
        yield Row(f"{theirs}._codebook.inited", f"{ours}.initialised", (1,))
        yield Row(f"{theirs}._codebook.cluster_size", f"{ours}.counts", (codes,))
        yield Row(f"{theirs}._codebook.embed", f"{ours}.code_book", (codes, code_width))
        yield Row(f"{theirs}._codebook.embed_avg", f"{ours}.sums", (codes, code_width))


def _conv(ours: str, theirs: str, out: int, into: int, kernel: int, *, transposed: bool = False) -> Iterator[Row]:
    """Bias, and the weight as magnitude (original0) and direction (original1)."""
    outer, inner = (into, out) if transposed else (out, into)
    weight = "parametrizations.weight.original"
    yield Row(f"{theirs}.bias", f"{ours}.bias", (out,))
    yield Row(f"{theirs}.{weight}0", f"{ours}.{weight}0", (outer, 1, 1))
    yield Row(f"{theirs}.{weight}1", f"{ours}.{weight}1", (outer, inner, kernel))


def _lstm(ours: str, theirs: str, width: int, layers: int) -> Iterator[Row]:
    for n in range(layers):
        for name, shape in (("weight_ih", (4 * width, width)), ("weight_hh", (4 * width, width))):
            yield Row(f"{theirs}.{name}_l{n}", f"{ours}.{name}_l{n}", shape)
        for name in ("bias_ih", "bias_hh"):
            yield Row(f"{theirs}.{name}_l{n}", f"{ours}.{name}_l{n}", (4 * width,))


def _linear(ours: str, theirs: str, out: int, into: int) -> Iterator[Row]:
    yield Row(f"{theirs}.weight", f"{ours}.weight", (out, into))
    yield Row(f"{theirs}.bias", f"{ours}.bias", (out,))
