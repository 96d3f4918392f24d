"""`megxl info`: what a recording, a checkpoint, an embedding, a store or a run is."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_EXAMPLES = """\
examples:
  megxl info sub-01_meg.fif          sensors, length, what was done to it, what embed would do with it
  megxl info meg-xl-med.ckpt         sizes, SHA-256, steps, what became of each key
  megxl info store/                  corpora, hours, sensors, words and damaged entries of a store; also store/armeni,
                                     store/armeni/sub-001_ses-001_task-compr
  megxl info runs/first              what trained there, how far it is, how well it does, where its model lies
  megxl info features.npz --json     all that an embedding knows about itself, for other programs
"""

_MOST_LISTED = 5
_CHECKPOINT_ENDINGS = (".ckpt", ".pt", ".pth", ".safetensors")


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl info` to the commands."""
    parser = subparsers.add_parser(
        "info",
        description="Say what a recording, a checkpoint, an embedding, a store or a run is. Nothing that identifies a "
        "person is shown.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "path", metavar="PATH", type=Path, help="a recording, a checkpoint, features, a store, or a run"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Find out what it is and print it."""
    from megxl.cli.tables import print_table

    facts = describe(args.path)
    if args.json:
        print(json.dumps(facts, indent=1))
        return 0
    title = f"{args.path.name}: {facts.pop('what')}"
    print_table(title, _rows(facts), facts.get("warning"))
    return 0


def describe(path: Path) -> dict[str, Any]:
    """All that is known about a file or folder, JSON-able; `what` says what it is.

    Raises
    ------
    InputError
        If it does not exist or is none of these.
    """
    from megxl.checkpoints.folder import is_ours
    from megxl.cli.run_facts import describe_run, is_run
    from megxl.cli.store_facts import describe_in_store, refuse_part_of_store
    from megxl.errors import InputError
    from megxl.extraction import is_embedding

    if not path.exists():
        raise InputError(f"{path} does not exist.")
    if not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is neither a file nor a folder.")
    if path.is_dir() and (facts := describe_in_store(path)):
        return facts
    if is_run(path):
        return describe_run(path)
    if path.is_file():
        refuse_part_of_store(path)
    if path.suffix.lower() == ".npz" or is_embedding(path):
        return _describe_embedding(path)
    if is_ours(path) or path.suffix.lower() in _CHECKPOINT_ENDINGS:
        return _describe_checkpoint(path)
    return _describe_recording(path)


def _describe_embedding(path: Path) -> dict[str, Any]:
    from megxl.extraction import load_embedding

    embedding = load_embedding(path)
    meta = embedding.meta()
    return {
        "what": "features of a recording",
        "warning": meta["warning"],
        "shape": meta["shape"],
        "sensors": len(embedding.sensors),
        "bad_sensors": [name for name, bad in zip(embedding.sensors.names, embedding.bad, strict=True) if bad],
        "tokens": len(embedding.times_s),
        "windows": len(embedding.windows),
        "notes": [note for note in embedding.notes if note != embedding.warning],
        "settings": meta["settings"],
        **meta["provenance"],
    }


def _describe_checkpoint(path: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from megxl.checkpoints.checkpoint import KIND_NAMES, weights_warning
    from megxl.checkpoints.files import read_checkpoint
    from megxl.tokenizer.signals import SIGNAL

    checkpoint = read_checkpoint(path, allow_unmatched=["*"])  # what is unknown is shown, not refused
    in_codec = {name: tensor.numel() for name, tensor in checkpoint.tensors.items() if name.startswith("tokenizer.")}
    total = sum(tensor.numel() for tensor in checkpoint.tensors.values())
    numbers = {"codec": sum(in_codec.values()), "rest": total - sum(in_codec.values())} if in_codec else {"all": total}
    codec = checkpoint.training.get("tokenizer", {})  # of the one that a model carries
    return {
        "what": KIND_NAMES[checkpoint.kind],
        "warning": weights_warning(checkpoint.provenance),
        "numbers": numbers,
        **checkpoint.provenance,
        "signal": (checkpoint.training if checkpoint.kind == "biocodec" else codec).get(SIGNAL, {}),
        "config": checkpoint.config,
        "keys": asdict(checkpoint.report),
    }


def _describe_recording(path: Path) -> dict[str, Any]:
    from megxl.signals.reading import open_recording, provenance

    raw = open_recording(path, allow_maxshield=True)
    known = provenance(raw)
    return {"what": "a recording", **known, "embed": _prospect(raw, known)}


def _prospect(raw: Any, known: dict[str, Any]) -> str:
    """What `megxl embed` would do with a recording, in a sentence."""
    from megxl.errors import InputError
    from megxl.extraction import ExtractionSettings, cut_windows
    from megxl.signals.montage import place_sensors
    from megxl.signals.reading import choose_channels
    from megxl.signals.sensors import ELECTRODE
    from megxl.sizes import MEGXLConfig

    config, settings = MEGXLConfig(), ExtractionSettings()
    try:
        sensors = place_sensors(raw.info, choose_channels(raw))
        windows = cut_windows(
            round(known["duration_s"] * config.sfreq_hz),
            settings.window_samples(config.sfreq_hz, config.samples_per_token),
            config.samples_per_token,
        )
    except InputError as error:
        return f"would refuse: {error}"
    kind = "electrodes" if (sensors.kinds_C == ELECTRODE).all() else "MEG sensors"
    n_bad = len(set(sensors.names) & set(known["bads"]))
    parts = [
        f"would take {len(sensors)} {kind}" + (f" ({n_bad} of them bad: masked)" if n_bad else ""),
        f"windows of {settings.window_s:g} s: {len(windows)}"
        + ("" if windows[-1].complete else ", the last one shorter"),
        f"tokens a sensor: {windows[-1].tokens.stop}",
    ]
    return "; ".join(parts) + ("; only with --allow-maxshield" if known["maxshield"] else "")


def _rows(facts: dict[str, Any]) -> Iterable[tuple[str, object]]:
    """One row a fact that is known, one a group of facts."""
    for key, value in _known(_condensed(facts)):
        if key in ("notes", "problems"):
            yield from ((key.removesuffix("s"), sentence) for sentence in value)
        elif key == "corpora":
            for corpus, parts in value.items():
                yield from _group(corpus, parts)
        elif isinstance(value, dict):
            yield from _group(_label(key), value)
        else:
            yield _label(key), _short(value) + _unit(key)


def _condensed(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts for people: tables that follow from the sizes are counted, the codec of a model is not told again."""
    facts = {key: value for key, value in facts.items() if key not in ("what", "warning")}
    if keys := facts.pop("keys", None):
        facts["keys"] = {**keys, "derived": len(keys["derived"]), "unmatched": len(keys["unmatched"])}
        facts["unknown_keys"] = ", ".join(keys["unmatched"])
    model, tokenizer = facts.get("model"), facts.get("tokenizer")
    if model and tokenizer and model.get("sha256") and model["sha256"] == tokenizer.get("sha256"):
        facts["tokenizer"] = {"carried by": "the model", "config": tokenizer["config"]}
    return facts


def _known(parts: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """What there is something to say of."""
    for key, value in parts.items():
        ctf_only = key == "ctf_compensation_grade" and not value and parts.get("format") != "CTF"
        if value not in (None, "", [], (), {}) and not ctf_only:
            yield key, value


def _group(name: str, parts: dict[str, Any]) -> Iterable[tuple[str, object]]:
    """A group's own facts side by side, then a row for each group in it."""
    known = dict(_known(parts))
    inner = {key: value for key, value in known.items() if isinstance(value, dict)}
    if own := [f"{_label(key)} {_short(value)}{_unit(key)}" for key, value in known.items() if key not in inner]:
        yield name, ", ".join(own)
    for key, value in inner.items():
        yield from _group(f"{name} {_label(key)}", value)


_UNITS = {"hz": " Hz", "s": " s", "h": " h", "mb": " MB"}


def _unit(key: str) -> str:
    name, _, unit = key.rpartition("_")
    return "" if not name or name.endswith("_per") else _UNITS.get(unit, "")


def _label(key: str) -> str:
    """Name of a fact for people, without its unit."""
    name = key.rpartition("_")[0] if _unit(key) else key.replace("_per_s", "_a_second")
    return "sampling rate" if name == "sfreq" else name.replace("_", " ")


def _short(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        if value and all(isinstance(part, int) for part in value):
            return " x ".join(map(str, value))
        more = f" and {len(value) - _MOST_LISTED} more" if len(value) > _MOST_LISTED else ""
        return ", ".join(map(str, value[:_MOST_LISTED])) + more
    return str(value)
