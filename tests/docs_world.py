"""Files of the names that the documentation uses: small weights, simulated data sets, miniature corpora."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from megxl.checkpoints.released import write_released
from megxl.cli import main
from megxl.model.megxl import MEGXL
from tests.small import TINY
from tests.training.small_run import CODEC, small_codec

FEW_SENSORS = ("--system", "neuromag24", "--sfreq", "200")
ELECTRODES = ("--system", "biosemi32", "--sfreq", "250")
MINIATURES = {
    "camcan": ("cc700/meg/pipeline/release005/BIDSsep",),
    "smn4lang": ("ds004078",),
    "mous": ("mous",),
    "armeni": ("two_sessions",),
    "meg_masc": ("masc", "meg-masc"),
    "libribrain_public": ("libribrain",),
}
"""Names in the documentation, below /data, of each miniature corpus."""
SESSION = "armeni/sub-001/ses-010"
WITH_ELECTRODES = "realdata/meg_neuromag306/test_raw.fif"
LAB = Path(__file__).parents[1] / "docs/adding-a-corpus.md"
_TINY = replace(TINY, levels=CODEC.levels, codes=CODEC.codes, code_width=CODEC.code_width)
_CAP = ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T7", "T8", "P7", "P8", "Fz", "Cz")


def furnish(folder: Path, mini: Path, shared: Path) -> Path:
    """Fill a working directory; what the documentation calls /data is its folder data.

    Parameters
    ----------
    folder : Path
        Made here.
    mini : Path
        The miniature corpora.
    shared : Path
        Has the real recordings.
    """
    _weights(folder)
    data = folder / "data"
    _corpora(data, mini)
    (folder / "REAL.con").symlink_to(mini / "meg_masc/sub-01/ses-0/meg/sub-01_ses-0_task-0_meg.con")
    for name in ("REAL.ds", "sub-002_ses-003_task-compr_meg.ds"):
        _renamed_ctf(mini / SESSION / "meg/sub-001_ses-010_task-compr_meg.ds", folder / name)
    (folder / "heard.tsv").write_text("onset\tword\n" + "".join(f"{2 + 0.5 * n}\tword\n" for n in range(40)))
    _two_tasks(data / "mine", folder / "rest")
    (data / "ds000117").symlink_to(data / "mine")
    _simulate(data / "eeg", "--subjects", "3", "--minutes", "0.7", *ELECTRODES)
    _simulate(data / "story", "--minutes", "1.2", "--seed", "1", *ELECTRODES)
    for subject in ("sub-01", "sub-02"):
        _brainvision(data / f"caps/{subject}/eeg/{subject}_task-rest_eeg", (*_CAP, "VEOG", "HEOG"))
    together = data / "both/sub-01/meg/sub-01_task-audiovisual_meg.fif"
    together.parent.mkdir(parents=True)
    together.symlink_to(shared / WITH_ELECTRODES)
    _simulate(folder / "new", "--minutes", "0.5", *FEW_SENSORS)
    for kind, name in (("meg.fif", "sub-01_meg.fif"), ("events.tsv", "sub-01_words.tsv")):
        (made,) = (folder / "new").glob(f"sub-01/**/*_{kind}")
        shutil.copy(made, folder / name)
    _brainvision(folder / "rest", _CAP)
    (folder / "lab.py").write_text(LAB.read_text().partition("```python\n")[2].partition("```")[0])
    return folder


def _corpora(data: Path, mini: Path) -> None:
    """Link the miniature corpora; of those that much is trained on, a part."""
    for made, names in MINIATURES.items():
        for name in names:
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (data / name).symlink_to(mini / made)
    (data / "LibriBrain").symlink_to(mini / "libribrain_public")
    for task in ("rest", "smt"):
        for person in ("sub-CC120065", "sub-CC999001"):
            (data / "camcan" / task).mkdir(parents=True, exist_ok=True)
            (data / "camcan" / task / person).symlink_to(mini / "camcan" / task / person)
    (data / "BIDSsep").symlink_to(data / "camcan")
    for name in ("armeni", "lab"):  # the shorter of the two is enough
        (data / name / "sub-001").mkdir(parents=True)
        (data / name / "sub-001/ses-010").symlink_to(mini / SESSION)


def _weights(folder: Path) -> None:
    codec = small_codec()
    for name in ("biocodec_ckpt.pt", "brainstorm/neuro_tokenizers/biocodec_ckpt.pt", "shared/biocodec_ckpt.pt", "a.pt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_released(folder / name, codec.to_checkpoint())
    write_released(folder / "meg-xl-med.ckpt", MEGXL(_TINY, codec).eval().to_checkpoint())
    torch.manual_seed(1)
    write_released(folder / "b.pt", small_codec(1).to_checkpoint())


def _renamed_ctf(old: Path, new: Path) -> None:
    """Copy a CTF folder, whose files have its name."""
    new.mkdir()
    for path in old.iterdir():
        shutil.copy(path, new / path.name.replace(old.stem, new.stem))


def _two_tasks(root: Path, aside: Path) -> None:
    """Two people who hear a story, and lie at rest."""
    _simulate(root, "--subjects", "2", "--minutes", "1.2", *FEW_SENSORS)
    _simulate(aside, "--subjects", "2", "--minutes", "0.7", "--seed", "5", *FEW_SENSORS)
    for path in aside.glob("sub-*/**/*_task-story_*"):
        if not path.name.endswith("_events.tsv"):
            shutil.copy(path, root / path.relative_to(aside).with_name(path.name.replace("story", "rest")))
    shutil.rmtree(aside)


def _simulate(root: Path, *options: str) -> None:
    assert main(["simulate", str(root), "--corpus", "bids", *options]) == 0


def _brainvision(path: Path, names: Sequence[str]) -> None:
    """Noise of a cap without positions, in BrainVision's three files, with triggers 11 and 12."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise_TC = 10 * np.random.default_rng(0).standard_normal((250 * 40, len(names)))
    noise_TC.astype("<f4").tofile(path.with_suffix(".eeg"))
    files = f"[Common Infos]\nCodepage=UTF-8\nDataFile={path.name}.eeg\n"
    channels = "\n".join(f"Ch{number}={name},,1,µV" for number, name in enumerate(names, start=1))
    path.with_suffix(".vhdr").write_text(
        f"Brain Vision Data Exchange Header File Version 1.0\n\n{files}MarkerFile={path.name}.vmrk\nDataFormat=BINARY\n"
        f"DataOrientation=MULTIPLEXED\nNumberOfChannels={len(names)}\nSamplingInterval=4000\n\n"
        f"[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n\n[Channel Infos]\n{channels}\n"
    )
    marks = "\n".join(f"Mk{2 + k}=Stimulus,S {11 + k % 2},{501 + 150 * k},1,0" for k in range(55))
    path.with_suffix(".vmrk").write_text(
        f"Brain Vision Data Exchange Marker File, Version 1.0\n\n{files}\n[Marker Infos]\n"
        f"Mk1=New Segment,,1,1,0\n{marks}\n"
    )
