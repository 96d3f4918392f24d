"""What the commands that train share: how they are called, sweeps, signals, the configuration that --cfg prints."""

import argparse
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from megxl.training.runs import Run


def add_command(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, description: str, examples: str
) -> None:
    """Add a command that takes a configuration and overrides."""
    parser = subparsers.add_parser(
        name, description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--config-name", "-cn", metavar="NAME",
                       help=f"a configuration that comes with megxl (default: {name})")  # fmt: skip
    which.add_argument("--config", metavar="FILE.yaml", type=Path, help="a configuration of your own")
    parser.add_argument("--cfg", "-c", action="store_true", help="print the configuration and do nothing")
    parser.add_argument("--multirun", "-m", action="store_true",
                        help="train with every combination of values given as key=a,b,c, in turn")  # fmt: skip
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help="what differs from the configuration")
    parser.set_defaults(show_help=parser.print_help)
    take_overrides_anywhere(parser)


def run_command(args: argparse.Namespace, train: Callable[..., "Run"], say_result: Callable[["Run"], None]) -> int:
    """Train, and say what came out; or print the configuration, or the help where nothing is asked.

    Parameters
    ----------
    args : Namespace
        Of a command that `add_command` added.
    train : callable
        `train(config, watch=..., tell=...)` returns the run.
    say_result : callable
        Prints what a finished run holds.
    """
    if not (args.overrides or args.config_name or args.config or args.cfg or args.multirun):
        args.show_help()
        return 0
    from megxl.training.configuring import compose
    from megxl.training.sweep import SCHEMAS, given_by

    schema, given = SCHEMAS[args.command], given_by(args.command)
    name = args.config or args.config_name or _of_the_run(args.overrides, schema.groups) or args.command
    if args.multirun:
        return _sweep(name, args.overrides, args.command)
    config = compose(name, args.overrides, complete=not args.cfg, schema=schema, given=given)
    if args.cfg:
        _print_config(config.to_dict())
        return 0
    from megxl.cli.pretrain_progress import PretrainLines
    from megxl.training.environment import is_first_process
    from megxl.training.stopping import Stopped

    try:
        trained = train(config, watch=PretrainLines(), tell=_note)
    except Stopped as stopped:
        if is_first_process():
            print(f"\nmegxl: {stopped.sentence}", file=sys.stderr)
        return 128 + stopped.number
    if is_first_process():
        say_result(trained)
    return 0


def _of_the_run(overrides: Sequence[str], groups: Sequence[str]) -> Path | None:
    """Configuration of the run that is to go on, where the command names nothing else to build on."""
    from megxl.training.configuring import parse_override

    given = {one.key_or_group: one.value() for one in map(parse_override, overrides) if not one.is_sweep_override()}
    if given.get("resume") not in (True, "auto") or "run" not in given or given.keys() & set(groups):
        return None
    kept = Path(str(given["run"])).expanduser() / "config.yaml"
    return kept if kept.is_file() else None


def _sweep(name: str | Path, overrides: Sequence[str], command: str) -> int:
    from megxl.cli.tables import print_table
    from megxl.training.sweep import TABLE, Sweep

    sweep = Sweep.of(name, overrides, command)
    for note in sweep.notes:
        _note(note)
    code = sweep.run(tell=_note)
    rows = [(row["folder"], row[sweep.measure], row["state"]) for row in sweep.rows()]
    print_table(
        f"{sweep.folder / TABLE}: {len(rows)} runs and their {sweep.measure.replace('_', ' ')}",
        [(folder, f"{result:.4f} ({state})" if result is not None else state) for folder, result, state in rows],
    )
    return code


def _print_config(values: dict[str, Any]) -> None:
    from yaml import safe_dump

    print(safe_dump(values, sort_keys=False, allow_unicode=True), end="")


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def take_overrides_anywhere(parser: argparse.ArgumentParser) -> None:
    """Let key=value stand before and between options, as published commands have them; `--cfg job` is Hydra's."""
    parse = parser.parse_known_args

    def parse_sorted(given: Sequence[str] | None = None, namespace: Any = None) -> Any:
        words = list(given or ())
        words = [word for before, word in pairwise(["", *words])
                 if (before, word) not in {("--cfg", "job"), ("-c", "job")}]  # fmt: skip
        return parse(sorted(words, key=lambda word: "=" in word and not word.startswith("-")), namespace)

    parser.parse_known_args = parse_sorted  # type: ignore[method-assign]
