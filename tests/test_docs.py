"""The documentation shows commands that exist, links that lead somewhere, and no page that nobody finds.

The site itself, with its examples executed, is built by `make docs`.
"""

import os
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

import megxl.cli
from megxl.training.configuring import compose
from megxl.training.sweep import SCHEMAS, given_by

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = {DOCS / name for name in ("_build", "examples", "benchmarks", "api/names", "commands.md")}
PAGES = sorted(page for page in DOCS.rglob("*.md") if not MADE & {page, *page.parents})
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}

PUBLISHED = {
    "brainstorm/train_criss_cross_multi.py": "pretrain",
    "brainstorm.evaluate_criss_cross_word_classification": "finetune",
    "brainstorm.evaluate_criss_cross_word_classification_linear_probe": "probe",
}
"""Published commands, which are those of ours (`tests/brainstorm`)."""
PREFIX = re.compile(r"(?:srun |torchrun .*? -m |[A-Z_]+=\S+ )")
PLACEHOLDER = re.compile(r" \.\.\.( |$)| -> |\b(IN|OUT|CORPUS|COMMAND|KEY=VALUE)\b")


def joined_lines(text: str) -> list[str]:
    """Lines, continued ones as one."""
    return re.sub(r"\s*\\\n\s*", " ", text).splitlines()


def blocks(text: str) -> str:
    """What stands in fences of the shell or is indented as code."""
    fenced = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    unfenced = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.DOTALL | re.MULTILINE)
    return fenced + "\n" + "\n".join(line[4:] for line in unfenced.splitlines() if line.startswith("    "))


def commands_of(page: str) -> list[str]:
    """Every command of megxl on a page, in its order."""
    lines = (PREFIX.sub("", line.strip()) for line in joined_lines(blocks(TEXTS[page])))
    found = [re.split(r" {2,}#? ?| > ", line)[0] for line in lines]
    return [
        line for line in found if re.match(r"(megxl|python (-m )?brainstorm)\b", line) and not PLACEHOLDER.search(line)
    ]


def commands() -> dict[str, str]:
    """Every command of megxl in the documentation, and the first page that shows it."""
    found: dict[str, str] = {}
    for page in TEXTS:
        for command in commands_of(page):
            found.setdefault(command, page)
    return found


def parse(command: str) -> None:
    """Have a command read by what reads it when it is run; SystemExit or InputError where it cannot be."""
    words = shlex.split(command)
    if words[0] == "python":
        words = [PUBLISHED[words[2] if words[1] == "-m" else words[1]], *words[2 + (words[1] == "-m") :]]
    else:
        words = words[1:]
    args, unknown = megxl.cli._parser(words[0]).parse_known_args(words)
    assert not unknown, unknown
    if words[0] in SCHEMAS and args.overrides and not args.config and not resumes(args.overrides):
        single = [alternatives(text)[0] for text in args.overrides] if args.multirun else args.overrides
        composed(words[0], args.config_name or words[0], tuple(single))


def resumes(overrides: list[str]) -> bool:
    """Whether the configuration is that of a run which goes on."""
    return "resume=true" in overrides


def alternatives(override: str) -> list[str]:
    """What a sweep makes of an override."""
    key, _, values = override.partition("=")
    return [f"{key}={value}" for value in values.split(",")]


@cache
def composed(command: str, name: str, overrides: tuple[str, ...]) -> object:
    return compose(name, overrides, complete=False, schema=SCHEMAS[command], given=given_by(command))


def test_the_documentation_shows_every_command():
    shown = {command.split()[1] for command in commands() if command.startswith("megxl ")}
    assert shown >= set(megxl.cli.COMMANDS) - {"demo"}


@pytest.mark.parametrize("page", sorted(set(commands().values())))
def test_commands_are_understood(page):
    for command in (command for command, where in commands().items() if where == page):
        try:
            parse(command)
        except (SystemExit, ValueError) as error:
            pytest.fail(f"{command}: {error}")


@pytest.mark.parametrize(
    "command", ["megxl embed raw.fif --modle m", "megxl pretrain training.max_step=3", "megxl embd x"]
)
def test_a_misspelt_command_would_be_seen(command):
    with pytest.raises((SystemExit, ValueError, KeyError)):
        parse(command)


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_to_files_and_headings(page):
    for target, _, anchor in re.findall(r"\]\((?![a-z]+:)([^)#\s]*)(#([^)\s]+))?\)", TEXTS[page]):
        path = Path(os.path.normpath((ROOT / page).parent / target)) if target else ROOT / page
        if path.is_relative_to(DOCS / "examples"):  # made of the gallery
            path = DOCS / "gallery" / ("GALLERY_HEADER.rst" if path.stem == "index" else f"{path.stem}.py")
        assert path.exists(), f"{target} of {page}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, f"#{anchor} of {page}"


def slug(heading: str) -> str:
    """Anchor of a heading, as the site and most hosts of repositories make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


FIRST = {
    "docs/pretraining.md": ("pretrain", "corpora=simulated"),
    "docs/tokenizers.md": ("tokenizer", "corpora=simulated"),
    "docs/decoding.md": ("finetune", "corpus=armeni"),
}
"""Pages that explain a configuration: the command, and what it cannot do without."""


@pytest.mark.parametrize("page", FIRST)
def test_keys_that_a_page_explains_exist(page):
    plain = [composed(command, command, (needs,)).to_dict() for command, needs in FIRST.values()]
    known = {
        f"{name}.{key}"
        for one in plain
        for name, section in one.items()
        if isinstance(section, dict)
        for key in section
    }
    sections = "|".join({key.partition(".")[0] for key in known})
    told = set(re.findall(rf"`((?:{sections})\.[a-z_0-9]+)[`=]", TEXTS[page]))
    assert len(told) >= 12 and told <= known


@pytest.mark.parametrize(
    ("page", "column", "key"),
    [
        ("docs/pretraining.md", "| command adds", "machine"),
        ("docs/decoding.md", "`control=`", "control"),
        ("docs/decoding.md", "`model.head`", "model.head"),
        ("docs/decoding.md", "`data.protocol=`", "data.protocol"),
    ],
)
def test_values_of_a_table_exist(page, column, key):
    command, needs = FIRST[page]
    table = TEXTS[page].partition(f"| {column} |")[2].partition("\n\n")[0]
    values = re.findall(r"machine=(\w+)" if key == "machine" else r"^\| `(\w+)`", table, re.MULTILINE)
    assert len(values) >= 3
    for value in values:
        composed(command, command, (needs, f"{key}={value}"))


def test_every_page_is_in_a_table_of_contents():
    listed = {DOCS / "index.md"}
    for page in PAGES:
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            entries = [line.strip() for line in block.splitlines() if line.strip() and not line.startswith(":")]
            listed |= {Path(os.path.normpath(page.parent / f"{entry}.md")) for entry in entries}
    assert set(PAGES) <= listed


def test_python_blocks_import_what_is_there():
    for page, text in TEXTS.items():
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            for line in re.findall(r"^(?:from megxl|import megxl).*$", block, re.MULTILINE):
                exec(compile(line, page, "exec"), {})
