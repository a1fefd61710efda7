"""Every command on the pages exists with its options and arguments; what needs no more than the package is run by a test."""

import inspect
import re
import tomllib
from collections.abc import Callable
from itertools import pairwise

import click
import pytest

from rim_eval import _registry
from rim_eval.cli import main
from scripts.site.commands import ROOT, Block, blocks, pages, words

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in pages()}
BLOCKS = [(page, block) for page, text in PAGES.items() for block in blocks(text)]
COMMANDS = sorted({(page, line) for page, block in BLOCKS for line in block.commands})


def page_name(at: tuple[str, Block]) -> str:
    return at[0]


@pytest.mark.parametrize("at", BLOCKS, ids=page_name)
def test_a_block_is_run_or_says_what_it_needs(at: tuple[str, Block]) -> None:
    page, block = at
    assert block.is_run or block.needs, f"{page}: {block.text}"


@pytest.mark.parametrize("at", COMMANDS, ids=page_name)
def test_command_exists(at: tuple[str, str]) -> None:
    first, *rest = words(at[1])
    check = CHECKS.get(first)
    assert check or first in SHELL, f"{first} is neither checked nor part of a shell: {at[1]}"
    if check:
        check(rest)


def test_every_block_of_commands_is_seen() -> None:
    """A fence that the pattern overlooks would be checked by nobody."""
    fences = {page: len(re.findall(r"^ *```bash", text, re.M)) for page, text in PAGES.items()}
    seen = dict.fromkeys(PAGES, 0)
    for page, _ in BLOCKS:
        seen[page] += 1
    assert seen == fences


@pytest.mark.parametrize("at", BLOCKS, ids=page_name)
def test_a_block_that_makes_a_card_installs_what_a_card_needs(at: tuple[str, Block]) -> None:
    """README installed `[hf]` alone, and its next command stopped."""
    installs = [line for line in at[1].commands if line.startswith("pip install 'rim-eval[")]
    if any(line.startswith("rim-eval card ") for line in at[1].commands):
        assert all(re.search(r"[\[,]card[\],]", line) for line in installs)


@pytest.mark.parametrize("page", PAGES)
def test_no_command_stands_in_another_kind_of_block(page: str) -> None:
    """Neither in a fence of another language nor indented by four, where nobody asks whether it runs."""
    text = re.sub(r"^ *```bash.*?^ *```$", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    fences = re.findall(r"^```\w*\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line for fence in fences for line in fence.splitlines() if not line.startswith(" ")]
    lines += re.findall(r"^ {4}(\S.*)$", text, flags=re.MULTILINE)
    starts = {*CHECKS, *SHELL} - {"for"}  # which Python has too
    assert [line for line in lines if line.removeprefix("$ ").split(" ")[0] in starts] == []


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_named_commands_and_options_exist(page: str) -> None:
    """Those in the text too, outside of blocks."""
    missing = []
    for line in re.findall(r"(?<![\w/])rim-eval ([a-z][^`\n#()\";|]*)", (ROOT / page).read_text()):
        command, rest = found_command(line.split())
        named = {word.split("=")[0].strip(".,:") for word in rest if word.startswith("--")}
        unknown = isinstance(command, click.Group) and rest and not rest[0].startswith("-")
        if unknown or named - options(command) - {"--help"}:
            missing.append(line)
    assert missing == []


def found_command(given: list[str]) -> tuple[click.Command, list[str]]:
    command: click.Command = main
    context = click.Context(main)
    while given and isinstance(command, click.Group):
        subcommand = command.get_command(context, given[0])
        if subcommand is None:
            break
        command, given = subcommand, given[1:]
    return command, given


def options(command: click.Command) -> set[str]:
    return {option for each in command.params for option in (*each.opts, *each.secondary_opts)}


def check_rim_eval(rest: list[str]) -> None:
    command, given = found_command(rest)
    assert not isinstance(command, click.Group), rest
    named = {
        word.split("=")[0] for word in given if re.fullmatch(r"-(-[a-z][\w-]*|\w)(=.*)?", word)
    }
    assert named - options(command) <= {"--help"}


def check_inspect(rest: list[str]) -> None:
    from inspect_ai._cli.main import inspect as group

    command = group.get_command(click.Context(group), rest[0])
    assert command, rest
    named = {word.split("=")[0] for word in rest if re.fullmatch(r"-(-[a-z][\w-]*|\w)(=.*)?", word)}
    assert named <= options(command) | {"--help"}
    tasks = [word.partition("/")[2] for word in rest if word.startswith("rim_eval/")]
    given = {after.partition("=")[0] for flag, after in pairwise(rest) if flag == "-T"}
    for task in tasks:
        taken = set(inspect.signature(getattr(_registry, task)).parameters)
        assert {name.partition(".")[0] for name in given} <= taken


def check_lm_eval(rest: list[str]) -> None:
    from rim_eval.paths import tasks_dir

    names = rest[rest.index("--tasks") + 1].split(",")
    known = "".join(path.read_text() for path in tasks_dir().rglob("*.yaml"))
    assert [name for name in names if not re.search(rf"\b{name}\b", known)] == []


def check_pip(rest: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]  # fmt: skip
    named = re.findall(r"rim[-_]eval\[([^\]]+)\]", " ".join(rest))
    assert {extra for each in named for extra in each.split(",")} <= set(extras)


def check_make(rest: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in rest)


def check_python(rest: list[str]) -> None:
    """A script or module of the repository that knows the options; `-c` is compiled."""
    if rest[0] == "-c":
        compile(rest[1], "page", "exec")
        return
    module = rest[0] == "-m"
    name = f"{rest[1].replace('.', '/')}.py" if module else rest[0]
    if module and not name.startswith(("scripts/", "benchmarks/", "tests/")):
        return
    source = (ROOT / name).read_text(encoding="utf-8")
    own = rest[: rest.index("--")] if "--" in rest else rest
    # What stands behind a server's command is the server's.
    named = [word for word in own if word.startswith("--") and "serve" not in own]
    assert [word for word in named if word not in source and word[2:].replace("-", "_") not in source] == []  # fmt: skip


def check_pytest(rest: list[str]) -> None:
    assert all((ROOT / path).exists() for path in rest if path.startswith("tests"))


def check_reference_run(rest: list[str]) -> None:
    check_python(["scripts/reference_run.sh", *rest])


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "inspect": check_inspect,
    "lm_eval": check_lm_eval,
    "make": check_make,
    "pip": check_pip,
    "pytest": check_pytest,
    "python": check_python,
    "rim-eval": check_rim_eval,
    "scripts/reference_run.sh": check_reference_run,
}
SHELL = {"cat", "cd", "cp", "do", "done", "done;", "export", "for", "hf", "sbatch", "scout", "vllm"}
"""Commands of the shell and of other programs, which no test here knows the options of."""


def test_generated_labels_name_what_a_reader_must_have() -> None:
    [block] = blocks("```bash\ninspect eval rim_eval/hexphi --model vllm/M \\\n  --model-role grader=openai/gpt-4.1\n```")  # fmt: skip
    assert block.needs == ("a GPU", "a key")
    assert block.commands == [
        "inspect eval rim_eval/hexphi --model vllm/M --model-role grader=openai/gpt-4.1"
    ]
    assert words("A=b rim-eval card x  # why") == ["rim-eval", "card", "x"]
