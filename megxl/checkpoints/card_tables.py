"""What provenance says, as the tables of a model card: data with their licences, training, scores."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from megxl.checkpoints.checkpoint import Checkpoint

_SAID = {
    "loss": "cross-entropy of hidden codes, nats (lower is better)",
    "accuracy": "share of hidden codes predicted (higher is better)",
    "r": "correlation of the rebuilt signal with the original (higher is better)",
    "si_sdr_db": "scale-invariant signal to distortion of the rebuilt signal, dB (higher is better)",
}
_COLUMNS = {"model": "these weights", "unigram": "guesser: how frequent codes are", "last_token": "guesser: last token"}
_KEPT = (
    "file",
    "sha256",
    "format",
    "epoch",
    "steps",
    "seed",
    "decoder_of",
    "control",
    "megxl_version",
    "lightning_version",
)
_RECIPE = ("learning_rate", "warmup_steps", "training_steps", "signal")


class Scores(NamedTuple):
    """What a training measured on its validation recordings at its end."""

    task: str
    corpora: tuple[str, ...]
    metrics: Mapping[str, Mapping[str, float]]
    """By name: `model`, and what guessers score at the same places."""
    step: int | None


def scores_of(provenance: Mapping[str, Any]) -> Scores | None:
    """Scores that were recorded with the weights; None: there are none."""
    origin = provenance.get("source") or provenance
    said = origin.get("validation")
    if not isinstance(said, Mapping) or not said.get("metrics"):
        return None
    corpora = tuple(origin.get("recordings") or ())
    return Scores(task=said["task"], corpora=corpora, metrics=said["metrics"], step=said.get("step"))


def score_table(provenance: Mapping[str, Any]) -> str:
    """Scores beside those of guessers."""
    scores = scores_of(provenance)
    if scores is None:
        return "Nothing was recorded with the weights."
    columns = [name for name in _COLUMNS if any(name in values for values in scores.metrics.values())]
    rows = [
        [_SAID.get(name, name), *(f"{values[column]:.4g}" if column in values else "" for column in columns)]
        for name, values in scores.metrics.items()
    ]
    step = "" if scores.step is None else f", at step {scores.step:,}"
    return (
        f"{scores.task.replace('-', ' ').capitalize()} on the validation recordings named above{step}. These "
        "recordings may have served to choose the weights.\n\n"
        + _table(["", *(_COLUMNS[column] for column in columns)], rows)
    )


def data_table(provenance: Mapping[str, Any]) -> str:
    """Corpora, recordings and hours by part, and licences: of the weights, those they began with, the tokenizer."""
    rows = []
    for whose, origin in _origins(provenance):
        recordings, data = origin.get("recordings"), origin.get("data") or {}
        for corpus, parts in (recordings or {}).items():
            told = data.get(corpus, {})
            hours = told.get("hours", {})
            counted = [_part(parts.get(part, ()), hours.get(part)) for part in ("train", "validation")]
            licences = "; ".join(told.get("licences", ())) or "not recorded"
            rows.append([whose, corpus, *counted, licences])
    if not rows:
        return "The file that these weights came from does not say on which recordings they were trained."
    return _table(["weights", "corpus", "training", "validation", "licence of the data"], rows)


def training_list(checkpoint: Checkpoint) -> str:
    """Steps, seeds, files and checksums; all that is known stands in config.json."""
    provenance = checkpoint.provenance
    lines = []
    for whose, origin in _origins(provenance, inner=False):
        facts = {name: origin[name] for name in _KEPT if origin.get(name) is not None}
        inner = origin.get("source") or {}
        facts |= {name: inner[name] for name in _KEPT if name not in facts and inner.get(name) is not None}
        random = ["random weights, never trained"] if "random" in (origin.get("weights"), inner.get("weights")) else []
        said = [*random, *(f"{_words(name)} {value}" for name, value in facts.items())]
        lines.append(f"- {whose}: {'; '.join(said) or 'nothing is recorded'}")
    recipe = {name: checkpoint.training[name] for name in _RECIPE if checkpoint.training.get(name) is not None}
    for name, said in recipe.items():
        values = ", ".join(f"{_words(key)} {one}" for key, one in said.items()) if isinstance(said, Mapping) else said
        lines.append(f"- {_words(name)}: {values}")
    return "\n".join([*lines, "- all that is known of it: `provenance` and `training` in `config.json`"])


def _origins(provenance: Mapping[str, Any], inner: bool = True) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Provenance of the weights, of those that they began with, and of their tokenizer; `inner`: as first recorded."""
    whose, one, tokenizer = "these", provenance, None
    while one:
        origin = one.get("source") or one
        yield whose, origin if inner else one
        tokenizer = tokenizer or origin.get("tokenizer")
        whose, one = "those they began with", origin.get("started_from")
    if tokenizer:
        yield "their tokenizer", (tokenizer.get("source") or tokenizer) if inner else tokenizer


def _part(keys: Any, hours: float | None) -> str:
    n = len(keys)
    return f"{n} recording{'' if n == 1 else 's'}" + ("" if hours is None else f", {hours:.3g} h")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(" ".join(str(cell).split()).replace("|", r"\|") for cell in line) + " |"
                     for line in lines)  # fmt: skip
