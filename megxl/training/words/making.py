"""What a run trains and measures, made of its configuration and its data."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from megxl.checkpoints.checkpoint import is_untrained
from megxl.data.sources import Part
from megxl.data.vocabulary import Vocabulary
from megxl.decoding.building import DecoderSpec, build_decoder
from megxl.decoding.codec_features import CodecBackbone
from megxl.decoding.decoder import Backbone, Decoder, MEGXLBackbone
from megxl.decoding.decoder_files import SavedDecoder
from megxl.model.megxl import MEGXL
from megxl.training.words.checks import Checked, refuse_mixed
from megxl.training.words.chosen_metrics import check_evaluation, metric_named
from megxl.training.words.config import WordsConfig
from megxl.training.words.data import WordsData
from megxl.training.words.judging import Judge
from megxl.training.words.module import Parts
from megxl.training.words.seen import refuse_seen, tokenizer_note
from megxl.training.words.targets import EncodingTold, WordTargets, width_note


def frozen(config: WordsConfig) -> bool:
    """Whether the backbone stays as it is."""
    return config.command == "probe" or config.control == "random_backbone" or config.model.backbone == "codec"


def frozen_backbone(config: WordsConfig, checked: Checked) -> Backbone:
    """Backbone that gives the features of words and is not trained."""
    window_s = config.data.subsegment_duration
    if checked.model is None:
        assert checked.tokenizer is not None
        return CodecBackbone(checked.tokenizer, window_s)
    return MEGXLBackbone(checked.model, window_s, trains=False)


@dataclass
class Making:
    """Makes the parts of a run, each once, from data that have been set up.

    Parameters
    ----------
    config : WordsConfig
    checked : Checked
    data : WordsData
    name : str
        Of the run.
    tell : callable
        Is told what a reader of the results should know.
    say : callable
        Is told how long work goes.
    """

    config: WordsConfig
    checked: Checked
    data: WordsData
    name: str
    tell: Callable[[str], None]
    say: Callable[[str], None]

    def parts(self) -> Parts:
        """Make targets and a decoder; its random weights are those of the seed.

        Raises
        ------
        InputError
            What only the data tell: metrics that no answer could miss, sensors that do not fit the head, a test that
            pre-training saw; words that the encoder does not know.
        """
        self.refuse()
        spec = self.spec
        # not before: where vectors are not cached, a text model that is made to compute them draws from the generator
        torch.manual_seed(self.config.seed)
        decoder = build_decoder(
            spec,
            model=self.checked.model,
            tokenizer=self.checked.tokenizer,
            trains=not frozen(self.config),
        )
        return Parts(decoder=decoder, targets=self.targets, subjects=self.data.subjects)

    def refuse(self) -> None:
        """Refuse what only the data tell."""
        check_evaluation(self.config.evaluation, len(self.data.vocabulary))
        refuse_mixed(self.data.groups.recordings, self.config)
        model, tokenizer = self.checked.model, self.checked.tokenizer
        if tokenizer is not None and (note := tokenizer_note(tokenizer.provenance, self.keys("test"))):
            self.tell(note)
        if model is None or self.config.control == "random_backbone" or self.config.model.train_from_scratch:
            return
        if note := refuse_seen(model.provenance, self.keys("test"), self.config.evaluation.allow_seen):
            self.tell(note)

    @cached_property
    def targets(self) -> WordTargets:
        """Vectors of all words."""
        trainer = self.data.trainer
        device = "cpu" if trainer is None else trainer.strategy.root_device
        groups = [self.data.groups.groups[i].texts for part in ("train", "validation", "test") for i in self._in(part)]
        targets = WordTargets.make(
            self.data.texts, groups, self.config.t5, device=device, progress=EncodingTold(self.say)
        )
        for note in filter(None, [width_note(targets.width, self.config), *targets.notes]):
            self.tell(note)
        return targets

    @cached_property
    def spec(self) -> DecoderSpec:
        """What the decoder is made of."""
        section, data = self.config.model, self.data
        widths = {"convolution": section.convolution_width}
        if self.checked.model is not None:
            widths["megxl"] = self.checked.model.config.width
        if self.checked.tokenizer is not None:
            widths["codec"] = self.checked.tokenizer.config.width
        trained = sorted({data.subjects[key] for key in self.keys("train")})
        return DecoderSpec(
            backbone=section.backbone,
            head=self.config.head,
            sensors=data.n_sensors,
            width=widths[section.backbone],
            target_width=self.targets.width,
            hidden=section.word_mlp.hidden_dim,
            dropout=section.word_mlp.dropout,
            sees=section.sees,
            subjects=tuple(trained) if section.subject_embedding else None,
            window_s=self.config.data.subsegment_duration,
            compat="default" if self.checked.model is None else self.checked.model.compat,
        )

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How often each word of the vocabulary occurs in the training part."""
        counted = Counter(text for index in self._in("train") for text in self.data.groups.groups[index].texts)
        return tuple(counted[word] for word in self.vocabulary.words)

    @property
    def vocabulary(self) -> Vocabulary:
        """Words to choose from."""
        return self.data.vocabulary

    @cached_property
    def candidates_VE(self) -> torch.Tensor:
        """Their vectors."""
        before = len(self.targets.notes)
        train = [self.data.groups.groups[index].texts for index in self._in("train")]
        vectors_VE = self.targets.candidates(self.vocabulary.words, train)
        for note in self.targets.notes[before:]:
            self.tell(note)
        return vectors_VE

    def judge(self, part: Part) -> Judge:
        """What a part is measured by."""
        trains = self.config.control != "frequency_only"
        return Judge(
            part=part,
            occurrences=self.data.occurrences(part),
            vocabulary=self.vocabulary.words,
            counts=self.counts,
            candidates_VE=self.candidates_VE if trains else None,
            about={key: value for key, value in self.about().items() if key != "notes"},
        )

    def saved(self, decoder: Decoder, chosen: Mapping[str, Any]) -> SavedDecoder:
        """Decoder with all that it takes to use it.

        Parameters
        ----------
        decoder : Decoder
        chosen : mapping
            Which epoch it is of, and why.
        """
        backbone = decoder.backbone
        if isinstance(backbone, MEGXLBackbone) and backbone.trains:
            self._stamp(backbone.model, chosen)
        first = next(one for one in self.data.groups.recordings if one.key == self.keys("train")[0])
        return SavedDecoder(
            decoder=decoder,
            spec=self.spec,
            vocabulary=self.vocabulary.words,
            counts=self.counts,
            targets_VE=self.candidates_VE,
            channels=next(iter(self.data.channels.values()), None),
            grouping=self.data.groups.grouping,
            sfreq_hz=self.config.data.target_sfreq,
            preparation=dict(first.preparation),
            about={**self.about(), "chosen": dict(chosen), "recordings": self.keys("train")},
        )

    def about(self) -> dict[str, Any]:
        """What a reader of the results should know, plain values."""
        config, protocol = self.config, self.data.protocol
        about = {
            "run": self.name,
            "command": config.command,
            "corpus": self.data.groups.recordings[0].corpus,
            "protocol": protocol.name,
            "vocabulary_from": protocol.vocabulary_from,
            "leaks": list(protocol.leaks),
            "control": config.control,
            "backbone": config.model.backbone,
            "from_scratch": config.model.train_from_scratch,
            "frozen": frozen(config),
            "head": config.head,
            "hours": dict(self.data.hours),
            "groups": {part: len(self._in(part)) for part in ("train", "validation", "test")},
            "seed": config.seed,
            "split_seed": config.data.split_seed,
            "bads": config.data.bads,
            "selection_metric": metric_named(config.evaluation, "selection", len(self.vocabulary)).name,
            "reported_metric": metric_named(config.evaluation, "reported", len(self.vocabulary)).name,
        }
        if config.control == "frequency_only":
            return about
        identity = self.targets.identity
        return about | {"encoder": {"model": identity.model, "revision": identity.revision, "layer": identity.layer,
                                    "pooling": identity.pooling, "context": config.t5.context}}  # fmt: skip

    def keys(self, part: Part) -> list[str]:
        """Recordings of a part, in their order."""
        groups = self.data.groups
        return list(dict.fromkeys(groups.recordings[groups.groups[index].recording].key for index in self._in(part)))

    def _in(self, part: Part) -> tuple[int, ...]:
        return self.data.order(part)

    @cached_property
    def _started(self) -> dict[str, Any]:
        """Where the weights came from with which the training began: looked at before any best epoch is stamped."""
        assert self.checked.model is not None
        return dict(self.checked.model.provenance)

    def _licences(self) -> list[str]:
        """Licences of the data of the decoder."""
        return sorted({one.licence for one in self.data.groups.recordings if one.licence is not None})

    def _stamp(self, model: MEGXL, chosen: Mapping[str, Any]) -> None:
        """Say where fine-tuned weights come from, so that nobody evaluates them unknowingly on what they have seen."""
        started = self._started
        # steps that are not known, of weights that are trained, do not become few by ours
        known = started.get("steps") is not None or is_untrained(started)
        steps = chosen["step"] + (started.get("steps") or 0) if known else None
        corpus = self.data.groups.recordings[0].corpus
        parts = {part: self.keys(part) for part in ("train", "validation")}
        model.provenance = {
            "weights": "loaded",
            "decoder_of": self.name,
            **({} if self.config.control == "none" else {"control": self.config.control}),
            "epoch": chosen["epoch"],
            "steps": steps,
            "seed": self.config.seed,
            "started_from": started,
            "recordings": {corpus: parts},
            "data": {corpus: {"hours": dict(self.data.hours), "licences": self._licences()}},
            "validation": {
                "task": "word-decoding",
                "step": chosen["step"],
                "metrics": {chosen["metric"]: {"model": chosen["value"]}},
            },
        }
        kept = {name: value for name, value in model.recipe.items() if name == "rope_length"}
        model.recipe = kept | {"epoch": chosen["epoch"]} | ({} if steps is None else {"global_step": steps})
