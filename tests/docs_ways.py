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
    "tokenizers": ("tokenizers.md",),
    "models": ("pretraining.md", "decoding.md"),
    "controls": ("guides/evaluation.md",),
    "the published code": ("guides/published-code.md",),
    "a GPU": ("guides/gpu-and-slurm.md",),
}
"""Pages whose commands are given one after the other in one folder."""

_STORED = "megxl prepare camcan /data/camcan --store store"
BEFORE = {
    "tokenizers": (_STORED,),
    "models": (
        _STORED,
        "megxl simulate people --corpus recipe --subjects 4 --minutes 10",
        "megxl tokenizer --config-name tokenizer_laptop corpora=simulated "
        "datasets_config.simulated.data_root=people data.cache_dir=store run=runs/codec",
    ),
    "a GPU": (_STORED,),
}
"""What pages take for granted."""

ELSEWHERE = {
    "megxl fetch smn4lang /data/ds004078 --dry-run": "tests/corpora/fetching",
    "megxl fetch libribrain /data/libribrain --include 'Sherlock1/**' --yes": "tests/corpora/fetching",
    "megxl pretrain -m": "tests/training/test_sweep.py",
    "megxl finetune -m": "tests/training/test_sweep.py",
    "megxl reproduce curve": "tests/cli/test_reproduce.py",
    "megxl bench model --stages forward train": "tests/cli/test_bench.py",
    "megxl reproduce table1 --cell armeni_13": "tests/cli/test_reproduce.py",
    "python brainstorm/train_criss_cross_multi.py": "tests/test_readme.py",
    "python -m brainstorm": "tests/brainstorm/test_evaluation_commands.py",
}
"""Beginnings of commands that need a network, a large machine or their own miniatures, and who runs them in small."""

SMALLER = {
    r"(tokenizer_biocodec_meg .*)/data/armeni": r"\1/data/two_sessions",
    r"/(data|shared)/store": "store",
    r"(?<![\w.])/(data|shared)/": r"\1/",
    r"--data /data": "--data data",
    r"--minutes \d+": "--minutes 1",
    r"--system biosemi64": "--system biosemi32",
    r"(--corpus recipe)(?! --system)": r"\1 --system neuromag24",
    r"(--codes \S+)(?: --window \d+)?": r"\1 --window 12",
    r"--context-s [\d,]+": "--context-s 6,12",
    r"(evaluate a\.pt .*)": r"\1 --window-s 12",
    r"--windows \d+": "--windows 2",
    r"--sensors \d+": "--sensors 8",
    r"--resamples \d+": "--resamples 100",
    r"machine=\w+": "machine=laptop",
    r"trainer\.devices=\d+": "trainer.devices=1",
    r" trainer\.num_nodes=\d+": "",
    r"model\.levels=4,6,8": "model.levels=2,3",
    r"levels=4/": "levels=2/",
}
"""Patterns and what takes their place, in every command."""

FEW = "training.max_steps=2 training.num_workers=0 data.prepare_workers=0"
STEPS = f"{FEW} training.pin_memory=false training.persistent_workers=false logging.tensorboard=false"
WORDS = (
    f"{FEW} device=cpu data.words_per_segment=5 data.block_s=15 t5.model_name=wordllama "
    "model.word_mlp.hidden_dim=16 evaluation.resamples=100 evaluation.permutations=20"
)
MORE = {
    "prepare": "--workers 0",
    "tokenizer": f"{STEPS} data.segment_length=12 training.batch_size=8",
    "pretrain": f"{STEPS} model=tiny machine=laptop data.segment_length=12",
    "finetune": WORDS,
    "probe": WORDS,
}
"""Keys that each command gets, instead of its own values of them."""


VALIDATES = "datasets_config.camcan.val_subjects=[sub-CC120065]"
"""Of those who validate, the only one in the miniature corpus."""


def shorter(command: str) -> str:
    """Put small sizes, and paths that are there, into a command as it is written."""
    for pattern, short in SMALLER.items():
        command = re.sub(pattern, short, command)
    return command


def smaller(command: str, folder: Path) -> list[str]:
    """The words that are run in `folder`."""
    words = [name for word in shlex.split(command)[1:] for name in _expanded(word, folder)]
    if "resume=true" in words:
        return words
    more = shlex.split(MORE.get(words[0], ""))
    if words[0] == "tokenizer" and not any(word.startswith("model.init_from=") for word in words):
        more.append("codec=tiny")
    if "tokenizer_biocodec_meg" in words:  # its windows of 1 s are short
        more = [one for one in more if not one.startswith("data.segment_length=")]
    if "corpora=camcan" in words:
        more.append(VALIDATES)
    if "-m" in words:  # a sweep of these keys
        more = [one for one in more if not any(word.startswith(f"{_key(one)}=") and "," in word for word in words)]
    if (made := _made(words)) and (folder / made).exists():  # by another page, or another way to the same
        more.append("--overwrite" if words[0] not in MORE else "overwrite=true")
    given = {_key(one) for one in more} - {""}
    return [*(word for word in words if _key(word) not in given), *more]


def _expanded(word: str, folder: Path) -> list[str]:
    """What a shell makes of a word with a star."""
    return sorted(str(path) for path in folder.glob(word)) if "*" in word and "=" not in word else [word]


def _key(word: str) -> str:
    return word.partition("=")[0] if "=" in word else ""


def _made(words: list[str]) -> str | None:
    """What a command makes, if it refuses to replace it."""
    if words[0] in ("simulate", "convert"):
        return words[2 if words[0] == "convert" else 1]
    if "--out" in words:
        return words[words.index("--out") + 1]
    return next((word.partition("=")[2] for word in words if word.startswith("run=")), None)
