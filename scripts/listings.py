"""Write what other registers ask of this project, from the registry of prompt sets.

    python -m scripts.listings                                            # into the checkout
    python -m scripts.listings --repository https://github.com/OWNER/rim_eval --commit SHA   # ready to send

| file | for |
|---|---|
| `tasks/NAME/eval.yaml` | the register of Inspect Evals, one entry a task |
| `tasks/NAME/README.md` | readers of the tree |
| `docs/upstream/lm-eval/rim/` | lm-evaluation-harness, `lm_eval/tasks/rim/` |
| `docs/upstream/huggingface-benchmark.yaml` | `eval.yaml` of a benchmark data set on the Hugging Face Hub |

Nothing is sent. Without the options the repository and its commit are placeholders.
"""

import inspect
import textwrap
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any, Final

import click
from ruamel.yaml import YAML

import rim_eval
from rim_eval.files import write_whole
from rim_eval.formatting import KIND_WORDS
from rim_eval.leaderboard.export import METRIC_NAMES
from rim_eval.prompt_sets import GithubSource, HubSource, PromptSet, entries
from rim_eval.types import MODES, PromptKind

ROOT: Final = Path(__file__).resolve().parents[1]
REPOSITORY: Final = "https://github.com/OWNER/rim_eval"
COMMIT: Final = "0" * 40

_PAPER: Final = "When Thinking Backfires: Mechanistic Insights into Reasoning-Induced Misalignment"
_ARXIV: Final = "https://arxiv.org/abs/2509.00544"
_TASKS: Final = "rim_eval/inspect_tasks/tasks.py"
_GENERATED: Final = "python -m scripts.listings"

_ASKED: Final[dict[PromptKind, str]] = {
    "harmful": "harmful requests",
    "benign": "harmless requests that look harmful",
    "reasoning": "problems with gold answers",
}


def published_sets() -> dict[str, PromptSet]:
    """The sets that a publisher has: all but those of the model organism."""
    return {
        name: each
        for name, each in entries().items()
        if isinstance(each.source, HubSource | GithubSource)
    }


def texts(repository: str = REPOSITORY, commit: str = COMMIT) -> dict[Path, str]:
    """All files by their path.

    Args:
        repository: Address of the repository that entries point to.
        commit: Its commit, 40 hexadecimal digits.
    """
    found = {}
    for name, each in published_sets().items():
        entry = register_entry(each, repository, commit)
        found[ROOT / "tasks" / name / "eval.yaml"] = _yaml(entry)
        found[ROOT / "tasks" / name / "README.md"] = readme(each)
    found |= lm_eval_files(ROOT / "docs" / "upstream" / "lm-eval" / "rim")
    benchmark = ROOT / "docs" / "upstream" / "huggingface-benchmark.yaml"
    return found | {benchmark: _yaml(benchmark_tasks())}


# The register of Inspect Evals


def register_entry(each: PromptSet, repository: str, commit: str) -> dict[str, Any]:
    """The entry of one task, as `ExternalEvalMetadata` of inspect_evals has it; the folder's name is its id.

    Args:
        each: The task's prompt set.
        repository: Address of the repository.
        commit: Its commit.
    """
    owner = repository.removeprefix("https://github.com/").partition("/")[0]
    access = f" Access to the prompts is granted by their publisher: {each.access.url}." if each.access else ""  # fmt: skip
    return {
        "full_title": _title(each),
        "common_title": f"{each.title} (RIM)",
        "paper_title": _PAPER,
        "description": _description(each),
        "arxiv": _ARXIV,
        "contributors": [owner],
        "tasks": [{"name": each.name, "task_path": _TASKS, "dataset_samples": each.default_count}],
        "source": {
            "repository_url": repository,
            "repository_commit": commit,
            "maintainers": [owner],
            "comment": f"Prompts by {_full_stop(each.citation)}{access}",
        },
    }


def _title(each: PromptSet) -> str:
    return f"{each.title} with and without thinking"


def _description(each: PromptSet) -> str:
    rate = KIND_WORDS[each.kind].rate.lower() + (" rate" if each.kind != "reasoning" else "")
    return (
        f"{_docstring(each)} Each is asked twice, with the model's thinking on and off, which is verified on the replies. "
        f"Reports the {rate} of both modes and their difference, paired prompt by prompt, with 95% intervals."
    )


def _docstring(each: PromptSet) -> str:
    """The first line of the Inspect task's docstring."""
    return str(getattr(rim_eval, each.name).__doc__).strip().partition("\n")[0]


# Readers of the tree


def readme(each: PromptSet) -> str:
    """The README of one task, with the sections that Inspect Evals' own have.

    Args:
        each: The task's prompt set.
    """
    grader = " --model-role grader=openai/gpt-4.1" if _needs_grader(each) else ""
    rows = "\n".join(f"| {name} | {value} |" for name, value in _facts(each).items())
    note = f"\n{_wrap(' '.join(each.note.split()))}\n" if each.note else ""
    modes = ",".join(f"rim_{each.name}_{mode}" for mode in MODES)
    arguments = ", ".join(f"`{name}`" for name in _arguments(each))
    return f"""\
<!-- Written by {_GENERATED} from set.toml; edit that. -->
# {_title(each)}

{_wrap(_description(each))}

## Usage

```bash
pip install rim-eval
inspect eval rim_eval/{each.name} --model vllm/Qwen/Qwen3-4B{grader}
lm_eval run --include_path "$(rim-eval tasks-path)" --tasks {modes} --apply_chat_template --log_samples ...
```

Under lm-eval each mode is a task of its own: [docs/lm_eval.md](../../docs/lm_eval.md).

## Options

`--limit`, `--epochs`, `--temperature` and Inspect's other options work as usual.

## Parameters

{_wrap(f"`-T NAME=VALUE`, with the names {arguments}.")}

`python -c "import rim_eval; help(rim_eval.{each.name})"` says what each means, and so does the site
([task arguments](../../docs/reference/task_arguments.md), by `make docs`).

## Dataset

Nothing of it is shipped: a run downloads it from its publisher and checks it ([docs/data.md](../../docs/data.md)).

| | |
|---|---|
{rows}
{note}
## Scorer

{_wrap(_scorer(each))}
"""


def _arguments(each: PromptSet) -> list[str]:
    """Names that `-T` of the Inspect task takes."""
    taken = inspect.signature(getattr(rim_eval, each.name)).parameters.values()
    return [one.name for one in taken if one.kind is not one.VAR_KEYWORD]


def _needs_grader(each: PromptSet) -> bool:
    return each.judge not in (None, "refusal")


def _facts(each: PromptSet) -> dict[str, str]:
    source = each.source
    assert isinstance(source, HubSource | GithubSource)
    site = "huggingface.co/datasets" if isinstance(source, HubSource) else "github.com"
    subsets = ", ".join(f"`{name}` ({part.count})" for name, part in each.subsets.items())
    kinds = {each.kind, *(part.kind for part in each.subsets.values() if part.kind)}
    what = " and ".join(_ASKED[kind] for kind in KIND_WORDS if kind in kinds)
    facts = {
        "prompts": f"{each.count:,} {what}",
        "subsets": subsets,
        "publisher": f"[{source.repo}](https://{site}/{source.repo})",
        "commit": f"`{source.revision}`" if source.revision else "none declared; the log has the one that was used",
        "licence": each.licence,
        "access": f"[on request]({each.access.url})" if each.access else "free",
        "paper": each.citation,
    }  # fmt: skip
    return {name: value for name, value in facts.items() if value}


def _scorer(each: PromptSet) -> str:
    if each.judge is None:
        return "Final answers are compared with the gold answers ([docs/answers.md](../../docs/answers.md)); there is no grader."
    words = KIND_WORDS[each.kind]
    who = (
        "asks a grader model about the answer"
        if _needs_grader(each)
        else "reads the answer offline"
    )
    return (
        f"By default the judge `{each.judge}` (`judges/{each.judge}.yaml`) {who}. {words.rate}: {words.means}. What has "
        "no verdict is unscored with its reason, and never counts as safe."
    )


def _full_stop(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _wrap(text: str) -> str:
    return textwrap.fill(text, width=118, break_long_words=False, break_on_hyphens=False)


# lm-evaluation-harness


def lm_eval_files(folder: Path) -> dict[Path, str]:
    """The YAML files of a pull request: the group `rim_safety` in one folder, as lm-eval's own tasks lie.

    Args:
        folder: Folder of the task.
    """
    shared = ROOT / "tasks"
    found = {folder / "_rim_template_yaml": (shared / "_template_yaml").read_text(encoding="utf-8")}
    for group in ("safety", *(f"safety_{mode}" for mode in MODES)):
        text = (shared / "_groups" / f"{group}.yaml").read_text(encoding="utf-8")
        found[folder / f"_rim_{group}.yaml"] = text
    names = YAML(typ="safe").load(found[folder / "_rim_safety_think.yaml"])["task"]
    for name in (each.removeprefix("rim_").removesuffix("_think") for each in names):
        for mode in MODES:
            text = (shared / name / f"{mode}.yaml").read_text(encoding="utf-8")
            text = text.replace("../_template_yaml", "_rim_template_yaml")
            found[folder / f"{name}_{mode}.yaml"] = text
    return found


# A benchmark of the Hugging Face Hub


def benchmark_tasks() -> dict[str, Any]:
    """The tasks that `rim-eval export --format huggingface` files results under."""
    tasks = []
    for name, each in published_sets().items():
        kinds = {each.kind, *(part.kind for part in each.subsets.values() if part.kind)}
        for kind in (kind for kind in METRIC_NAMES if kind in kinds):
            for what in (*MODES, "difference"):
                split = {"config": "default", "split": "test"}
                tasks.append({"id": f"{name}_{METRIC_NAMES[kind]}_{what}"} | split)
    return {
        "name": "Reasoning-induced misalignment",
        "description": "What turning a model's thinking on does to its refusals, over-refusals and accuracy: rates in percent "
        "with and without thinking, and their difference in percentage points, paired prompt by prompt. The data set holds no "
        "prompts; rim_eval loads them from their publishers.",
        "evaluation_framework": "inspect-ai",
        "tasks": tasks,
    }


def _yaml(value: Mapping[str, Any]) -> str:
    yaml = YAML()
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = StringIO()
    yaml.dump(dict(value), text)
    return f"# Written by {_GENERATED}. Not sent.\n{text.getvalue()}"


@click.command()
@click.option("--repository", default=REPOSITORY, show_default=True, help="Address of the repository.")  # fmt: skip
@click.option("--commit", default=COMMIT, show_default=True, help="Commit that entries point to.")
def main(repository: str, commit: str) -> None:
    """Write all files into the checkout."""
    found = texts(repository, commit)
    write_whole(found)
    click.echo(f"{len(found)} files")


if __name__ == "__main__":
    main()
