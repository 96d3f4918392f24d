"""Two processes with gathered words are one with the whole batch: loss, and gradients of head, targets and scale."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from megxl.decoding.contrastive import CLIP, SigLIP
from megxl.decoding.gathering import gather_words
from megxl.errors import InputError

LOSSES = {
    "siglip": lambda: SigLIP(learnable=True),
    "siglip_y": lambda: SigLIP("y", learnable=True, duplicates="cosine", reduction="mean"),
    "clip": lambda: CLIP("xy", learnable=True),
}
SHARES = {"unequal": (4, 7), "one_empty": (5, 0)}
"""Words of rank 0 and rank 1."""

SCRIPT = """
import sys
import torch
import torch.distributed as dist
from tests.decoding.test_gathering import LOSSES, SHARES, gradients, words

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
told = {}
for name, counts in SHARES.items():
    whole = words(sum(counts))
    part = slice(0, counts[0]) if rank == 0 else slice(counts[0], None)
    for kind in LOSSES:
        loss, found = gradients(kind, *(tensor[part] for tensor in whole))
        for gradient in found:
            dist.all_reduce(gradient)
            gradient /= 2
        told[name, kind] = loss, found
torch.save(told, f"{folder}/{rank}.pt")
dist.destroy_process_group()
"""


def words(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Signals and words, of which some come twice, some of these on the other rank."""
    random = torch.Generator().manual_seed(1)
    signals = torch.randn(count, 6, dtype=torch.float64, generator=random)
    return signals, torch.randint(4, (count,), generator=random)


def gradients(kind: str, signals: torch.Tensor, labels: torch.Tensor) -> tuple[float, list[torch.Tensor]]:
    """Loss of all ranks' words; gradients of head, targets, and the loss's own numbers."""
    torch.manual_seed(0)
    head, targets, loss = nn.Linear(6, 5).double(), nn.Embedding(4, 5).double(), LOSSES[kind]().double()
    value = loss(*gather_words(head(signals), targets(labels), labels))
    value.backward()
    parameters = [*head.parameters(), *targets.parameters(), *loss.parameters()]
    assert all(parameter.grad is not None for parameter in parameters)
    return value.item(), [parameter.grad for parameter in parameters if parameter.grad is not None]


@pytest.mark.slow
def test_two_processes_equal_one_with_the_whole_batch(tmp_path):
    script = tmp_path / "rank.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(tmp_path)], env=environment, stderr=subprocess.PIPE
        )
        for rank in (0, 1)
    ]
    for process in started:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors.decode()[-3000:]
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for (name, kind), (value, found) in ranks[0].items():
        expected, wanted = gradients(kind, *words(sum(SHARES[name])))
        assert value == pytest.approx(expected, rel=1e-12) and ranks[1][name, kind][0] == value
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
        assert min(gradient.abs().max() for gradient in wanted) > 1e-4


def test_one_process_keeps_its_own_rows():
    parts = torch.randn(3, 2), torch.arange(3)
    found = gather_words(*parts)
    assert all(a is b for a, b in zip(found, parts, strict=True))


def test_parts_of_unequal_rows_are_refused():
    with pytest.raises(InputError, match="Parts of 3, 4 rows"):
        gather_words(torch.zeros(3, 2), torch.zeros(4, 2))
