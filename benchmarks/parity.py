"""Compare codec and model with the published code's numbers and write the table.

PYTHONPATH=. python benchmarks/parity.py GOLDEN_FOLDER --out benchmarks/parity.md
"""

import argparse
import subprocess
import sys
from datetime import date
from pathlib import Path

import torch

from megxl import MEGXL, BioCodec
from megxl.checkpoints.names import model_rows
from megxl.tokenizer.biocodec import rms_scale
from tests.golden import Golden


def worst(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest absolute difference."""
    return (found - expected).abs().max().item()


def compare(golden: Golden) -> list[tuple[str, str, str]]:
    """What was compared, what the tests ask for, what was found."""
    codec, model = BioCodec.from_pretrained(golden.codec), MEGXL.from_pretrained(golden.model)
    with torch.no_grad():
        flips = [(codec.encode(golden[f"tok_in{n}"])[0] != golden[f"tok_codes{n}"]).sum() for n in ("", "_odd")]
        flips.append((codec.tokenize(golden["meg"]) != golden["codes"]).sum())
        total = sum(golden[name].numel() for name in ("tok_codes", "tok_codes_odd", "codes"))
        recon = max(
            worst(codec.decode(golden[f"tok_codes{n}"], rms_scale(x), x.shape[-1]), golden[f"tok_recon{n}"])
            for n, x in (("", golden["tok_in"]), ("_odd", golden["tok_in_odd"]))
        )
        features = worst(model(golden["codes"], golden.sensors), golden["features"])
        masked = worst(model(golden["codes"], golden.sensors, mask=golden["mask"]), golden["masked_features"])
    result = model.masked_prediction(golden["codes"], golden.sensors, golden["mask"])
    result.loss.backward()
    ours = {row.released: row.ours for row in model_rows(vars(model.config))}
    parameters = dict(model.named_parameters())
    gradients = max(
        abs(parameters[ours[name]].grad.double().norm() / norm - 1).item()
        for name, norm in zip(golden.text("grad_norm_names"), golden["grad_norms"], strict=True)
    )
    loss = abs(result.loss / golden["masked_loss"] - 1).item()
    return [
        ("codes that differ", "near-ties, at most 0.1 %", f"{int(sum(flips))} of {total}"),
        ("reconstruction from the same codes, largest difference", "1e-4", f"{recon:.1e}"),
        ("features from the same codes, largest difference", "1e-4", f"{features:.1e}"),
        ("masked features from the same codes, largest difference", "1e-4", f"{masked:.1e}"),
        ("loss, relative", "1e-5", f"{loss:.1e}"),
        ("norms of 52 gradients, largest relative difference", "1e-3", f"{gradients:.1e}"),
    ]


def main() -> int:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("golden", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(2)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    lines = [
        "# Agreement with the published code",
        "",
        f"{date.today()}, commit {commit.stdout.strip()}, torch {torch.__version__}, CPU, float32, two threads.",
        "Published code: commit 58dc31c, random weights in the released file formats, all dropout off.",
        "",
        "    PYTHONPATH=. python benchmarks/parity.py GOLDEN_FOLDER --out FILE",
        "",
        "| what | the tests ask for | found |",
        "|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in compare(Golden(args.golden))),
    ]
    args.out.write_text("\n".join(lines) + "\n")
    print(args.out.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
