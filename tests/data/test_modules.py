"""Data modules in a user's own Trainer: five lines, the same order after a stop, numbers of corpora by name."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import nn

from megxl.corpora.corpus import Selection
from megxl.data.cached_codes import open_codes
from megxl.data.channels import canonical_order, sensor_labels
from megxl.data.code_grid import WindowGrid
from megxl.data.codes import write_codes
from megxl.data.recording_split import RecordingSplit
from megxl.data.sources import CorpusSource
from megxl.errors import InputError
from megxl.store import Store
from tests.data.small import put, sensors, small_store
from tests.data.test_codes import small_codec
from tests.data.told import told

lightning = pytest.importorskip("lightning.pytorch")

from megxl.data.modules import CorpusDataModule, MultiCorpusDataModule  # noqa: E402


class Model(lightning.LightningModule):
    """Predicts nothing; remembers what it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[tuple] = []
        self.validated: list[tuple] = []
        self.largest = 0.0
        self.crash_at: int | None = None

    def training_step(self, batch, index):
        self.seen.append(self._told(batch))
        if self.global_step == self.crash_at:
            raise RuntimeError("a step fails")
        self.largest = max(self.largest, float(batch.signal_BCT.abs().max()))
        return ((self.scale * batch.signal_BCT) ** 2).mean()

    def validation_step(self, batch, index):
        self.validated.append(self._told(batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)

    def _told(self, batch):
        where = zip(batch.keys, batch.start_s_B.tolist(), batch.seeds_B.tolist(), strict=True)
        return (self.current_epoch, *where)


def trainer(**options) -> "lightning.Trainer":
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return lightning.Trainer(**(quiet | {"enable_checkpointing": False, "num_sanity_val_steps": 0} | options))


@pytest.fixture
def store(tmp_path) -> Store:
    return small_store(tmp_path / "store", {"a": [470, 365, 275, 320, 160], "b": [200, 300]})


def module(store: Store, **options) -> CorpusDataModule:
    known = {"window_s": 1.0, "batch_size": 2, "split": {"validation": 0.2}, "seed": 3}
    return CorpusDataModule(store.path, "a", **(known | options))


def test_a_user_s_own_trainer_takes_it_in_five_lines(store):
    data = CorpusDataModule(store.path, "a", {"validation": 0.2}, window_s=1.0, batch_size=2)
    model = Model()
    trainer(max_epochs=2).fit(model, data)
    windows = {name: len(some) for name, some in data.windows.items()}
    assert windows["train"] + windows["validation"] == sum(n // 50 for n in (470, 365, 275, 320, 160))
    for epoch in (0, 1):
        places = {place for batch in model.seen if batch[0] == epoch for place in batch[1:]}
        assert len({place[:2] for place in places}) == windows["train"]
        assert sum(len(batch) - 1 for batch in model.validated if batch[0] == epoch) == windows["validation"]
    assert model.seen[: len(model.seen) // 2] != model.seen[len(model.seen) // 2 :]
    assert 0.1 < model.largest <= 5.0  # normalised, not tesla


def test_validation_sees_the_same_in_every_epoch(store):
    model = Model()
    trainer(max_epochs=3).fit(model, module(store, batch_size=3, jitter=True))
    by_epoch = [[batch[1:] for batch in model.validated if batch[0] == epoch] for epoch in range(3)]
    assert by_epoch[0] == by_epoch[1] == by_epoch[2]
    assert all(start_s % 1.0 == 0 for batch in by_epoch[0] for _, start_s, _ in batch)  # in place, not shifted
    starts = [[place[:2] for batch in model.seen if batch[0] == epoch for place in batch[1:]] for epoch in range(3)]
    assert set(starts[0]) != set(starts[1])


class StopAt(lightning.Callback):
    """Saves a checkpoint after a step, or at another moment, and stops."""

    def __init__(self, path: Path, step: int, moment: str) -> None:
        self.path, self.step, self.moment = path, step, moment

    def _save(self, trainer, moment: str) -> None:
        if moment == self.moment and trainer.global_step >= self.step and not self.path.exists():
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True
            trainer.limit_val_batches = 0

    def on_train_batch_end(self, trainer, *rest) -> None:
        self._save(trainer, "step")

    def on_validation_end(self, trainer, model) -> None:
        self._save(trainer, "validation")

    def on_train_epoch_end(self, trainer, model) -> None:
        self._save(trainer, "epoch")

    def on_exception(self, trainer, model, exception) -> None:
        self._save(trainer, "crash")


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("moment", "step"),
    [("step", 5), ("step", 1), ("step", 17), ("step", 26), ("validation", 13), ("epoch", 13), ("crash", 7)],
)
def test_a_resumed_training_goes_on_with_the_next_batch(store, tmp_path, moment, step, workers):
    def data():
        return module(store, num_workers=workers, jitter=True)

    whole = Model()
    trainer(max_epochs=3).fit(whole, data())
    assert len(whole.seen) == 3 * len(data().train_dataloader())
    first = Model()
    path = tmp_path / "stopped.ckpt"
    if moment == "crash":
        first.crash_at = step
    with suppress(RuntimeError):
        trainer(max_epochs=3, callbacks=[StopAt(path, step, moment)]).fit(first, data())
    done = int(torch.load(path, weights_only=True)["global_step"])
    second = Model()
    trainer(max_epochs=3).fit(second, data(), ckpt_path=path, weights_only=True)
    assert second.seen == whole.seen[done:]
    assert first.seen[:done] == whole.seen[:done]


@pytest.mark.parametrize(("moment", "step"), [("step", 5), ("step", 9), ("epoch", 9), ("step", 13)])
def test_resuming_is_exact_where_epochs_are_cut_short(store, tmp_path, moment, step):
    short = {"max_epochs": 3, "limit_train_batches": 9, "accumulate_grad_batches": 3, "limit_val_batches": 0}
    whole, first, second = Model(), Model(), Model()
    trainer(**short).fit(whole, module(store))
    path = tmp_path / "stopped.ckpt"
    trainer(**short, callbacks=[StopAt(path, -(-step // 3), moment)]).fit(first, module(store))
    trainer(**short).fit(second, module(store), ckpt_path=path, weights_only=True)
    done = 3 * int(torch.load(path, weights_only=True)["global_step"])
    assert second.seen == whole.seen[done:]


def test_a_resumed_training_on_other_data_is_refused(store, tmp_path):
    path = tmp_path / "stopped.ckpt"
    trainer(max_epochs=1, callbacks=[StopAt(path, 2, "step")]).fit(Model(), module(store))
    with pytest.raises(InputError, match="batch_size = 2, this run has 3"):
        trainer(max_epochs=1).fit(Model(), module(store, batch_size=3), ckpt_path=path, weights_only=True)


class Curious(Model):
    """Asks for the loader again, before the first step and in the middle of an epoch, to count its batches."""

    def configure_optimizers(self):
        assert len(self.trainer.datamodule.train_dataloader()) == self.trainer.estimated_stepping_batches / 3
        return super().configure_optimizers()

    def on_train_batch_start(self, batch, index):
        if self.global_step == 3:
            len(self.trainer.datamodule.train_dataloader())


@pytest.mark.parametrize("step", [5, 15])
def test_asking_for_the_loader_again_changes_nothing(store, tmp_path, step):
    whole, first, second = Curious(), Curious(), Curious()
    trainer(max_epochs=3).fit(whole, module(store, jitter=True))
    path = tmp_path / "stopped.ckpt"
    trainer(max_epochs=3, callbacks=[StopAt(path, step, "step")]).fit(first, module(store, jitter=True))
    saved = torch.load(path, weights_only=True)
    state = next(some for name, some in saved.items() if name == "CorpusDataModule")
    assert (state["epoch"], state["position"]) == divmod(step, len(whole.seen) // 3)
    trainer(max_epochs=3).fit(second, module(store, jitter=True), ckpt_path=path, weights_only=True)
    assert second.seen == whole.seen[saved["global_step"] :]


@pytest.mark.parametrize("look", ["test", "validate"])
def test_a_training_after_a_look_at_a_checkpoint_begins_at_the_beginning(store, tmp_path, look):
    path = tmp_path / "stopped.ckpt"
    split = {"validation": 0.2, "test": 0.2}
    trainer(max_epochs=1, callbacks=[StopAt(path, 3, "step")]).fit(Model(), module(store, split=split))
    fresh, after, data = Model(), Model(), module(store, split=split)
    trainer(max_epochs=1).fit(fresh, module(store, split=split))
    Model.test_step = Model.validation_step
    getattr(trainer(), look)(Model(), data, ckpt_path=path, weights_only=True)
    assert data.state_dict() == {}  # nothing to go on with was taken from it
    trainer(max_epochs=1).fit(after, data)
    assert after.seen == fresh.seen
    again = Model()
    trainer(max_epochs=1).fit(again, data)
    assert again.seen == fresh.seen


def test_a_resumed_training_with_other_rows_is_refused(store, tmp_path):
    path = tmp_path / "stopped.ckpt"
    trainer(max_epochs=1, callbacks=[StopAt(path, 2, "step")]).fit(Model(), module(store, channels="canonical"))
    for other in ({}, {"channels": "canonical", "bads": "keep"}, {"channels": "canonical", "jitter": True}):
        with pytest.raises(InputError, match="the state was taken with other"):
            trainer(max_epochs=1).fit(Model(), module(store, **other), ckpt_path=path, weights_only=True)


def test_numbers_of_corpora_do_not_depend_on_the_list_or_the_part(store):
    b_only_validates = RecordingSplit(train=("b/sub-00",), validation=("b/sub-01",))
    sources = [
        CorpusSource(store=store.path, corpus="b", split=b_only_validates, validation_only=True),
        CorpusSource(store=store.path, corpus="a", split={"validation": 0.2}),
    ]
    orders = []
    for some in (sources, sources[::-1]):
        data = MultiCorpusDataModule(some, window_s=1.0, batch_size=2, seed=0)
        train, validation = list(data.train_dataloader()), list(data.val_dataloader())
        for batch in train + validation:
            assert batch.corpus_B.tolist() == [{"a": 0, "b": 1}[corpus] for corpus in batch.corpora]
        assert {corpus for batch in train for corpus in batch.corpora} == {"a"}
        assert {corpus for batch in validation for corpus in batch.corpora} == {"a", "b"}
        orders.append([batch.keys for batch in train])
    assert orders[0] == orders[1]


def test_parts_of_a_corpus_share_one_channel_order(tmp_path):
    store = Store.create(tmp_path / "store")
    put(store, "a", "sub-1", array=sensors(4))
    put(store, "a", "sub-2", array=sensors(5).select(sensors(5).names[1:]))
    split = RecordingSplit(train=("a/sub-1",), validation=("a/sub-2",))
    data = module(store, split=split, channels="canonical")
    train, validation = next(iter(data.train_dataloader())), next(iter(data.val_dataloader()))
    assert train.sensor_mask_BC.tolist() == [[True] * 4 + [False]] * 2
    assert validation.sensor_mask_BC.tolist() == [[False] + [True] * 4] * 2


def test_the_channel_order_is_that_of_the_store_whoever_trains(tmp_path):
    store = Store.create(tmp_path / "store")
    for number in range(4):
        put(store, "a", f"sub-{number}", array=sensors(4 + (number == 3)), samples=400)
    keys = store.keys()
    rest = {"validation": keys[1:2]}
    sources = [
        {"split": {"train": keys, "validation": []}},
        {"split": {"train": keys[:1], **rest}},
        {"split": {"train": [keys[0], keys[2], keys[3]], **rest}, "subsample": {"number": 1, "seed": 0}},
        {"split": {"train": keys[:1], **rest}, "validation_only": True},
        {"split": {"train": ["a/sub-0"]}, "selection": Selection(subjects=("sub-0",))},
    ]
    orders = []
    for options in sources:
        source = CorpusSource(store=store.path, corpus="a", **options)
        data = MultiCorpusDataModule([source], window_s=1.0, channels="canonical")
        orders.append(data.channel_orders["a"].sensors.names)
    assert {len(order) for order in orders} == {5} and len(set(orders)) == 1


def test_an_order_that_was_kept_is_taken(store):
    kept = module(store, channels="canonical").channel_orders
    fewer = {"a": canonical_order(store.recordings(corpus="a"), kept["a"].sensors.names[2:0:-1])}
    data = module(store, channels=fewer)
    assert data.channel_orders == fewer and module(store).channel_orders == {}
    batch, in_file = next(iter(data.train_dataloader())), next(iter(module(store).train_dataloader()))
    names = store.recordings()[0].sensors.names
    rows = [names.index(name) for name in names_in_the_file(store, fewer)]
    assert torch.equal(batch.signal_BCT, in_file.signal_BCT[:, rows])


def names_in_the_file(store: Store, orders) -> list[str]:
    """Names in the file of the sensors of an order."""
    array = store.recordings()[0].sensors
    return [array.names[sensor_labels(array).index(label)] for label in orders["a"].sensors.names]


def test_a_tokenizer_gives_batches_of_its_codes(tmp_path):
    for number in range(5):
        told(tmp_path / "s", [], subject=f"sub-{number}", n_sensors=4, seed=number, seconds=30)
    store, codec = Store(tmp_path / "s"), small_codec()
    options = {"window_s": 9.0, "batch_size": 2, "split": {"validation": 0.2}}
    with pytest.raises(InputError, match=r"have no such codes .*prepare --codes"):
        CorpusDataModule(store.path, "armeni", codes=codec, **options).setup()
    write_codes(store, None, codec, WindowGrid(window_s=9.0))
    codec.save_pretrained(tmp_path / "codec")

    class OfCodes(Model):
        def training_step(self, batch, index):
            self.check(batch)
            return (self.scale * batch.codes_BCTQ.float()).mean()

        def validation_step(self, batch, index):
            self.check(batch)

        def check(self, batch):
            wanted = codec.tokenize(batch.signal_BCT)  # normalised on the device
            assert (batch.codes_BCTQ == wanted).float().mean() >= 0.999
            self.seen.append(len(batch))

    for codes in (codec, str(tmp_path / "codec"), open_codes(store.recordings(), WindowGrid(window_s=9.0), codec)):
        model = OfCodes()
        trainer(max_epochs=1).fit(model, CorpusDataModule(store.path, "armeni", codes=codes, **options))
        assert sum(model.seen) == 15
    other = open_codes(store.recordings(), WindowGrid(window_s=9.0), codec)
    with pytest.raises(InputError, match=r"codes are those of .*block_s=3.* needs those of .*block_s=1.5"):
        CorpusDataModule(store.path, "armeni", codes=other, block_s=1.5, **options).setup()


def test_what_was_left_out_is_told(store):
    sources = [
        CorpusSource(store=store.path, corpus="b", validation_only=True),
        CorpusSource(store=store.path, corpus="a", split={"validation": 0.2}, subsample={"number": 2, "seed": 0}),
    ]
    data = MultiCorpusDataModule(sources, window_s=1.0)
    data.setup()
    assert data.notes == [
        "a: 2 of 4 recordings for training, by choice of the subsample.",
        "b: 2 recordings for validation alone; 0 are not used.",
    ]


def test_windows_that_fit_no_recording_are_told_by_part(store):
    split = {"train": ["a/sub-00"], "validation": ["a/sub-04"]}
    with pytest.raises(InputError, match="The validation windows: None of 1 recordings"):
        module(store, split=split, window_s=5.0).setup()


def test_setup_reads_the_store_once(store, monkeypatch):
    data = module(store)
    data.setup("fit")
    before = data.windows["train"]
    monkeypatch.setattr(CorpusSource, "parts", None)
    data.setup("validate")
    assert data.windows["train"] is before


def test_a_part_without_recordings_is_named(store):
    with pytest.raises(InputError, match="leave no recording for test"):
        module(store).test_dataloader()


def test_training_without_validation_works(store):
    everything = RecordingSplit(train=tuple(store.keys("a")))
    model = Model()
    trainer(max_epochs=1).fit(model, module(store, split=everything))
    assert model.seen and not model.validated


def test_a_corpus_twice_or_none_is_refused(store):
    source = CorpusSource(store=store.path, corpus="a")
    for sources in ([], [source, source]):
        with pytest.raises(InputError, match="each once"):
            MultiCorpusDataModule(sources)


DISTRIBUTED = """
import sys
from contextlib import suppress
import lightning.pytorch as pl
from tests.data.test_modules import Model, trainer
from megxl.data.modules import CorpusDataModule

if __name__ == "__main__":
    data = CorpusDataModule(sys.argv[1], "a", {"validation": 0.2}, window_s=1.0, batch_size=2, seed=3)
    model = Model()
    run = trainer(max_epochs=2, devices=2, strategy="ddp", use_distributed_sampler=len(sys.argv) > 3)
    run.fit(model, data)
    with open(f"{sys.argv[2]}/{run.global_rank}", "w") as file:
        file.write(repr(model.seen))
"""


def distributed(store: Store, folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    script = folder / "train.py"
    script.write_text(DISTRIBUTED)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, script, store.path, folder, *more]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)


@pytest.mark.slow
def test_two_processes_get_the_two_parts_of_one_order(store, tmp_path):
    run = distributed(store, tmp_path)
    assert run.returncode == 0, run.stderr
    ranks = [eval((tmp_path / str(rank)).read_text()) for rank in range(2)]
    alone = Model()
    trainer(max_epochs=2).fit(alone, module(store))
    for epoch in (0, 1):
        one, other = ([batch for batch in rank if batch[0] == epoch] for rank in ranks)
        assert len(one) == len(other)
        unbroken = [batch for batch in alone.seen if batch[0] == epoch]
        assert (one + other)[: len(unbroken)] == unbroken


@pytest.mark.slow
def test_a_trainer_that_would_mix_the_ranks_is_refused(store, tmp_path):
    run = distributed(store, tmp_path, "with Lightning's own sampler")
    assert run.returncode != 0 and "use_distributed_sampler=False" in run.stderr
