"""What may stand on the command line of megxl, read from its own parsers and configurations: `all_commands`."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

FILES = None
"""Stands for the values of an option that names a file or folder, or anything else that a shell cannot know."""
NOTHING = ()
"""Stands for the values of an option that is a number: no file is offered."""
_TRUTH = ("true", "false")
_VALUES = {"resume": (*_TRUTH, "auto"), "overwrite": _TRUTH}


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option by its names."""

    names: tuple[str, ...]
    purpose: str
    takes_value: bool
    values: tuple[str, ...] | None = FILES
    """What may follow it; `FILES`, or `NOTHING` to offer."""


@dataclass(frozen=True, kw_only=True)
class CommandFacts:
    """A command: its options, what may follow it directly, and the keys of its configuration."""

    name: str
    purpose: str
    options: tuple[Option, ...]
    first: tuple[str, ...] = ()
    """Words that may follow the command at once: corpora, commands of its own."""
    keys: tuple[str, ...] = ()
    """Dotted, without the equals sign."""
    chosen: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Values of keys that have few: groups of configurations, words."""

    @property
    def sections(self) -> list[str]:
        """Beginnings of keys: ``training.``, and ``run=``."""
        tops = (f"{key.partition('.')[0]}." if "." in key else f"{key}=" for key in (*self.chosen, *self.keys))
        return list(dict.fromkeys(tops))


def all_commands(keys: bool = True) -> list[CommandFacts]:
    """Read all commands.

    Parameters
    ----------
    keys : bool
        With the keys and names of configurations, which needs what training needs.

    Raises
    ------
    InputError
        Keys are asked for, and what training needs is not installed.
    """
    from megxl.cli import COMMANDS, _parser

    configured = _configured() if keys else {}
    commands = []
    for name, purpose in COMMANDS.items():
        parser = _children(_parser(name))[name]
        said = configured.get(name, {})
        values = {"--config-name": said.pop("configs", FILES), "--corpus": _corpora(name)}
        options = tuple(_options(parser, values))
        commands.append(CommandFacts(name=name, purpose=purpose, options=options, first=_first(name, parser), **said))
    return commands


def _children(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Parsers of a parser's own commands."""
    for action in parser._actions:  # argparse has no other way to look into a parser
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _options(parser: argparse.ArgumentParser, known: Mapping[str, tuple[str, ...] | None]) -> Iterator[Option]:
    """Options of a command and of its own commands, each once; of some the values are known elsewhere."""
    seen: set[str] = set()
    for one in (parser, *_children(parser).values()):
        for action in one._actions:
            if not action.option_strings or not seen.isdisjoint(action.option_strings):
                continue
            seen.update(action.option_strings)
            yield Option(
                names=tuple(action.option_strings),
                purpose=(action.help or "").split(" (default")[0].replace("%%", "%"),
                takes_value=action.nargs != 0,
                values=known.get(action.option_strings[0], _values(action)),
            )


def _values(action: argparse.Action) -> tuple[str, ...] | None:
    if action.choices is not None:
        return tuple(map(str, action.choices))
    return NOTHING if action.type in (int, float) else FILES


def _first(name: str, parser: argparse.ArgumentParser) -> tuple[str, ...]:
    """Words that may follow a command at once."""
    if children := _children(parser):
        return tuple(children)
    positional = [action for action in parser._actions if not action.option_strings]
    if positional and positional[0].choices is not None:
        return tuple(map(str, positional[0].choices))
    return _corpora(name) if positional and positional[0].metavar == "CORPUS" else ()


def _corpora(command: str) -> tuple[str, ...]:
    """Names of the corpora that a command knows."""
    if command == "fetch":
        from megxl.corpora.fetching.origins import ORIGINS

        return tuple(ORIGINS)
    if command == "simulate":
        from megxl.corpora.simulation.formats import FORMATS

        return tuple(FORMATS)
    from megxl.corpora.corpus import CORPORA

    return tuple(CORPORA)


def _configured() -> dict[str, dict[str, Any]]:
    """Of the commands that train: names of configurations, keys, and the values of those that have few."""
    from megxl.training.configuring import config_names, configs_dir
    from megxl.training.sweep import SCHEMAS

    told = {}
    for name, schema in SCHEMAS.items():
        groups = {
            group: tuple(sorted(path.stem for path in (configs_dir() / group).glob("*.yaml")))
            for group in schema.groups
        }
        keys = tuple(key for key in schema.known_keys() if key not in groups and key not in schema.sections)
        told[name] = {"keys": keys, "chosen": groups | _VALUES, "configs": tuple(config_names(schema))}
    return told
