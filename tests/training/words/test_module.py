"""The step of a decoder's training: which words it compares, which weights it moves, alone and on two processes."""

import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("lightning.pytorch")

from lightning.pytorch import Callback, Trainer

from megxl.errors import InputError
from megxl.training.words.batches import with_targets
from megxl.training.words.module import WordsModule, make_loss, parameter_groups
from megxl.training.words.sections import LossSection
from tests.training.words.small_parts import batch, config, item, loader, parts, small_module, targets

SHARES = [
    ([item(1, "the", "of", "door")], [item(2, "the", "house"), item(3, "river", repeated=True)]),
    ([item(4, "house")], [item(5, "of", "of", "the")]),
    ([item(6, "door", "river")], [item(1, "the", "of", "door", repeated=True)]),
]
"""Items of rank 0 and rank 1 in three batches."""
SCRIPT = """
import sys
from pathlib import Path
import torch
from tests.training.words.small_parts import batch, config, loader, small_module
from tests.training.words.test_module import SHARES, Watch, trainer

if __name__ == "__main__":
    module, watch = small_module(), Watch()
    run = trainer(watch, devices=2, strategy="ddp_find_unused_parameters_true")
    run.fit(module, loader([batch(*shares[run.global_rank]) for shares in SHARES]))
    torch.save((watch.losses, watch.norms, watch.gradients), Path(sys.argv[1]) / f"{run.global_rank}.pt")
"""


class Watch(Callback):
    """Keeps the loss of each batch, the norm of the gradient of each step, and the gradients of the first one."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.gradients: dict[str, torch.Tensor] = {}

    def on_train_batch_end(self, trainer, pl_module, *_) -> None:
        self.losses.append(float(pl_module.latest_loss))
        if trainer.global_step > len(self.norms):
            self.norms.append(float(pl_module.gradient_norm))

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        found = {name: weight.grad for name, weight in pl_module.named_parameters() if weight.grad is not None}
        self.gradients = self.gradients or {name: gradient.clone() for name, gradient in found.items()}


def trainer(*callbacks: Callback, epochs: int = 2, **options) -> Trainer:
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    return Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=list(callbacks),
        limit_val_batches=0,
        use_distributed_sampler=False,
        **quiet,
        **options,
    )


def trained(module: WordsModule, batches: list, **options) -> Watch:
    watch = Watch()
    trainer(watch, **options).fit(module, loader(batches))
    return watch


def by_hand(estimates_NE: torch.Tensor, words: list[str]) -> float:
    """SigLIP with scale 10 and bias -10 in plain numbers; a word is no negative of itself."""
    vectors = dict(zip(words, targets().of([tuple(words)]).double().tolist(), strict=True))
    total = 0.0
    for i, estimate in enumerate(estimates_NE.double().tolist()):
        for j, word in enumerate(words):
            if i != j and words[i] == word:
                continue
            dot = sum(a * b for a, b in zip(estimate, vectors[word], strict=True))
            cosine = dot / math.hypot(*estimate) / math.hypot(*vectors[word])
            logit = 10 * cosine - 10
            total += math.log1p(math.exp(-logit if i == j else logit))
    return total / len(words)


def test_the_loss_is_of_the_words_that_are_there_and_new():
    mixed = batch(item(1, "the", "of", "the"), item(2, "door"), item(3, "river", "river", repeated=True))
    module = small_module()
    run = trainer(epochs=1)
    run.fit(module, loader([mixed]))
    module.eval()
    words = with_targets(mixed, targets())
    assert words.kept_BW.tolist() == [[True] * 3, [True, False, False], [False] * 3]
    estimates_NE = module.estimates(words)
    assert estimates_NE.shape == (4, 8)
    found = module.loss(estimates_NE, words.targets_NE, words.numbers_N)
    assert float(found) == pytest.approx(by_hand(estimates_NE.detach(), ["the", "of", "the", "door"]), rel=1e-5)


def test_a_validation_has_each_word_once_in_the_order_of_the_files_and_the_mean_loss_of_its_batches():
    items = [item(0, "the", "of"), item(1, "door"), item(2, "river", "the", "house")]
    module = small_module()
    trained(module, [batch(*items)], epochs=1)
    module.eval()
    # as two ranks would join them: the second one's batches follow the first one's
    module._sampler = lambda: SimpleNamespace(batches=lambda epoch: [[2, 0], [1, 0]])
    batches = [batch(items[2], items[0]), batch(items[1], item(0, "the", "of", repeated=True))]
    with torch.no_grad():
        module.on_validation_epoch_start()
        losses = []
        for number, words in enumerate(with_targets(one, targets()) for one in batches):
            module.validation_step(words, number)
            losses.append(float(module.loss(module.estimates(words), words.targets_NE, words.numbers_N)))
        module.on_validation_epoch_end()
        alone = [module.estimates(with_targets(batch(one), targets())) for one in items]
    torch.testing.assert_close(module.validated.estimates_NE, torch.cat(alone))
    assert module.validated.loss == pytest.approx(sum(losses) / 2)


def test_a_step_depends_on_its_items_and_not_on_what_chance_did_before():
    settings = config(model__word_mlp__dropout=0.5)
    watches = []
    for noise in (0, 1000):
        module = small_module(settings, dropout=0.5)
        module.on_train_batch_start = lambda *_, n=noise: (torch.rand(n), None)[1]
        watches.append(trained(module, [batch(*SHARES[0][0])]))
    assert watches[0].losses == watches[1].losses
    still = trained(small_module(), [batch(*SHARES[0][0])])
    assert watches[0].losses[0] != still.losses[0], "dropout is on"


@pytest.mark.parametrize("command", ["finetune", "probe"])
def test_a_model_that_was_loaded_in_evaluation_trains_with_dropout_unless_it_is_frozen(command):
    settings = config(command=command, model__head="mlp")
    made, modes = parts(settings), []
    made.decoder.eval()
    module = WordsModule(settings, lambda: made)
    backbone: Any = made.decoder.backbone
    module.on_train_batch_start = lambda *_: modes.append(
        (made.decoder.head.training, {one.training for one in backbone.model.layers.modules()})
    )
    trained(module, [batch(*SHARES[0][0])])
    assert modes == [(True, {command == "finetune"})] * 2
    assert not any(one.training for one in backbone.model.tokenizer.modules())


def test_weights_have_the_published_rates_and_decay():
    settings = config(training__criss_cross_lr=1e-5, training__word_mlp_lr=1e-3, loss__learnable=True)
    made, loss = parts(settings), make_loss(settings.loss)
    groups = {group["name"]: group for group in parameter_groups(settings, made.decoder, loss)}
    assert {name: (group["lr"], group["weight_decay"]) for name, group in groups.items()} == {
        "backbone": (1e-5, 1e-4), "head": (1e-3, 1e-4), "loss": (1e-3, 0.0),
    }  # fmt: skip
    model = made.decoder.backbone.model  # pyright: ignore[reportAttributeAccessIssue]
    moved = {id(weight) for group in groups.values() for weight in group["params"]}
    assert {id(weight) for weight in model.layers.parameters()} <= moved
    still = [*model.head.parameters(), model.embedding.mask_vector, *model.tokenizer.parameters()]
    assert not {id(weight) for weight in still} & moved
    assert len(groups["loss"]["params"]) == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model__train_from_scratch": True}, {"backbone": 1e-4, "head": 1e-4}),
        ({"model__backbone": "convolution", "model__head": "linear"}, {"backbone": 1e-4, "head": 1e-4}),
        ({"command": "probe", "model__head": "linear"}, {"head": 2e-3}),
    ],
)
def test_rates_from_scratch_and_of_a_probe(changes, expected):
    settings = config(**changes, training__probe_lr=2e-3)
    groups = parameter_groups(settings, parts(settings).decoder, make_loss(settings.loss))
    assert {group["name"]: group["lr"] for group in groups} == expected


def test_scale_and_shift_stay_as_published_unless_they_are_to_be_learnt():
    for learnable in (False, True):
        module = small_module(config(loss__learnable=learnable))
        trained(module, [batch(*SHARES[0][0])])
        moved = float(module.loss.temperature) != pytest.approx(math.log(10))
        assert moved == learnable


@pytest.mark.parametrize(("kind", "name"), [("siglip", "SigLIP"), ("clip", "CLIP")])
def test_the_loss_is_the_one_that_is_named(kind, name):
    loss = make_loss(LossSection(kind=kind, duplicates="vector", norm_kind="x"))
    assert type(loss).__name__ == name and loss.duplicates == "cosine" and loss.norm_kind == "x"


@pytest.mark.parametrize("wanted", [True, False])
def test_activations_are_recomputed_if_the_key_says_so(wanted):
    made = parts(config(model__use_gradient_checkpointing=wanted))
    backbone: Any = made.decoder.backbone
    before, times = type(backbone.model.layers[0]).forward, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(backbone.model.layers[0]), "forward", lambda *a, **k: (times.append(1), before(*a, **k))[1])
        module = WordsModule(config(model__use_gradient_checkpointing=wanted), lambda: made)
        trained(module, [batch(*SHARES[0][0])], epochs=1)
    assert len(times) == (2 if wanted else 1)


def test_the_loss_has_the_options_that_are_given():
    one = make_loss(LossSection(reduction="mean", temperature=False, bias=False))
    assert one.reduction == "mean" and float(one.temperature) == 0 and float(one.bias) == 0
    assert make_loss(LossSection()).reduction == "sum" and make_loss(LossSection()).duplicates == "word"
    assert [make_loss(LossSection(kind="clip", symmetric=both)).symmetric for both in (True, False)] == [True, False]


def test_the_chance_of_a_step_is_that_of_its_items_and_their_epoch():
    seeds = [with_targets(batch(*items), targets()).seed for items in (*SHARES[0], *SHARES[1], SHARES[0][0])]
    assert seeds[4] == seeds[0] and len(set(seeds)) == 4


def test_the_gradient_is_clipped_over_all_weights_together():
    module, norms = small_module(config(training__gradient_clip_val=1e-3)), []

    def measure(*_) -> None:
        norms.append(torch.stack([p.grad.norm() for p in module.parameters() if p.grad is not None]).norm())

    module.on_train_batch_end = measure
    watch = trained(module, [batch(*SHARES[0][0])], epochs=1)
    assert watch.norms[0] > 1e-2 and float(norms[0]) == pytest.approx(1e-3, rel=1e-2)


def test_a_short_last_step_of_an_epoch_is_the_mean_of_its_own_batches():
    batches = [batch(*SHARES[0][0]), batch(*SHARES[0][1]), batch(*SHARES[1][0])]
    still = config(training__criss_cross_lr=1e-12, training__word_mlp_lr=1e-12)
    alone = trained(small_module(still), batches[2:], epochs=1)
    accumulated = trained(small_module(still), batches, epochs=1, accumulate_grad_batches=2)
    assert len(accumulated.norms) == 2
    assert accumulated.norms[1] == pytest.approx(alone.norms[0], rel=1e-4)


def test_a_checkpoint_holds_what_trains_alone(tmp_path):
    for command, head in (("finetune", "mlp"), ("probe", "linear")):
        module = small_module(config(command=command, model__head=head))
        run = trainer(epochs=1)
        run.fit(module, loader([batch(*SHARES[0][0])]))
        run.save_checkpoint(tmp_path / "last.ckpt")
        kept = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
        assert any(name.startswith("decoder.head.") for name in kept)
        assert not any(".tokenizer." in name or ".model.head." in name for name in kept)
        assert any(name.startswith("decoder.backbone.") for name in kept) == (command == "finetune")
        again = small_module(config(command=command, model__head=head))
        trainer(epochs=1).fit(again, loader([batch(*SHARES[0][0])]), ckpt_path=tmp_path / "last.ckpt")
        assert all(torch.equal(t, again.state_dict()[name]) for name, t in module.state_dict().items())


@pytest.mark.slow
def test_two_processes_equal_one_with_all_words(tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(tmp_path / "train.py"), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    alone = trained(small_module(), [batch(*first, *second) for first, second in SHARES])
    for rank in (0, 1):
        losses, norms, gradients = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert losses == pytest.approx(alone.losses, rel=1e-5) and norms == pytest.approx(alone.norms, rel=1e-4)
        assert gradients.keys() == alone.gradients.keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, alone.gradients[name], rtol=0, atol=1e-6)


def test_a_checkpoint_of_another_decoder_is_refused_by_the_first_weight_that_differs():
    module, other = WordsModule(config(), lambda: parts(config())), parts(config(model__head="sensors")).decoder
    module.decoder = parts(config()).decoder
    mine = {"decoder." + name: tensor for name, tensor in module.decoder.state_dict().items()}
    head = next(name for name, tensor in mine.items() if ".head." in name and tensor.ndim == 2)
    with pytest.raises(InputError, match=r"another decoder \(head\..* there, .* here\).*resume_checkpoint"):
        module.on_load_checkpoint({"state_dict": {"decoder." + n: t for n, t in other.state_dict().items()}})
    with pytest.raises(InputError, match=r"\(3, 3\) there"):
        module.on_load_checkpoint({"state_dict": module.state_dict() | {head: torch.zeros(3, 3)}})
    module.on_load_checkpoint({"state_dict": module.state_dict()})


def test_a_run_does_not_go_on_with_other_frozen_weights(tmp_path):
    """They are not in the checkpoint, so that files which changed meanwhile would go unnoticed."""
    for settings in (config(), config(command="probe", model__head="linear")):
        module = small_module(settings)
        run = trainer(epochs=1)
        run.fit(module, loader([batch(*SHARES[0][0])]))
        run.save_checkpoint(tmp_path / "last.ckpt")
        other = parts(settings)
        backbone: Any = other.decoder.backbone
        backbone.model.tokenizer.encoder.exit.bias.data[0] += 1e-3
        with pytest.raises(InputError, match=r"frozen weights .* are no longer those"):
            again = WordsModule(settings, lambda other=other: other)
            trainer(epochs=1).fit(again, loader([batch(*SHARES[0][0])]), ckpt_path=tmp_path / "last.ckpt")
