"""The losses under their published names give the published numbers, gradients included."""

import json

import numpy as np
import pytest
import torch

from brainstorm.losses.contrastive import ClipLoss, SigLipLoss
from megxl.decoding.pairs import NormKind

NORMS: dict[str, NormKind] = {"x": "x", "y": "y", "xy": "xy", "None": None}


@pytest.fixture(scope="session")
def published(shared) -> dict:
    """Losses and gradients by case and by the arguments that made them."""
    return json.loads((shared / "golden" / "data_reference.json").read_text())["expected"]["siglip"]


@pytest.fixture(scope="session")
def vectors(shared) -> dict:
    """Estimates and candidates of each case."""
    arrays = np.load(shared / "golden" / "data_reference.npz")
    parts = ("estimate", "candidate")
    return {f"case{n}": [torch.from_numpy(arrays[f"siglip/case{n}/{part}"]) for part in parts] for n in range(4)}


def told(name: str) -> dict[str, str]:
    """Arguments in the name of a golden number."""
    return dict(part.split("=") for part in name.split() if "=" in part)


@pytest.mark.parametrize("case", ["case0", "case1", "case2", "case3"])
def test_every_published_siglip_loss_is_reproduced(published, vectors, case):
    compared = 0
    for name, expected in published[case].items():
        if not name.startswith("siglip") or "error" in str(expected):
            continue
        options, plain = told(name), "no temperature" in name
        threshold = None if options["threshold"] == "None" else float(options["threshold"])
        reduction = "sum" if options["reduction"] == "sum" else "mean"
        criterion = SigLipLoss(NORMS[options["norm"]], not plain, not plain, threshold, reduction)
        loss = criterion(*vectors[case], reweigh_positives=options["reweigh_positives"] == "True")
        assert loss.item() == pytest.approx(expected, rel=1e-5), name
        compared += 1
    assert compared == (25 if case == "case3" else 33)


@pytest.mark.parametrize("case", ["case0", "case1", "case2", "case3"])
def test_every_published_clip_loss_is_reproduced(published, vectors, case):
    compared = 0
    for name, expected in published[case].items():
        if not name.startswith("clip") or "error" in str(expected):
            continue
        options = told(name)
        loss = ClipLoss(NORMS[options["norm"]], symmetric=options["symmetric"] == "True")(*vectors[case])
        assert loss.item() == pytest.approx(expected, rel=1e-5, abs=1e-6), name
        compared += 1
    assert compared == (3 if case == "case3" else 6)


@pytest.mark.parametrize("case", ["case0", "case1", "case2"])
def test_published_gradients_are_reproduced(published, vectors, case):
    expected = published[case]["gradients of siglip norm=y reduction=sum reweigh_positives=True threshold=0.999"]
    loss, (estimate, candidate) = SigLipLoss("y"), vectors[case]
    estimate = estimate.clone().requires_grad_()
    loss(estimate, candidate, reweigh_positives=True).backward()
    assert estimate.grad is not None and loss.temperature.grad is not None and loss.bias.grad is not None
    assert estimate.grad.norm().item() == pytest.approx(expected["estimate_norm"], rel=1e-5)
    assert loss.temperature.grad.item() == pytest.approx(expected["temperature"], rel=1e-5)
    assert loss.bias.grad.item() == pytest.approx(expected["bias"], rel=1e-5)


def test_the_other_golden_losses_are_reproduced(golden):
    vectors = golden["loss_estimates"], golden["loss_candidates"]
    for norm in ("y", "xy"):
        for suffix, reweigh in (("", False), ("_reweigh", True)):
            loss = SigLipLoss(norm, reweigh_positives=reweigh)(*vectors)
            assert loss.item() == pytest.approx(golden[f"siglip_{norm}{suffix}"].item(), rel=1e-5)
    assert SigLipLoss()(*vectors).item() == pytest.approx(golden["siglip_y"].item(), rel=1e-5)
    assert ClipLoss()(*vectors).item() == pytest.approx(golden["clip_y"].item(), rel=1e-5)


def test_closed_forms_are_met():
    e1, e2 = torch.eye(2)
    estimates, targets = torch.stack([e1, e2, e2]), torch.stack([e1, e1, e2])
    told = {True: SigLipLoss("xy"), False: SigLipLoss("xy", temperature=False, bias=False)}
    assert told[True](estimates, targets, reweigh_positives=True).item() == pytest.approx(4.026541, abs=1e-6)
    assert told[True](estimates, targets).item() == pytest.approx(7.590939, abs=1e-6)
    assert told[False](estimates, targets, reweigh_positives=True).item() == pytest.approx(1.570791, abs=1e-6)


def test_more_candidates_than_estimates_are_weighed_where_the_published_code_fails(published, vectors):
    for norm in ("x", "y", "xy", "None"):
        name = f"siglip norm={norm} reduction=sum reweigh_positives={{}} threshold=0.999"
        assert published["case3"][name.format(True)].startswith("error")
        # no two candidates of this case are the same, so there is nothing to weigh
        expected = published["case3"][name.format(False)]
        assert SigLipLoss(NORMS[norm])(*vectors["case3"], True).item() == pytest.approx(expected, rel=1e-5)
