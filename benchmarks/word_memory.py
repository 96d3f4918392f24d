"""Memory of fine-tuning and probing at the published size, by arithmetic (`megxl.training.words.plan`).

PYTHONPATH=. python benchmarks/word_memory.py --out benchmarks/word_memory.md
"""

import argparse
from pathlib import Path

from megxl.decoding.building import DecoderSpec
from megxl.training.words.plan import Load, memory_bytes, trained_parameters

TUNED = {"spec": DecoderSpec(head="mlp", sensors=306), "trains": True}
CASES = {
    "fine-tuning, published head, bf16, recomputed (default)": Load(**TUNED),
    "the same without recomputing": Load(**TUNED, recompute=False),
    "the same in float32, recomputed": Load(**TUNED, mixed=False),
    "fine-tuning, head over sensors, bf16, recomputed": Load(
        spec=DecoderSpec(head="sensors", sensors=306), trains=True
    ),
    "probe, published head": Load(spec=DecoderSpec(head="linear", sensors=306), trains=False),
}
GOALS = {"tuned": 24, "probed": 12}
"""GB."""
HEAD = """\
# Memory of word decoding, on paper

306 sensors, 50 words of 3 s (150 s), batch 1, targets of 1024. GB (10^9 bytes) of tensors at their peak, attention
fused, not compiled. On a GPU come some 0.5 GB of libraries. Not measured on a GPU.

    PYTHONPATH=. python benchmarks/word_memory.py --out benchmarks/word_memory.md

`tests/training/words/test_plan.py` counts whole steps of fine-tuning on tensors without memory at this size: the sums
agree within 5 % (of probing, at 16 sensors, within 10 %). Goals: {tuned} GB to fine-tune, {probed} GB to probe.

| | trained | weights, gradients, AdamW | rest | GB |
|---|---|---|---|---|
"""
STATE = ("weights", "gradients", "AdamW's moments", "rounded weights")


def row(name: str, load: Load) -> str:
    """A line of the table."""
    parts = memory_bytes(load)
    state, whole = sum(parts[part] for part in STATE), sum(parts.values())
    trained = sum(trained_parameters(load).values())
    return f"| {name} | {trained:,} | {state / 1e9:.1f} | {(whole - state) / 1e9:.1f} | {whole / 1e9:.1f} |\n"


def main(arguments: list[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args(arguments).out
    out.write_text(HEAD.format(**GOALS) + "".join(row(*case) for case in CASES.items()))


if __name__ == "__main__":
    main()
