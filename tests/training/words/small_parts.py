"""Batches of a few words of random codes, and a small decoder with targets of 8 numbers: for tests of steps."""

import torch
from torch.utils.data import DataLoader

from megxl.data.batch import Batch, collate
from megxl.data.dataset import Item
from megxl.decoding.building import DecoderSpec, build_decoder
from megxl.decoding.targets import EncoderIdentity
from megxl.model.megxl import MEGXL
from megxl.sizes import MEGXLConfig
from megxl.training.words.config import WordsConfig
from megxl.training.words.module import Parts, WordsModule
from megxl.training.words.targets import WordTargets
from tests.data.small import sensors
from tests.training.small_run import CODEC, small_codec

WORDS = ("the", "of", "door", "house", "river")
SENSORS, SAMPLES, WIDTH, TARGET = 4, 450, 16, 8
IDENTITY = EncoderIdentity(model="told", revision="1", layer=0, pooling="mean")


def targets() -> WordTargets:
    vectors_VE = torch.randn(len(WORDS), TARGET, generator=torch.Generator().manual_seed(7))
    return WordTargets(dict(zip(WORDS, vectors_VE, strict=True)), None, IDENTITY)


def item(number: int, *words: str, repeated: bool = False) -> Item:
    """Give an item of up to three words, one window of 3 s behind the other."""
    codes_CTQ = torch.randint(
        CODEC.codes, (SENSORS, -(-SAMPLES // 12), CODEC.levels), generator=torch.Generator().manual_seed(number)
    )
    return Item(
        signal_CT=None,
        codes_CTQ=codes_CTQ.to(torch.uint8),
        sensors=sensors(SENSORS),
        sfreq_hz=50.0,
        corpus="armeni",
        key=f"armeni/sub-{number % 2}",
        start_s=10.0 * number,
        stop_s=10.0 * number + 9,
        seed=number,
        repeated=repeated,
        words=words,
        word_starts_W=150 * torch.arange(len(words)),
    )


def batch(*items: Item) -> Batch:
    return collate(items, {"armeni": 0})


def loader(batches: list[Batch]) -> DataLoader:
    return DataLoader(batches, batch_size=None)  # pyright: ignore[reportArgumentType]


def config(**changes) -> WordsConfig:
    content = {
        "data": {"dataset_type": "armeni"},
        "model": {"word_mlp": {"hidden_dim": 12, "dropout": 0.0}},
        "training": {"criss_cross_lr": 1e-2, "word_mlp_lr": 1e-2},
        "device": "cpu",
    }
    for name, value in changes.items():
        *parents, key = name.split("__")
        place = content
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = value
    return WordsConfig.from_dict(content)


def parts(settings: WordsConfig, dropout: float = 0.0) -> Parts:
    """Make a decoder of random weights, always the same."""
    torch.manual_seed(0)
    sizes = MEGXLConfig(
        width=WIDTH, layers=1, heads=2, fourier_width=8, masked_blocks=1, dropout=dropout,
        levels=CODEC.levels, codes=CODEC.codes, code_width=CODEC.code_width,
        samples_per_token=CODEC.samples_per_token,
    )  # fmt: skip
    spec = DecoderSpec(
        head=settings.head, sensors=SENSORS, width=WIDTH, target_width=TARGET, hidden=12,
        dropout=settings.model.word_mlp.dropout,
    )  # fmt: skip
    codec = small_codec()
    torch.manual_seed(0)
    decoder = build_decoder(spec, model=MEGXL(sizes, codec), trains=settings.command == "finetune")
    return Parts(decoder=decoder, targets=targets(), subjects={f"armeni/sub-{n}": f"armeni/{n}" for n in (0, 1)})


def small_module(settings: WordsConfig | None = None, *, dropout: float = 0.0) -> WordsModule:
    settings = settings or config()
    return WordsModule(settings, lambda: parts(settings, dropout))
