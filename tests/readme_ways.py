"""How each command of the README is run: every one stands here exactly as it is written there.

What is changed are sizes, steps, device, paths and the encoder of words.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Way:
    """How a command is run: what takes the place of what stands in it, what is added, what it has to make."""

    instead: Mapping[str, str] = field(default_factory=dict)
    more: str = ""
    makes: tuple[str, ...] = ()

    def words(self, command: str) -> list[str]:
        """The words of the command that is run."""
        for long, short in self.instead.items():
            assert command.count(long) == 1, long
            command = command.replace(long, short)
        return shlex.split(f"{command} {self.more}")


FEW_SENSORS = "--system neuromag24 --sfreq 200"
FEW_WORDS = (
    "t5.model_name=wordllama data.words_per_segment=5 training.max_steps=2 training.num_workers=0 "
    "model.word_mlp.hidden_dim=16 device=cpu evaluation.resamples=100 evaluation.permutations=20"
)
SHORT = {"data.block_s=60": "data.block_s=15"}
FEW_STEPS = "training.max_steps=2 training.num_workers=0 training.persistent_workers=false training.pin_memory=false"
OWN = {
    "megxl doctor": Way(),
    "megxl info sub-01_meg.fif": Way(),
    "megxl embed sub-01_meg.fif --model meg-xl-med.ckpt --out features.npz --report features.html": Way(
        makes=("features.npz", "features.html")
    ),
    "megxl simulate my-study --corpus bids --subjects 2 --minutes 10": Way(
        {"--minutes 10": "--minutes 1.2"}, FEW_SENSORS, ("my-study/sub-02",)
    ),
    "megxl prepare bids my-study --store store --set words_column=word words_where=trial_type:word "
    "--report quality.html": Way(more="--workers 0", makes=("store/bids", "quality.html")),
    "megxl finetune corpus=bids data.cache_dir=store data.block_s=60 model.criss_cross_checkpoint=meg-xl-med.ckpt "
    "run=runs/words": Way(SHORT, FEW_WORDS, makes=("runs/words/results.json", "runs/words/model")),
    "megxl report runs/words": Way(makes=("runs/words/report.html",)),
    "megxl check-words store --out words.html": Way(makes=("words.html",)),
    "megxl finetune corpus=bids data.cache_dir=store data.block_s=60 model.criss_cross_checkpoint=meg-xl-med.ckpt "
    "control=noise run=runs/noise": Way(SHORT, FEW_WORDS, makes=("runs/noise/results.json",)),
    "megxl evaluate runs/words --beside runs/noise": Way(),
    "megxl decode sub-01_meg.fif --words sub-01_words.tsv --model runs/words --out decoded.tsv "
    "--report decoded.html": Way(makes=("decoded.tsv", "decoded.html")),
    "megxl pretrain corpora=bids data.cache_dir=store model.init_from=meg-xl-med.ckpt run=runs/mine": Way(
        more=f"{FEW_STEPS} model=tiny machine=laptop data.segment_length=30", makes=("runs/mine/model",)
    ),
    "megxl --help": Way(),
    "megxl fetch CORPUS ROOT --dry-run": Way({"CORPUS ROOT": "camcan camcan"}),
    "megxl reproduce table1 --dry-run": Way(),
}
"""Run one after the other, in one folder and this process."""

PRETRAINING = (
    "python brainstorm/train_criss_cross_multi.py --config-name=train_criss_cross_multi_50hz_med "
    "datasets_config.0.data_root=/data/ds004078 datasets_config.1.data_root=/data/mous "
    "datasets_config.2.data_root=/data/camcan datasets_config.3.data_root=/data/armeni "
    "datasets_config.4.data_root=/data/meg-masc"
)
MINIATURES = Way(
    {f"/data/{said}": f"{{mini}}/{made}" for said, made in (
        ("ds004078", "smn4lang"), ("mous", "mous"), ("camcan", "camcan"), ("armeni", "armeni"), ("meg-masc", "meg_masc")
    )},
    # of each corpus, as few of its miniature recordings as can train and validate
    "datasets_config.0.subjects=[sub-02] datasets_config.0.runs=[run-2,run-56] datasets_config.0.val_runs=[run-56] "
    "datasets_config.1.subjects=[sub-A2002,sub-A2120] datasets_config.1.val_subjects=[sub-A2002] "
    "datasets_config.2.subjects=[sub-CC120065,sub-CC110033] datasets_config.2.val_subjects=[sub-CC110033] "
    "datasets_config.2.tasks=[smt] datasets_config.4.val_subjects=[sub-03] 'datasets_config.4.tasks=[\"1\"]' "
    # no codes but of the windows that are looked at: the golden codec is of full size
    "data.codes=online data.prepare_workers=0 trainer.limit_val_batches=5 data.segment_length=6 "
    "model.num_subsegments_to_mask=1 model.latent_dim=32 model.num_layers=1 model.num_heads=2 model.fourier_pos_dim=20 "
    f"training.num_epochs=null {FEW_STEPS}",
)  # fmt: skip
PUBLISHED_WORDS = {
    "python -m brainstorm.evaluate_criss_cross_word_classification "
    "--config-name=eval_criss_cross_word_classification_armeni "
    "model.criss_cross_checkpoint=meg-xl-med.ckpt data.root=/data/armeni": "armeni",
    "python -m brainstorm.evaluate_criss_cross_word_classification_linear_probe "
    "--config-name=eval_criss_cross_word_classification_linear_probe_libribrain "
    "model.criss_cross_checkpoint=meg-xl-med.ckpt data.root=/data/libribrain": "libribrain",
}
"""Each is run on that miniature corpus, by tests/brainstorm/test_evaluation_commands.py."""

ELSEWHERE = {
    "make demo": (".ci/run", "make demo"),
    "make test": (".ci/run", "make test"),
    'make demo DEMO="--recording sub-01_meg.fif"': (".ci/run", "--recording"),
    "python3 -m venv .venv": ("Makefile", "-m venv $(VENV)"),
    ". .venv/bin/activate": (".ci/run", "megxl=.venv/bin/megxl"),
    "pip install -e '.[corpora,train,decode]' -c constraints.txt": ("Makefile", "-c constraints.txt"),
}
"""By a pattern of the files of which one runs it, and what stands there."""
