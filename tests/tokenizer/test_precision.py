"""Full precision inside, and every setting of the caller as before outside, in whichever way it was made."""

import subprocess
import sys

import pytest
import torch

from megxl.tokenizer.precision import full_precision, switches

SETTINGS = [
    "",
    "torch.set_float32_matmul_precision('medium')",
    "torch.backends.cuda.matmul.allow_tf32 = True",
    "torch.backends.cudnn.allow_tf32 = False",
    "torch.backends.fp32_precision = 'tf32'",
    "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "torch.backends.cudnn.conv.fp32_precision = 'tf32'",
]


def state() -> list[object]:
    """All settings that a caller can read; some cannot be read after some others were made."""
    import torch as t

    readers = [t.get_float32_matmul_precision, lambda: t.backends.cuda.matmul.allow_tf32]
    readers += [lambda: t.backends.cudnn.allow_tf32]
    readers += [switch.read for switch in switches()]
    values: list[object] = []
    for reader in readers:
        try:
            values.append(reader())
        except RuntimeError:
            values.append("cannot be read")
    return values


def run_in_full_precision() -> None:
    """Called in a fresh process, since the settings are the process's."""
    before = state()
    with torch.autocast("cpu", dtype=torch.bfloat16), full_precision("cpu"):
        assert all(switch.read() == switch.exact for switch in switches())
        assert (torch.randn(3, 3) @ torch.randn(3, 3)).dtype == torch.float32
    assert state() == before


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_restored(setting):
    if "fp32_precision" in setting and not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        pytest.skip("this torch has no fp32_precision")
    code = f"import torch; {setting}\nfrom tests.tokenizer.test_precision import run_in_full_precision as run; run()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_settings_are_restored_after_an_error():
    before = state()
    with pytest.raises(KeyError), full_precision("cpu"):
        raise KeyError
    assert state() == before
