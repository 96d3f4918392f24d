"""`megxl reproduce`: the paper's table, run again beside what it told, and its curve of accuracy against hours."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from megxl.cli.training_command import take_overrides_anywhere

if TYPE_CHECKING:
    from megxl.training.words.config import WordsConfig
    from megxl.training.words.efficiency import Curve
    from megxl.training.words.foresight import Foresight
    from megxl.training.words.table1 import Cell

_TABLE = """\
Fine-tune the pre-trained model for each cell of the paper's Table 1 (a corpus, and 13 % or 100 % of its training
groups), three seeds each, one run after the other, and print the result beside the published number.

--dry-run begins nothing: it tells runs, hours, memory and disk, and what is missing with the way to get it. With
resume=auto a table that was interrupted goes on; finished runs are left out and come into the table."""

_TABLE_EXAMPLES = """\
examples:
  megxl reproduce table1 --dry-run --store /data/store --gpu h100
  megxl reproduce table1 --store /data/store model.criss_cross_checkpoint=meg-xl-med.ckpt resume=auto
  megxl reproduce table1 --cell armeni_13 --seed 42 data.root=/data/armeni model.criss_cross_checkpoint=meg-xl-med.ckpt
"""

_CURVE = """\
Draw accuracy against hours of training for the finished runs of one or more sweeps, with intervals and chance, and say
how many hours of the first method replace those of every other one. A CSV file of all runs comes beside the figure."""

_CURVE_EXAMPLES = """\
examples:
  megxl reproduce curve runs/tuned runs/conv --out hours.png      of sweeps over data.train_hours and seed
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl reproduce` to the commands."""
    parser = subparsers.add_parser("reproduce", description="Do the published experiments again.",
                                   epilog=_TABLE_EXAMPLES + _CURVE_EXAMPLES.partition("\n")[2],
                                   formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    table = kinds.add_parser("table1", help="word decoding by corpus and share of the data", description=_TABLE,
                             epilog=_TABLE_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    table.add_argument("--dry-run", action="store_true", help="tell what it takes and what is missing; run nothing")
    table.add_argument("--cell", metavar="NAME", action="append", help="only this one, as armeni_13; may be repeated")
    table.add_argument("--seed", metavar="N", type=int, action="append", help="only this one; may be repeated")
    table.add_argument("--store", metavar="DIR", help="store of prepared recordings (data.cache_dir)")
    table.add_argument("--gpu", metavar="NAME", default="h100", help="whose hours are told (default: h100)")
    table.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help="what differs from the cells' configurations")
    take_overrides_anywhere(table)
    curve = kinds.add_parser("curve", help="accuracy against hours, out of finished sweeps", description=_CURVE,
                             epilog=_CURVE_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    curve.add_argument("folders", metavar="FOLDER", type=Path, nargs="+", help="of a sweep, or of a run")
    curve.add_argument("--out", metavar="FILE", type=Path, required=True, help="figure (.png, .pdf, .svg)")
    curve.add_argument("--of", metavar="METHOD", help="whose hours are compared with the others' (default: the first)")


def run(args: argparse.Namespace) -> int:
    """Do what is asked for."""
    return _curve(args) if args.what == "curve" else _table1(args)


def _table1(args: argparse.Namespace) -> int:
    from megxl.cli.reproduce_tables import print_foreseen, print_table1
    from megxl.training.words.foresight import foresee
    from megxl.training.words.table1 import CELLS, SEEDS, cell_named

    cells = [cell_named(name) for name in args.cell] if args.cell else list(CELLS)
    seeds = args.seed or list(SEEDS)
    overrides = [*args.overrides, *([f"data.cache_dir='{args.store}'"] if args.store else [])]
    configs = {cell: _composed(cell, overrides, seeds[0]) for cell in cells}
    foreseen = {
        cell: foresee(config, gpu=args.gpu, corpus_hours=cell.hours, sensors=cell.sensors)
        for cell, config in configs.items()
    }
    if args.dry_run:
        print_foreseen(foreseen, seeds, args.gpu)
        return 0
    _refuse_missing(foreseen)
    _refuse_one_folder(configs)
    code = 0
    for cell, config in configs.items():
        _note(f"{cell.name}: {len(seeds)} seeds, in {config.run_dir}.")
        ended = _run_cell(cell, config, overrides, seeds)
        if ended > 2:  # stopped by a signal
            return ended
        code = max(code, ended)
    print_table1(configs)
    return code


def _composed(cell: "Cell", overrides: Sequence[str], seed: int) -> "WordsConfig":
    from megxl.training.configuring import compose
    from megxl.training.words.config import WordsConfig

    return compose(cell.config_name, [*overrides, f"seed={seed}"], schema=WordsConfig, given={"command": "finetune"})


def _run_cell(cell: "Cell", config: "WordsConfig", overrides: Sequence[str], seeds: Sequence[int]) -> int:
    """Train every seed, each in a folder of its own below the cell's."""
    from megxl.cli import main
    from megxl.training.sweep import Sweep

    if len(seeds) > 1:
        return Sweep.of(cell.config_name, [*overrides, f"seed={','.join(map(str, seeds))}"], "finetune").run(_note)
    own = [text for text in overrides if not text.lstrip("+").startswith("run=")]
    place = f"run='{config.run_dir / f'seed-{seeds[0]}'}'"
    return main(["finetune", f"--config-name={cell.config_name}", *own, f"seed={seeds[0]}", place])


def _refuse_missing(foreseen: "Mapping[Cell, Foresight]") -> None:
    from megxl.errors import InputError

    for cell, one in foreseen.items():
        if one.missing:
            raise InputError(f"{cell.name}: {one.missing[0]} --dry-run tells all that is missing.")


def _refuse_one_folder(configs: "Mapping[Cell, WordsConfig]") -> None:
    from megxl.errors import InputError

    folders = [config.run_dir for config in configs.values()]
    if len(set(folders)) < len(folders):
        raise InputError(
            f"run: {folders[0]} would be the folder of {len(folders)} cells; name the folder of all of them "
            "(logging.save_dir=PATH), or one --cell."
        )


def _curve(args: argparse.Namespace) -> int:
    from megxl.cli.reproduce_tables import print_efficiency
    from megxl.reporting.efficiency_figures import write_efficiency

    drawn = write_efficiency(args.folders, args.out)
    print_efficiency(drawn, list(_reached(drawn.curves, args.of)))
    return 0


def _reached(curves: "Sequence[Curve]", method: str | None) -> Iterator[str]:
    from megxl.errors import InputError
    from megxl.training.words.efficiency import reach

    known = {curve.method: curve for curve in curves}
    if method is not None and method not in known:
        raise InputError(f"--of {method!r}: no run is of this method; there are: {', '.join(map(repr, known))}.")
    first = known[method] if method is not None else curves[0]
    for other in curves:
        if other is first:
            continue
        try:
            yield reach(first, other).sentence
        except InputError as error:
            yield str(error)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
