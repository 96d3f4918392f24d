"""Predictions of a part, measured in every retrieval set and beside all that they are to be compared with."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from megxl.decoding.metrics import Metric, breakdown
from megxl.decoding.permutation import permutation_test
from megxl.decoding.predictions import Predictions
from megxl.decoding.ranks import rank_summary
from megxl.decoding.retrieval import Places, find_places, occurs
from megxl.decoding.statistics import Interval, frequency_baseline, interval
from megxl.training.words.chosen_metrics import all_metrics, metric_named, sets_asked

if TYPE_CHECKING:
    from megxl.training.words.sections import EvaluationSection


class Measured:
    """Predictions with the places of their words in every retrieval set; gathers notes."""

    def __init__(self, predictions: Predictions, evaluation: "EvaluationSection") -> None:
        self.predictions, self.evaluation = predictions, evaluation
        self.notes: list[str] = []
        vocabulary = len(predictions.vocabulary)
        self.reported = metric_named(evaluation, "reported", vocabulary)
        larger = [size for size in evaluation.retrieval_set_sizes if size >= vocabulary]
        if larger:
            self.notes.append(f"The vocabulary has {vocabulary} words: retrieval is among all of them in place of "
                              f"{' and '.join(map(str, larger))}.")  # fmt: skip
        self._asked = sets_asked(evaluation, vocabulary)
        self.places = self._find([*self._asked, None])
        self.metrics = [metric for metric in all_metrics(evaluation, vocabulary) if metric.among in self.places]
        self._note_constant_answers()
        if predictions.counts is None:
            self.notes.append("The predictions do not tell how often words occur in the training part: there is no "
                              "baseline of frequent words.")  # fmt: skip
        self._exchangeable = self._can_exchange()

    def _find(self, sets: Sequence[int | None]) -> dict[int | None, Places]:
        found: dict[int | None, Places] = {}
        for among in dict.fromkeys(sets):
            if among is not None and not occurs(self.predictions, among):
                self.notes.append(f"No word of this part is among the {among} most frequent: nothing is said of these.")
                continue
            places = found[among] = find_places(self.predictions, among)
            self.notes += [f"Among {len(places.candidates)}: {note}" for note in places.notes]
        return found

    def _note_constant_answers(self) -> None:
        """Chance is that of rankings by lot: where candidates are absent, answers that never change may score more."""
        places = self.places.get(self.reported.among)
        if places is None or not self.reported.balanced or not places.absent:
            return
        most = min(1.0, self.reported.k / (len(places.candidates) - len(places.absent)))
        self.notes.append(
            f"An answer that is always the same can reach {most:.2%} in {self.reported.name}, for absent words do not "
            f"count (chance: {self.reported.chance(places):.2%}); go by the permutation test, too."
        )

    def _can_exchange(self) -> bool:
        columns = self.predictions.occurrences
        owners = dict(zip(columns.groups, columns.recordings, strict=True))
        possible = max(Counter(owners.values()).values()) > 1
        if not possible:
            self.notes.append("No recording has two groups whose words could be exchanged: there is no permutation "
                              "test.")  # fmt: skip
        return possible and self.evaluation.permutations > 0

    def metric(self, metric: Metric) -> dict[str, Any]:
        """Value with all that it is compared with."""
        places, bounds = self.places[metric.among], self._interval(self.predictions, metric)
        counts = self.predictions.counts
        return {
            "value": metric.of(places),
            "low": bounds and bounds.low,
            "high": bounds and bounds.high,
            "chance": metric.chance(places),
            "frequency": None if counts is None else frequency_baseline(places, metric, counts),
            "p": self._p(metric),
            "k": metric.k,
            "candidates": len(places.candidates),
            "balanced": metric.balanced,
        }

    def _p(self, metric: Metric) -> float | None:
        # among all words of a language the table of scores would not fit into memory
        if not self._exchangeable or metric.among not in self._asked:
            return None
        return permutation_test(
            self.predictions,
            metric,
            within=self.predictions.occurrences.recordings,
            permutations=self.evaluation.permutations,
        ).p

    def _interval(self, predictions: Predictions, metric: Metric) -> Interval | None:
        whole = predictions is self.predictions
        places = self.places[metric.among] if whole else find_places(predictions, metric.among)
        return interval(predictions, places, metric, resamples=self.evaluation.resamples)

    def interval_facts(self) -> dict[str, Any] | None:
        """How intervals were made; None: there are none."""
        bounds = self._interval(self.predictions, self.metrics[0])
        if bounds is None:
            self.notes.append("There is one group alone: no interval can be given.")
            return None
        self.notes += bounds.notes
        return {name: getattr(bounds, name) for name in ("level", "over", "n_subjects", "n_groups")}

    def set_facts(self, among: int | None) -> dict[str, Any]:
        """Of a retrieval set: its size, how many words of the part are in it, and their ranks."""
        places = self.places[among]
        return {
            "candidates": len(places.candidates),
            "whole_vocabulary": among is None,
            "words": len(places),
            "skipped": places.skipped,
            "absent": len(places.absent),
            **rank_summary(self.predictions, places, resamples=self.evaluation.resamples),
        }

    def by_word(self) -> dict[str, dict[str, Any]]:
        """Of each word of the vocabulary that occurs, the most frequent first."""
        names = self.predictions.occurrences.words
        values = self._values(names, [metric for metric in self.metrics if not metric.balanced])
        counts, times = self.predictions.counts, Counter(names)
        return {
            word.lower(): {
                "words": times[word.lower()],
                "trained": None if counts is None else counts[number],
                "values": values[word.lower()],
            }
            for number, word in enumerate(self.predictions.vocabulary)
            if word.lower() in values
        }

    def by(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Of each subject or session; the interval is of the reported metric, over its own groups."""
        values, times, told = self._values(names, self.metrics), Counter(names), {}
        for name in sorted(values):
            bounds = None
            if self.reported.name in values[name]:
                own = self.predictions.part([number for number, some in enumerate(names) if some == name])
                bounds = self._interval(own, self.reported)
            told[name] = {"words": times[name], "low": bounds and bounds.low, "high": bounds and bounds.high,
                          "values": values[name]}  # fmt: skip
        return told

    def _values(self, names: Sequence[str], metrics: Sequence[Metric]) -> dict[str, dict[str, float]]:
        values: dict[str, dict[str, float]] = {}
        for metric in metrics:
            for name, (value, _) in breakdown(self.places[metric.among], metric, names).items():
                values.setdefault(name, {})[metric.name] = value
        return values
