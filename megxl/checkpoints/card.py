"""The model card (README.md) of a checkpoint folder."""

from typing import Any

from megxl.checkpoints.checkpoint import Checkpoint, is_untrained

_WARNING = """
> [!WARNING]
> **RANDOMLY INITIALISED OR UNTRAINED WEIGHTS.** {why} Their outputs mean nothing about any brain: use them only to
> try software.
"""

_BODIES = {
    "biocodec": """# BioCodec tokenizer

A neural codec for one sensor's signal of a brain recording (MEG, EEG): {samples} samples become one token of {levels}
codes out of {codes}.
""",
    "megxl": """# MEG-XL model

A criss-cross transformer for long recordings of the whole MEG sensor array (Jayalath & Parker Jones 2026,
arXiv 2602.02494): {layers} layers of width {width}, {sfreq_hz:g} Hz, on the codes of a BioCodec tokenizer ({codec}).
""",
}

_LOADING = {
    "biocodec": "codec = megxl.BioCodec.from_pretrained(FOLDER_OR_HUB_NAME)",
    "megxl": """model = megxl.MEGXL.from_pretrained(FOLDER_OR_HUB_NAME{tokenizer})
features = model.embed(raw)  # an mne.io.Raw""",
}


def model_card(checkpoint: Checkpoint) -> str:
    """Markdown with YAML front matter: what the weights are, where they come from, how to load them."""
    config, provenance = checkpoint.config, checkpoint.provenance
    carried = "tokenizer" in config
    samples = config.get("samples_per_token")
    if samples is None:
        samples = 1
        for stride in config["strides"]:
            samples *= stride
    untrained = is_untrained(provenance)
    tags = ["MEG", "EEG", "neuroscience", "codec" if checkpoint.kind == "biocodec" else "brain-decoding"]
    front = ["---", "library_name: megxl", "# license: to be filled in by whoever publishes these weights", "tags:"]
    front += [f"- {tag}" for tag in tags + ["untrained"] * untrained] + ["---", ""]
    body = _BODIES[checkpoint.kind].format(
        **config, samples=samples, codec="carried in this folder" if carried else "not in this folder"
    )
    loading = _LOADING[checkpoint.kind].format(tokenizer="" if carried else ", tokenizer=CODEC")
    parts = ["\n".join(front), _WARNING.format(why=_why(provenance)) if untrained else "", body]
    parts += ["## Where the weights come from\n", _origin(provenance)]
    parts += ["## How to load them\n", f"```python\nimport megxl\n\n{loading}\n```", ""]
    return "\n".join(part for part in parts if part)


def _why(provenance: dict[str, Any]) -> str:
    if provenance.get("weights") == "random":
        return "They were drawn at random and never trained."
    steps = provenance.get("steps")
    return f"Their source says {steps} training steps." if steps is not None else "Their source is marked as untrained."


def _origin(provenance: dict[str, Any]) -> str:
    """Provenance as a list; nested origins are indented."""
    if not provenance:
        return "Not recorded.\n"
    lines = []
    for name, value in provenance.items():
        if isinstance(value, dict):
            lines.append(f"- {name}:")
            lines += [f"  - {inner}: {said}" for inner, said in value.items() if said is not None]
        elif value is not None:
            lines.append(f"- {name}: {value}")
    return "\n".join(lines) + "\n"
