"""The model card (README.md) of a checkpoint folder, which is also its page on the hub."""

import json
from collections.abc import Mapping
from typing import Any

from megxl.checkpoints.card_tables import data_table, score_table, scores_of, training_list
from megxl.checkpoints.checkpoint import Checkpoint, is_untrained

NO_LICENCE = "unknown"
"""What the hub calls weights of which nobody has said how they may be used."""

_WARNING = """> [!WARNING]
> **RANDOMLY INITIALISED OR UNTRAINED WEIGHTS.** {why} Their outputs mean nothing about any brain: use them only to
> try software."""

_BODIES = {
    "biocodec": """# BioCodec tokenizer

A neural codec for one sensor's signal of a brain recording (MEG, EEG): {samples} samples become one token of {levels}
codes out of {codes}.""",
    "megxl": """# MEG-XL model

A criss-cross transformer for long recordings of the whole MEG sensor array (Jayalath & Parker Jones 2026,
arXiv 2602.02494): {depth} of width {width}, {sfreq_hz:g} Hz, on the codes of a BioCodec tokenizer
({codec}).""",
}

_USES = {
    "biocodec": "turning prepared signals into codes and back, for models that read such codes",
    "megxl": "features of recordings, and as the beginning of decoders, in research",
}

_LIMITS = """Meant for {use}, with recordings of people who agreed to it. Made with megxl, an independent
implementation of the published methods.

- No medical device: nothing here is made or tested for diagnosis, treatment or monitoring.
- Word decoding with such models was studied for speech that people hear, with the onsets of words given and a closed
  vocabulary. That says nothing about imagined speech or thoughts.
- Whole windows are read at once, what follows a moment too: it does not work in real time.
- Other people, sensors, sites and preparations than those above may give other results: test on held-out data of your
  own."""

_LOADING = {
    "biocodec": "codec = megxl.BioCodec.from_pretrained(FOLDER_OR_HUB_NAME)",
    "megxl": """model = megxl.MEGXL.from_pretrained(FOLDER_OR_HUB_NAME{tokenizer})
features = model.embed(raw)  # an mne.io.Raw""",
}

_BIOCODEC = """@article{avramidis2025biocodec,
  title = {Neural Codecs as Biosignal Tokenizers},
  author = {Avramidis, Kleanthis and Feng, Tiantian and Jeong, Woojae and Lee, Jihwan and Cui, Wenhui
            and Leahy, Richard M. and Narayanan, Shrikanth},
  journal = {arXiv:2510.09095},
  year = {2025}
}"""
_CITATIONS = {
    "biocodec": _BIOCODEC,
    "megxl": """@inproceedings{jayalath2026megxl,
  title = {{MEG-XL}: Data-Efficient Brain-to-Text via Long-Context Pre-Training},
  author = {Jayalath, Dulhan and Parker Jones, Oiwi},
  booktitle = {International Conference on Machine Learning (ICML)},
  note = {arXiv:2602.02494},
  year = {2026}
}
"""
    + _BIOCODEC,
}


def model_card(checkpoint: Checkpoint) -> str:
    """Markdown with YAML front matter: what the weights are, how and on what they were trained, what they are not."""
    config, provenance = checkpoint.config, checkpoint.provenance
    carried = "tokenizer" in config
    body = _BODIES[checkpoint.kind].format(
        **config,
        depth=f"{config.get('layers')} layer{'' if config.get('layers') == 1 else 's'}",
        samples=_samples(config),
        codec="carried in this folder" if carried else "not in this folder",
    )
    loading = _LOADING[checkpoint.kind].format(tokenizer="" if carried else ", tokenizer=CODEC")
    sections = {
        "What they were trained on": data_table(provenance),
        "How they were trained": training_list(checkpoint),
        "How well they do": score_table(provenance),
        "Use and limits": _LIMITS.format(use=_USES[checkpoint.kind]),
        "How to load them": f"```python\nimport megxl\n\n{loading}\n```",
        "Licence": _licence(provenance),
        "Citation": f"```bibtex\n{_CITATIONS[checkpoint.kind]}\n```\n\nPlease cite the data sets above as their "
        "owners ask.",
    }
    warning = [_WARNING.format(why=_why(provenance))] if is_untrained(provenance) else []
    told = [f"## {title}\n\n{text}" for title, text in sections.items()]
    return "\n\n".join([_front(checkpoint), *warning, body, *told]) + "\n"


def _front(checkpoint: Checkpoint) -> str:
    """What the hub reads; a value in JSON is one in YAML."""
    provenance = checkpoint.provenance
    tags = ["MEG", "EEG", "neuroscience", "codec" if checkpoint.kind == "biocodec" else "brain-decoding"]
    lines = ["---", "library_name: megxl", f"license: {provenance.get('licence', NO_LICENCE)}"]
    lines += ["pipeline_tag: feature-extraction", "tags:"]
    lines += [f"- {tag}" for tag in tags + ["untrained"] * is_untrained(provenance)]
    if (scores := scores_of(provenance)) is not None:
        corpora = ", ".join(scores.corpora) or "not recorded"
        result = {
            "task": {"type": scores.task, "name": scores.task.replace("-", " ")},
            "dataset": {"type": corpora, "name": f"{corpora} (validation recordings)"},
            "metrics": [{"type": name, "value": values["model"]} for name, values in scores.metrics.items()],
        }
        name = "MEG-XL model" if checkpoint.kind == "megxl" else "BioCodec tokenizer"
        lines.append(f"model-index: {json.dumps([{'name': name, 'results': [result]}])}")
    return "\n".join([*lines, "---"])


def _samples(config: Mapping[str, Any]) -> int:
    """Samples in a token, which a codec's strides make."""
    samples = config.get("samples_per_token", 1)
    for stride in config.get("strides", ()):
        samples *= stride
    return samples


def _why(provenance: Mapping[str, Any]) -> str:
    if provenance.get("weights") == "random":
        return "They were drawn at random and never trained."
    steps = provenance.get("steps")
    return f"Their source says {steps} training steps." if steps is not None else "Their source is marked as untrained."


def _licence(provenance: Mapping[str, Any]) -> str:
    said = provenance.get("licence")
    weights = (
        f"Whoever published these weights gives them under the licence `{said}`."
        if said
        else "Nobody has said yet under which licence these weights may be used; whoever publishes them should "
        '(`push_to_hub(name, licence="...")`).'
    )
    return f"{weights} The data that they were trained on have licences of their own, which may limit it."
