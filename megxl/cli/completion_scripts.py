"""Completion scripts for bash, zsh and fish out of the facts of all commands: `SCRIPTS`."""

from collections.abc import Callable, Iterable, Sequence

from megxl import __version__
from megxl.cli.completion_facts import FILES, CommandFacts

_NOTHING = "-"
"""Stands in the scripts where nothing can be offered, not even files."""
_EVERYWHERE = "--help --version"

# plain `case`s, which bash and zsh both understand; an empty list means files
_LIST = """\
# Tab completion of megxl @VERSION@; made by: megxl completion @SHELL@

_megxl_list() {  # command, word before, word to complete: what may stand there, in $list
    list=""
    if [ -z "$1" ]; then list="@COMMANDS@"; return; fi
    case "$1 $2" in
@VALUES@
    esac
    case "$3" in
        -*) case "$1" in
@OPTIONS@
        esac ;;
        *=*) case "$1" in
@CHOSEN@
        esac ;;
        *.*) case "$1" in
@KEYS@
        esac ;;
        *) case "$1 $2" in
@WORDS@
        esac ;;
    esac
}
"""

# bash takes model=tiny for three words, so the word is cut out of the line, and only what follows the = is answered
_BASH = """
_megxl() {
    local line=${COMP_LINE:0:COMP_POINT} list word command=""
    word=${line##*[[:space:]]}
    if [ "$COMP_CWORD" -gt 1 ]; then command=${COMP_WORDS[1]}; fi
    _megxl_list "$command" "$3" "$word"
    if [ "$list" = "-" ]; then compopt +o default 2>/dev/null; return; fi
    COMPREPLY=($(compgen -W "$list" -- "$word"))
    case "${COMPREPLY[0]}" in *[=.]) compopt -o nospace 2>/dev/null ;; esac
    if [[ $word == *=* && $COMP_WORDBREAKS == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*=}"}"}")
    fi
}
complete -o default -F _megxl megxl
"""

_ZSH = """
_megxl() {
    local list command=""
    (( CURRENT > 2 )) && command=$words[2]
    _megxl_list "$command" "$words[CURRENT-1]" "$PREFIX"
    [[ $list == "-" ]] && return 1
    local -a found open
    found=(${(M)${=list}:#${(b)PREFIX}*})
    open=(${(M)found:#*[=.]})
    found=(${found:#*[=.]})
    if (( $#found + $#open )); then
        (( $#found )) && compadd -a found
        (( $#open )) && compadd -S '' -a open
    else
        compset -P '*='
        _files
    fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _megxl "$@"; else compdef _megxl megxl; fi
"""


def bash(commands: Sequence[CommandFacts]) -> str:
    """Script to be sourced, or put where bash-completion looks for it."""
    return _filled(_LIST + _BASH, "bash", commands)


def zsh(commands: Sequence[CommandFacts]) -> str:
    """Script to be put into a folder of `fpath` under the name `_megxl`."""
    return _filled("#compdef megxl\n" + _LIST + _ZSH, "zsh", commands)


def fish(commands: Sequence[CommandFacts]) -> str:
    """Script of `complete` lines."""
    lines = [f"# Tab completion of megxl {__version__}; made by: megxl completion fish", ""]
    for one in commands:
        lines.append(f"complete -c megxl -n __fish_use_subcommand -f -a {one.name} -d {_quoted(one.purpose)}")
    for one in commands:
        begin = f"complete -c megxl -n '__fish_seen_subcommand_from {one.name}'"
        for option in one.options:
            names = " ".join(_fish_name(name) for name in option.names)
            follows = "" if not option.takes_value else " -r" if option.values is FILES else " -x"
            values = f" -a {_quoted(' '.join(option.values))}" if option.values else ""
            lines.append(f"{begin} {names}{follows}{values} -d {_quoted(option.purpose)}")
        if words := [*one.first, *_pairs(one), *(f"{key}=" for key in one.keys)]:
            lines.append(f"{begin} -a {_quoted(' '.join(words))}")
    return "\n".join(lines) + "\n"


SCRIPTS: dict[str, Callable[[Sequence[CommandFacts]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
"""By the name of the shell."""


def _filled(script: str, shell: str, commands: Sequence[CommandFacts]) -> str:
    values: dict[tuple[str, ...], list[str]] = {}
    for one in commands:
        for option in one.options:
            if option.takes_value:
                offered = () if option.values is FILES else option.values or (_NOTHING,)
                values.setdefault(offered, []).extend(f'"{one.name} {name}"' for name in option.names)
    trained = [one for one in commands if one.keys]
    words = [(f'"{one.name} {one.name}"', one.first) for one in commands if one.first]
    words += [(f'"{one.name} "*', one.sections) for one in trained]
    tables = {
        "@VALUES@": _cases((("|".join(names), offered) for offered, names in values.items()), then="return"),
        "@OPTIONS@": _cases((one.name, [name for option in one.options for name in option.names]) for one in commands),
        "@CHOSEN@": _cases((one.name, _pairs(one)) for one in trained),
        "@KEYS@": _cases((one.name, [f"{key}=" for key in one.keys]) for one in trained),
        "@WORDS@": _cases(words),
        "@COMMANDS@": " ".join([*(one.name for one in commands), _EVERYWHERE]),
        "@VERSION@": __version__,
        "@SHELL@": shell,
    }
    for name, text in tables.items():
        script = script.replace(name, text)
    return script


def _cases(rows: Iterable[tuple[str, Sequence[str]]], then: str = "") -> str:
    """Branches of a `case`; where none would stand, one that does nothing."""
    end = f"; {then}" if then else ""
    lines = [f'            {pattern}) list="{" ".join(words)}"{end} ;;' for pattern, words in rows]
    return "\n".join(lines or ["            *) ;;"])


def _pairs(one: CommandFacts) -> list[str]:
    return [f"{key}={value}" for key, values in one.chosen.items() for value in values]


def _fish_name(name: str) -> str:
    return f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" if len(name) == 2 else f"-o {name[1:]}"


def _quoted(text: str) -> str:
    """In single quotes, as fish reads them, on one line."""
    plain = " ".join(text.split()).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{plain}'"
