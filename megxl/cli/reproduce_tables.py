"""What `megxl reproduce` tells: what its runs take, what came out beside the published numbers, points of curves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from megxl.cli.tables import print_columns, print_table
from megxl.errors import InputError
from megxl.reporting.efficiency_figures import Efficiency
from megxl.training.words.config import WordsConfig
from megxl.training.words.efficiency import make_curves
from megxl.training.words.finished import read_rows
from megxl.training.words.foresight import Foresight
from megxl.training.words.plan import ASSUMED_MFU
from megxl.training.words.table1 import DIFFERENCES, METRIC, RELIABILITY, Cell


def print_foreseen(foreseen: Mapping[Cell, Foresight], seeds: Sequence[int], gpu: str) -> None:
    """Print a line a cell with what its runs take, and what is missing for them."""
    lines = [["cell", "seeds", "groups (train, val, test)", "h a run", "h", "GPU memory", "disk of runs", "of codes"]]
    total_h = total_bytes = 0.0
    codes: dict[str, int] = {}
    for cell, one in foreseen.items():
        amount, about = one.amount, "" if one.recordings else "~ "
        own = len(seeds) * sum(count for part, count in one.disk.items() if part != "codes")
        codes[cell.corpus] = max(codes.get(cell.corpus, 0), one.disk["codes"])
        total_h, total_bytes = total_h + len(seeds) * one.hours, total_bytes + own
        groups = f"{about}{amount.train}, {amount.validation}, {amount.test}"
        time = [f"{one.hours:.1f}", f"{len(seeds) * one.hours:.1f}"]
        room = [_gigabytes(count) for count in (sum(one.memory.values()), own, one.disk["codes"])]
        lines.append([cell.name, " ".join(map(str, seeds)), groups, *time, *room])
    runs = len(seeds) * len(foreseen)
    lines.append([f"{runs} runs", "", "", "", f"{total_h:.1f}", "", _gigabytes(total_bytes),
                  _gigabytes(sum(codes.values()))])  # fmt: skip
    print(f"Table 1, balanced top-10 of 50: at most so much on one {gpu.upper()}")
    print_columns(lines)
    print(f"Hours: all {next(iter(foreseen.values())).amount.epochs} epochs, at an assumed {ASSUMED_MFU:.0%} of the "
          "GPU's bfloat16 peak; reading and preparing recordings is not in them.")  # fmt: skip
    if any(not one.recordings for one in foreseen.values()):
        print("~: reckoned from the hours of the corpus, of which the store does not hold all.")
    _print_list("missing", _by_cell({cell: one.missing for cell, one in foreseen.items()}))
    _print_list("notes", _by_cell({cell: one.notes for cell, one in foreseen.items()}))


def print_table1(configs: Mapping[Cell, WordsConfig]) -> None:
    """Print the results of the finished runs of cells beside the published ones, and what differs."""
    lines, notes = [["cell", "here (95 % over seeds)", "runs", "published (second-hand)"]], []
    for cell, config in configs.items():
        try:
            rows, told = read_rows([config.run_dir])
        except InputError as error:
            lines.append([cell.name, "-", "0", f"{cell.published:.1f}"])
            notes.append(f"{cell.name}: {error}")
            continue
        notes += [f"{cell.name}: {note}" for note in told]
        for curve in make_curves(rows):
            for point in curve.points:
                bounds = f"{100 * point.mean:.1f} [{100 * point.low:.1f}, {100 * point.high:.1f}]"
                lines.append([cell.name, bounds, f"{len(point.results)}", f"{cell.published:.1f}"])
        notes.append(f"{cell.name}: {rows[0].metric}; {rows[0].task}.")
    print(f"Table 1, in percent: {METRIC}")
    print_columns(lines)
    print(RELIABILITY)
    _print_list("what differs from the published runs", DIFFERENCES)
    _print_list("notes", notes)


def print_efficiency(drawn: Efficiency, reached: Sequence[str]) -> None:
    """Print a line a point of every curve, sentences on hours, and where the figure lies."""
    lines = [["method", "hours", f"{drawn.rows[0].metric} (95 %)", "seeds"]]
    for curve in drawn.curves:
        for point in curve.points:
            bounds = f"{point.mean:.2%} [{point.low:.2%}, {point.high:.2%}]"
            lines.append([curve.method, f"{point.hours:.3g}", bounds, f"{len(point.results)}"])
    print_columns(lines)
    _print_list("hours of one method in place of another's", reached)
    _print_list("notes", drawn.notes)
    print_table(drawn.rows[0].task, [("figure", drawn.figure), ("table", drawn.table)])


def _by_cell(told: Mapping[Cell, Sequence[str]]) -> Iterator[str]:
    """Sentences, each once, with the cells that it is about unless these are all."""
    for sentence in dict.fromkeys(one for sentences in told.values() for one in sentences):
        names = [cell.name for cell, sentences in told.items() if sentence in sentences]
        yield sentence if len(names) == len(told) else f"{', '.join(names)}: {sentence}"


def _print_list(title: str, sentences: Iterable[str]) -> None:
    told = list(sentences)
    if told:
        print(f"{title}:")
        for sentence in told:
            print(f"  - {sentence}")


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
