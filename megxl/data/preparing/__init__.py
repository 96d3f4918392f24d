"""Recordings of a corpus into the store, in parallel: `prepare_corpus`."""

from megxl.data.preparing.plan import Plan, Step
from megxl.data.preparing.request import Request
from megxl.data.preparing.result import Result
from megxl.data.preparing.running import Watcher, plan_corpus, prepare_corpus
from megxl.data.preparing.summary import Holdings, take_stock
from megxl.data.preparing.task import Job, Outcome

__all__ = [
    "Holdings",
    "Job",
    "Outcome",
    "Plan",
    "Request",
    "Result",
    "Step",
    "Watcher",
    "plan_corpus",
    "prepare_corpus",
    "take_stock",
]
