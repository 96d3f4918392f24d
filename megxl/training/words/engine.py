"""A whole run that decodes words: `decode_words` checks, trains, keeps the best weights, and tests them once."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from megxl.decoding.decoder_files import about_decoder, read_decoder, write_decoder
from megxl.decoding.predictions import write_predictions
from megxl.errors import InputError
from megxl.training.environment import is_first_process
from megxl.training.loggers import make_loggers
from megxl.training.preparation import Watcher
from megxl.training.running import (
    Tell,
    enter,
    machine_options,
    named_checkpoint,
    outcome_told,
    quiet_engine,
    refuse_shorter,
    say_nothing,
)
from megxl.training.runs import FEATURES, MODEL, PREDICTIONS, RESULTS, SPLIT, Run, write_json
from megxl.training.saving import Saver, step_in
from megxl.training.stopping import StopRequest
from megxl.training.words.checks import Checked, check_before_work
from megxl.training.words.config import WordsConfig
from megxl.training.words.data import WordsData
from megxl.training.words.features import FeatureData, feature_place
from megxl.training.words.making import Making, frozen, frozen_backbone
from megxl.training.words.module import WordsModule
from megxl.training.words.predicting import frequency_scores, predict
from megxl.training.words.results import run_results
from megxl.training.words.selection import Selection
from megxl.training.words.step_rows import StepRows, WordsProgress

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

TESTED = ("validation", "test")
"""Parts that are predicted at the end."""


def decode_words(config: WordsConfig, *, watch: Watcher | None = None, tell: Tell | None = None) -> "Run[WordsConfig]":
    """Fine-tune or probe as a configuration says, or go on where it stopped; every process of a run calls this.

    Parameters
    ----------
    config : WordsConfig
    watch : Watcher, optional
        Is told how recordings are prepared and encoded.
    tell : callable, optional
        Is told notes for a person, one sentence each.

    Returns
    -------
    Run
        Finished: with the decoder of the best epoch, its predictions of validation and test, and their results.

    Raises
    ------
    InputError
        What `check_before_work` and `Run` refuse, before any work; what only the data tell; a training that diverged.
    Stopped
        A signal came; the run goes on with ``resume=true``.
    """
    checked = check_before_work(config)
    first, stop, notes = is_first_process(), StopRequest(), list[str]()

    tell = tell if tell is not None and first else say_nothing

    def note(sentence: str) -> None:
        """Tell what a reader of the results should know, too: nothing of how this process came to them."""
        notes.append(sentence)
        tell(sentence)

    with ExitStack() as stack:
        run = enter(config, stack) if first else Run(config.run_dir, config)
        for sentence in checked.notes:
            note(sentence)
        stack.enter_context(outcome_told(run, first))
        stack.enter_context(stop.listening())
        stack.enter_context(quiet_engine())
        data = _data(run, checked, watch, tell)
        making = Making(config=config, checked=checked, data=data, name=run.name, tell=note, say=tell)
        if config.control == "frequency_only":
            data.prepare_data()
            data.setup()
            _begun(run, data, note)
            making.refuse()
        else:
            _train(run, data, making, stop, tell)
        if first:
            _finish(run, data, making, notes)
            run.set_status("finished")
    return run


def _data(run: "Run[WordsConfig]", checked: Checked, watch: Watcher | None, tell: Tell) -> WordsData:
    """Batches of signals or codes; of features, if the backbone is frozen."""
    config = run.config
    if not frozen(config) or config.control == "frequency_only":
        return WordsData(config, checked.tokenizer, watch=watch)
    backbone = frozen_backbone(config, checked)
    place = feature_place(Path(config.data.cache_dir), run.path / FEATURES)
    return FeatureData(config, checked.tokenizer, backbone, place, watch=watch, tell=tell)


def _train(run: "Run[WordsConfig]", data: WordsData, making: Making, stop: StopRequest, tell: Tell) -> None:
    config = run.config
    checkpoint = _checkpoint(run)
    step = None if checkpoint is None else step_in(checkpoint)
    if checkpoint is not None:
        refuse_shorter(checkpoint, config.training.num_epochs, config.training.max_steps)
        tell(f"Going on after step {step} ({checkpoint.name}).")
    trainer = Trainer(
        **machine_options(config.machine, unused=True),
        accumulate_grad_batches=config.trainer.accumulate_grad_batches,
        max_epochs=config.training.num_epochs,
        max_steps=config.training.max_steps or -1,
        log_every_n_steps=config.logging.log_every_n_steps,
        logger=make_loggers(config, run.path, step),
        callbacks=_callbacks(run, making, stop, tell),
        default_root_dir=run.path,
    )
    trainer.fit(WordsModule(config, making.parts), data, ckpt_path=checkpoint, weights_only=True)


def _checkpoint(run: "Run[WordsConfig]") -> Path | None:
    """Where to go on: the file that was named, or the newest of the run."""
    named = run.config.training.resume_checkpoint
    if named is not None:
        return named_checkpoint("training.resume_checkpoint", named)
    return run.checkpoint_to_resume() if run.config.resume else None


def _callbacks(run: "Run[WordsConfig]", making: Making, stop: StopRequest, tell: Tell) -> list[Callback]:
    """In the order in which they act: the checkpoint of it all last."""
    config, model = run.config, run.path / MODEL

    def keep(module: WordsModule, chosen: Mapping[str, Any]) -> None:
        write_decoder(model, making.saved(module.decoder, chosen), overwrite=True)

    selection = Selection(
        config,
        lambda: making.judge("validation"),
        keep,
        kept=lambda: about_decoder(model).get("chosen"),
        tell=tell,
    )
    rows = StepRows(config.logging.log_every_n_steps)
    saver = Saver(
        run.checkpoints,
        every=1,  # an epoch, as soon as it is known how many steps that is
        keep=0,
        stop=stop,
        saved=lambda step, epoch: run.set_status("running", step=step, epoch=epoch),
        tell=tell,
    )
    return [Start(run, saver, making.tell), rows, selection, WordsProgress(rows, selection), stop, saver]


class Start(Callback):
    """Writes who trains, validates and tests, passes notes on, and has a checkpoint made at the end of every epoch."""

    def __init__(self, run: "Run[WordsConfig]", saver: Saver, tell: Tell) -> None:
        self.run = run
        self.saver = saver
        self.tell = tell

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Know the data, once they are prepared."""
        data: Any = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue] (Lightning adds it)
        if trainer.is_global_zero:
            _begun(self.run, data, self.tell)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the steps of an epoch."""
        self.saver.every = -(-int(trainer.num_training_batches) // trainer.accumulate_grad_batches)


def _begun(run: "Run[WordsConfig]", data: WordsData, tell: Tell) -> None:
    """Write which groups train, validate and test, and say what the data are."""
    groups = data.groups
    split: dict[str, Any] = {"protocol": data.protocol.name}
    for part in ("train", "validation", "test"):
        numbers: dict[str, list[int]] = {}
        for index in data.order(part):
            group = groups.groups[index]
            numbers.setdefault(groups.recordings[group.recording].key, []).append(group.number)
        split[part] = numbers
    write_json(run.path / SPLIT, split)
    for note in data.notes:
        tell(note)


def _finish(run: "Run[WordsConfig]", data: WordsData, making: Making, notes: list[str]) -> None:
    """Predict validation and, for the only time, test with the weights on the disk; write what they score."""
    config = run.config
    predicted = {}
    about = making.about()
    if config.control != "frequency_only":
        assert data.trainer is not None
        device = data.trainer.strategy.root_device
        saved = read_decoder(run.path / MODEL, device)
        about |= {"chosen": saved.about["chosen"], "parameters": _parameters(saved.decoder)}
    for part in TESTED:
        judge = making.judge(part)
        if config.control == "frequency_only":
            values_NX = frequency_scores(judge)
        else:
            values_NX = predict(
                saved.decoder, data, part, data.subjects, device=device, precision=config.machine.precision
            )
        predicted[part] = judge.predictions(values_NX)
        write_predictions(run.path / PREDICTIONS / part, predicted[part], overwrite=True)
    about["notes"] = list(dict.fromkeys(notes))
    write_json(run.path / RESULTS, run_results(predicted, config.evaluation, about))


def _parameters(decoder: torch.nn.Module) -> dict[str, int]:
    """Weights by what they belong to."""
    counts = {"backbone": 0, "head": 0}
    for name, weight in decoder.named_parameters():
        counts["backbone" if name.startswith("backbone.") else "head"] += weight.numel()
    return counts
