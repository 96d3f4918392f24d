"""Compare codec and model with the published code's numbers, and measure what our differences from it do.

PYTHONPATH=. python benchmarks/parity.py GOLDEN_FOLDER --out benchmarks/parity.md
"""

import argparse
import subprocess
import sys
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as F

from megxl import MEGXL, BioCodec
from megxl.checkpoints.names import model_rows
from megxl.model.embedding import SensorTensors
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


def effects(golden: Golden) -> list[tuple[str, str]]:
    """How far features move: root mean square over the features' standard deviation, and largest change."""
    models = {
        compat: MEGXL.from_pretrained(golden.model, compat=compat)
        for compat in ("default", "reference", "reference-dropout")
    }
    codes, sensors, expected = golden["codes"], golden.sensors, golden["features"]
    padded = torch.cat([codes, torch.full_like(codes[:, :3], 7)], 1)
    wider = SensorTensors(*(F.pad(part, (0, 0, 0, 3) if part.dim() == 3 else (0, 3)) for part in sensors))
    real, good = torch.arange(23).expand(2, -1) < 20, torch.arange(20).expand(2, -1) != 3
    electrodes = sensors._replace(
        orientations_BC3=torch.zeros_like(sensors.orientations_BC3), kinds_BC=torch.full_like(sensors.kinds_BC, 2)
    )

    def moved(found: torch.Tensor, other: torch.Tensor = expected) -> str:
        share = (found - other).square().mean().sqrt() / expected.std()
        return f"{share:.1%}, at most {worst(found, other):.2f}"

    with torch.no_grad():
        torch.manual_seed(0)
        dropped = [models["reference-dropout"](codes, sensors) for _ in range(2)]
        masked = models["default"](codes, sensors, good)
        return [
            ("two passes with dropout in evaluation, from each other", moved(*dropped)),
            ("20 sensors padded to 23, padding attends", moved(models["reference"](padded, wider, real)[:, :20])),
            ("20 sensors padded to 23, padding masked", moved(models["default"](padded, wider, real)[:, :20])),
            ("one of 20 sensors masked as bad, the others", moved(masked[good], expected[good])),
            ("all sensors called electrodes without orientation", moved(models["default"](codes, electrodes))),
        ]


def main() -> int:
    """Write the tables."""
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
        "",
        "What differences from the published behaviour do to features (3 layers, random weights, 20 sensors, 30 s):",
        "root mean square of the change over the standard deviation of the features, and largest change.",
        "",
        "| what | change of features |",
        "|---|---|",
        *(f"| {' | '.join(row)} |" for row in effects(Golden(args.golden))),
    ]
    args.out.write_text("\n".join(lines) + "\n")
    print(args.out.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
