"""`megxl completion`: a script with which a shell completes commands, options, names and keys."""

import argparse
import sys

_DESCRIPTION = """\
Print a script that teaches a shell to complete megxl when you press Tab: commands, options, their values, names of
corpora, and for the commands that train the keys and groups of their configuration (model=, training.batch_size=).

The script is plain text and starts no Python when you press Tab. Make it again after an update of megxl."""

_EXAMPLES = """\
examples:
  megxl completion bash    into the file ~/.local/share/bash-completion/completions/megxl
  megxl completion zsh     into a file _megxl in a folder of $fpath, before compinit
  megxl completion fish    into the file ~/.config/fish/completions/megxl.fish

Write it there with > and open a new shell; eval "$(megxl completion bash)" tries it in this one.
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl completion` to the commands."""
    parser = subparsers.add_parser(
        "completion", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell")


def run(args: argparse.Namespace) -> int:
    """Print the script; on stderr what it lacks."""
    from megxl.cli.completion_facts import all_commands
    from megxl.cli.completion_scripts import SCRIPTS
    from megxl.errors import InputError

    try:
        commands = all_commands()
    except InputError as error:
        print(f"The keys of the commands that train are left out: {error}", file=sys.stderr)
        commands = all_commands(keys=False)
    print(SCRIPTS[args.shell](commands), end="")
    return 0
