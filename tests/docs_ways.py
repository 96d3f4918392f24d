"""How the commands of the documentation are run: sizes, steps, devices, encoder of words and paths are changed."""

import re
import shlex
from pathlib import Path

SCENES = {
    "the first page": ("index.md",),
    "a newcomer": ("install.md", "guides/own-recording.md"),
    "a BIDS data set": ("guides/own-bids.md",),
    "EEG": ("guides/eeg.md",),
    "a corpus of one's own": ("adding-a-corpus.md",),
    "data": ("data.md",),
    "from nothing": ("pretraining.md", "tokenizers.md", "decoding.md"),
    "controls": ("guides/evaluation.md",),
    "the published code": ("guides/published-code.md",),
    "a GPU": ("guides/gpu-and-slurm.md",),
}
"""Pages whose commands are given one after the other in one folder."""

BEFORE = {
    "from nothing": (
        "megxl prepare camcan /data/camcan --store store",
        "megxl prepare camcan /data/camcan --store /shared/store",
    ),
    "a GPU": ("megxl prepare camcan /data/camcan --store /shared/store",),
}
"""What pages take for granted."""

ELSEWHERE = {
    "megxl fetch smn4lang /data/ds004078 --dry-run": "tests/corpora/fetching",
    "megxl fetch libribrain /data/libribrain --include 'Sherlock1/**' --yes": "tests/corpora/fetching",
    "megxl bench model --stages forward train": "tests/cli/test_bench.py",
    "megxl reproduce table1 --cell armeni_13": "tests/cli/test_reproduce.py",
    "python brainstorm/train_criss_cross_multi.py": "tests/test_readme.py",
    "python -m brainstorm": "tests/brainstorm/test_evaluation_commands.py",
}
"""Beginnings of commands that need a network, a large machine or their own miniatures, and who runs them in small."""

SMALLER = {
    r"(?<![\w.])/(data|shared)/": r"\1/",
    r"--data /data": "--data data",
    r"--minutes \d+": "--minutes 1",
    r"--workers \d+": "--workers 0",
    r"--system biosemi64": "--system biosemi32",
    r"(--corpus recipe)(?! --system)": r"\1 --system neuromag24",
    r"--window 30": "--window 12",
    r"--context-s [\d,]+": "--context-s 6,12",
    r"--windows \d+": "--windows 2",
    r"--sensors \d+": "--sensors 8",
    r"--resamples \d+": "--resamples 100",
    r"machine=\w+": "machine=laptop",
    r"trainer\.(devices|num_nodes)=\d+": r"trainer.\1=1",
    r"data\.segment_length=[\d,]+ seed=[\d,]+": "data.segment_length=6,12 seed=1",
    r"data\.train_hours=[\d.,]+ seed=[\d,]+": "data.train_hours=0.005,0.01 seed=1,2",
    r"model\.levels=[\d,]+": "model.levels=2,3",
    r"0_model\.levels=4": "0_model.levels=2",
}
"""Patterns and what takes their place, in every command."""

FEW = "training.max_steps=2 training.num_workers=0"
STEPS = f"{FEW} training.pin_memory=false training.persistent_workers=false logging.tensorboard=false"
WORDS = (
    f"{FEW} device=cpu data.words_per_segment=5 data.block_s=15 t5.model_name=wordllama "
    "model.word_mlp.hidden_dim=16 evaluation.resamples=100 evaluation.permutations=20"
)
MORE = {
    "tokenizer": f"{STEPS} codec=tiny data.segment_length=12 training.batch_size=8",
    "pretrain": f"{STEPS} model=tiny machine=laptop data.segment_length=12",
    "finetune": WORDS,
    "probe": WORDS,
}
"""Keys that each command gets, instead of its own values of them."""


OF_MINIATURES = {"corpora=camcan": "datasets_config.camcan.val_subjects=[sub-CC110033]"}
"""What miniature corpora need besides: they hold few of the people."""


def smaller(command: str, folder: Path) -> list[str]:
    """The words that are run in `folder`, of a command as it is written."""
    for pattern, short in SMALLER.items():
        command = re.sub(pattern, short, command)
    words = shlex.split(command)[1:]
    if any(word in ("resume=true", "resume=auto") for word in words):
        return words
    more = shlex.split(MORE.get(words[0], ""))
    if "-m" in words:  # a sweep of these keys
        more = [one for one in more if not any(word.startswith(f"{_key(one)}=") and "," in word for word in words)]
    more += [key for word, key in OF_MINIATURES.items() if word in words]
    run = next((word.partition("=")[2] for word in words if word.startswith("run=")), None)
    if run and (folder / run).exists():
        more.append("overwrite=true")  # another way to the same, on the same page
    given = {_key(one) for one in more}
    return [*(word for word in words if _key(word) not in given), *more]


def _key(word: str) -> str:
    return word.partition("=")[0] if "=" in word else ""
