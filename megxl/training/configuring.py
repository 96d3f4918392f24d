"""Configurations out of YAML files and overrides: Hydra composes, our layer says in a sentence what is wrong.

Hydra chooses the files (a named configuration, and one file of each group: corpora, model, machine); values from the
command line are set here, so that ``key=1``, ``+key=1`` and ``++key=1`` mean the same and items of lists can be named.
"""

import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import megxl
from megxl.errors import InputError
from megxl.training.config import PretrainConfig
from megxl.training.corpora_config import CorporaConfig
from megxl.training.fields import dotted
from megxl.training.run_config import RunConfig, refuse_placeholders

try:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Override, ValueType
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf import OmegaConf
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
    from yaml import YAMLError
except ModuleNotFoundError as error:
    raise InputError("Configurations need Hydra: pip install 'megxl[train]'.") from error

__all__ = ["Override", "ValueType", "compose", "config_names", "configs_dir", "parse_override"]

C = TypeVar("C", bound=RunConfig)
_CHECKED_ELSEWHERE = ("datasets_config.", "data.options.", "data.keep.")
"""Keys below these have names that the corpus knows."""


@overload
def compose(config_name: str | Path, overrides: Sequence[str] = (), *, complete: bool = True) -> PretrainConfig: ...
@overload
def compose(
    config_name: str | Path,
    overrides: Sequence[str] = (),
    *,
    complete: bool = True,
    schema: type[C],
    given: Mapping[str, Any] | None = None,
) -> C: ...
def compose(
    config_name: str | Path,
    overrides: Sequence[str] = (),
    *,
    complete: bool = True,
    schema: type[RunConfig] = PretrainConfig,
    given: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Make a configuration.

    Parameters
    ----------
    config_name : str or Path
        Name of a file in `configs_dir()`, or path of a YAML file, which may build on those by a defaults list.
    overrides : sequence of str
        ``model=small``, ``training.learning_rate=1e-4``, ``datasets_config.0.data_root=/data/camcan``; a corpus may
        be called by its type too: ``datasets_config.camcan.data_root=/data/camcan``.
    complete : bool
        Refuse paths that were left as published (``/path/to/...``); False to look at the configuration alone.
    schema : type
        Of the configuration.
    given : mapping, optional
        Keys that the command itself sets.

    Raises
    ------
    InputError
        A file, key or alternative that does not exist; a value that cannot be.
    """
    parsed = [parse_override(text) for text in overrides]
    for override in parsed:
        if override.is_sweep_override():
            raise InputError(f"{override.input_line}: several values; give -m to train with each of them.")
    chosen = [override for override in parsed if override.key_or_group in schema.groups]
    values = _composed(config_name, [choice for override in chosen for choice in _choices(override)], schema)
    known = list(schema.known_keys())
    for override in parsed:
        if override not in chosen:
            _refuse_unknown_key(override.key_or_group, known)
            _set(values, override)
    if issubclass(schema, CorporaConfig):
        _last_of_steps_and_epochs(values, [override.key_or_group for override in parsed])
    _refuse_code(values, "")
    config = schema.from_dict({**_resolved(values, str(config_name)), **(given or {})})
    if complete:
        refuse_placeholders(config)
    return config


def configs_dir() -> Path:
    """Find the folder of the configurations: inside the installed package, or beside it in a checkout."""
    package = Path(megxl.__file__).parent
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / f"{PretrainConfig.default}.yaml").is_file():
            return folder
    raise InputError("The configurations of megxl are not installed (looked for pretrain.yaml); install it again.")


def config_names(schema: type[RunConfig] = PretrainConfig) -> list[str]:
    """Name the configurations of a kind that there are."""
    known = {"defaults", *(key for key in schema.known_keys() if "." not in key)}
    files = {path.stem: _loaded(path) for path in configs_dir().glob("*.yaml")}
    return sorted(
        name for name, said in files.items() if not set(said) - known and schema.told_by.items() <= said.items()
    )


def parse_override(text: str) -> Override:
    """Read ``key=value``; what cannot be read or would name code is refused."""
    override = _parsed(text) or _parsed(_in_quotes(text))
    if override is None:
        raise InputError(
            f"{text!r} cannot be read; write key=value, and quotes around a value with blanks, commas or brackets: "
            "'key=\"a, b\"'."
        )
    key = override.key_or_group
    if override.is_delete():
        raise InputError(f"{text}: keys cannot be left out; give another value, as in {key}=null.")
    if key == "hydra" or key.startswith("hydra."):
        raise InputError(f"{text}: settings of Hydra have no meaning here; the run's folder is the key 'run'.")
    for part in key.split("."):
        _refuse_name_of_code(part, key)
    if override.package is not None:
        raise InputError(f"{text}: '@' has no meaning here; write group=name, as in model=small.")
    return override


def _parsed(text: str) -> Override | None:
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        return None
    return override if override.key_or_group else None


def _in_quotes(text: str) -> str:
    """Put a value in quotes that means nothing to Hydra but has letters that it takes in quotes alone."""
    key, equals, value = text.partition("=")
    has_meaning = any(sign in value for sign in "'\"\\[]{}(),$=\n")
    return text if has_meaning else f"{key}{equals}'{value}'"


def _choices(override: Override) -> list[tuple[str, str]]:
    """Read which alternatives of a group are asked for; several of the corpora, one of the others."""
    group, value = override.key_or_group, override.value()
    names = value if isinstance(value, list) and group == "corpora" else [value]
    known = sorted(path.stem for path in (configs_dir() / group).glob("*.yaml"))
    if not names:
        raise InputError(f"{group}=[]: name at least one of {', '.join(known)}.")
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]}? There are" if near else "there are"
            raise InputError(f"{group}={name}: no such alternative; {hint}: {', '.join(known)}.")
    return [(group, str(name)) for name in names]


def _composed(config_name: str | Path, choices: Sequence[tuple[str, str]], schema: type[RunConfig]) -> dict[str, Any]:
    """Let Hydra merge the files; lists of corpora are joined, which it does not do."""
    values = _merged(_file(config_name, schema), dict(choices), schema.groups)
    corpora = [choice for group, choice in choices if group == "corpora"]
    if len(corpora) > 1:
        files = [_loaded(configs_dir() / "corpora" / f"{choice}.yaml") for choice in corpora]
        values["datasets_config"] = [block for file in files for block in file["datasets_config"]]
    return values


def _merged(file: Path, choices: Mapping[str, str], allowed: Sequence[str]) -> dict[str, Any]:
    ours = str(configs_dir()).replace("'", "\\'")
    search = [f"hydra.searchpath=['file://{ours}']"] if file.parent != configs_dir() else []
    try:
        with initialize_config_dir(str(file.parent), version_base="1.3"):
            built_on = _built_on(file.stem, search) if choices else ()
            groups = [f"{'' if group in built_on else '+'}{group}={name}" for group, name in choices.items()]
            merged = hydra_compose(file.stem, [*search, *groups])
    except MissingConfigException as error:
        missing = error.missing_cfg_file or "another file"
        raise InputError(f"{file.name} builds on {missing!r}, which does not exist; see its defaults list.") from error
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"{file.name} cannot be composed ({type(error).__name__}). Its defaults list may name configurations and "
            f"one file of each group: {', '.join(allowed)}."
        ) from error
    return OmegaConf.to_container(merged, resolve=False)  # type: ignore[return-value]


def _built_on(name: str, search: list[str]) -> Collection[str]:
    """Groups in the defaults list of a configuration; others are added to it."""
    return hydra_compose(name, search, return_hydra_config=True).hydra.runtime.choices


def _file(config_name: str | Path, schema: type[RunConfig]) -> Path:
    """Find the file of a configuration; a Path is one of the user's, a name may be."""
    ours = configs_dir() / f"{str(config_name).removesuffix('.yaml')}.yaml"
    if not isinstance(config_name, Path) and ours.is_file():
        return ours
    file = Path(config_name).expanduser().absolute()
    if not file.is_file():
        names = config_names(schema)
        near = difflib.get_close_matches(str(config_name), names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}, or a path of your own."
        raise InputError(f"There is no configuration {str(config_name)!r}; {hint}")
    if file.suffix != ".yaml":
        raise InputError(f"{file.name}: a configuration is a file whose name ends in .yaml; rename it.")
    _refuse_own_rules(file, _loaded(file))
    return file


def _refuse_own_rules(file: Path, values: Mapping[str, Any]) -> None:
    """Refuse settings of Hydra itself, and keys of which nobody could tell whether they decide."""
    if "hydra" in values:
        raise InputError(f"{file.name}: settings of Hydra have no meaning here; leave the key 'hydra' out.")
    defaults = values.get("defaults")
    if isinstance(defaults, list) and "_self_" not in defaults and len(values) > 1:
        raise InputError(
            f"{file.name}: end its defaults list with _self_, so that its own keys decide over those it builds on."
        )


def _loaded(file: Path) -> dict[str, Any]:
    try:
        values = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise InputError(f"{file.name}{line}: this is no YAML: {problem}.") from error
    except (OmegaConfBaseException, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{file.name} is no configuration ({type(error).__name__}).") from error
    if not isinstance(values, dict):
        raise InputError(f"{file.name}: a configuration is a mapping of keys, as in 'seed: 1'.")
    return {str(key): value for key, value in values.items()}


def _set(values: dict[str, Any], override: Override) -> None:
    """Put the value of an override in its place; sections that are not there yet are made."""
    key = override.key_or_group
    node: Any = values
    parts = key.split(".")
    for depth, part in enumerate(parts[:-1], start=1):
        node = _child(node, part, ".".join(parts[:depth]))
    if isinstance(node, list):
        node[_index(node, parts[-1], key)] = override.value()
    else:
        node[parts[-1]] = override.value()


def _child(node: Any, part: str, key: str) -> Any:
    if isinstance(node, list):
        child = node[_index(node, part, key)]
    else:
        child = node.setdefault(part, {})
        if child is None:
            child = node[part] = {}
    if not isinstance(child, dict | list):
        raise InputError(f"{key} = {child!r} has no keys below it.")
    return child


def _index(blocks: list[Any], part: str, key: str) -> int:
    """Place of an item of a list, by its number or, for a corpus, by its type."""
    types = [block.get("type") if isinstance(block, dict) else None for block in blocks]
    if part in types:
        return types.index(part)
    if part.isdecimal() and int(part) < len(blocks):
        return int(part)
    there = ", ".join(f"{index} ({name})" if name else str(index) for index, name in enumerate(types)) or "none"
    raise InputError(f"There is no item {key}; there are: {there}.")


def _refuse_unknown_key(key: str, known: Sequence[str]) -> None:
    """Refuse a key by the nearest known one; what lies below a corpus is checked with its block."""
    if key in known or key.startswith(_CHECKED_ELSEWHERE):
        return
    same_end = [other for other in known if other.rpartition(".")[2] == key.rpartition(".")[2]]
    near = same_end[:1] or difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "see them all with --cfg."
    raise InputError(f"There is no key {key}; {hint}")


def _last_of_steps_and_epochs(values: dict[str, Any], given: Sequence[str]) -> None:
    """Let an override that gives steps take the place of epochs in the file, and the other way round."""
    training = values.get("training")
    for key, other in (("max_steps", "num_epochs"), ("num_epochs", "max_steps")):
        asked = f"training.{key}" in given and f"training.{other}" not in given
        if asked and isinstance(training, dict) and training.get(key) is not None:
            training[other] = None


def _refuse_code(value: Any, place: str) -> None:
    """Refuse keys with which Hydra would run what they name (``_target_`` and others)."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        here = dotted(place, str(key))
        _refuse_name_of_code(str(key), here)
        _refuse_code(part, here)


def _refuse_name_of_code(part: str, key: str) -> None:
    if part.startswith("_") and part.endswith("_"):
        raise InputError(f"{key}: a configuration names no code to run; leave this key out.")


def _resolved(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Fill in what refers to other keys or to the environment (``${oc.env:DATA}``)."""
    try:
        return OmegaConf.to_container(OmegaConf.create(values), resolve=True, throw_on_missing=True)  # type: ignore
    except MissingMandatoryValue as error:
        raise InputError(
            f"{error.full_key} has no value yet ('???'); give one, as in {error.full_key}=VALUE."
        ) from error
    except OmegaConfBaseException as error:
        raise InputError(
            f"{error.full_key or name}: what stands in ${{...}} is no key of the configuration and no environment "
            "variable that is set."
        ) from error
