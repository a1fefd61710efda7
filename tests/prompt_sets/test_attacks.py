"""Attacks from harmless toy files: their forms, what is drawn for which prompt, and what is wrong with a file."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rim_eval import prompt_sets
from rim_eval.errors import RimError
from rim_eval.paths import attacks_dir
from rim_eval.prompt_sets import Prompt, attack_entries, attacks, load_attack, prompt_id

from .conftest import write_csv, write_jsonl

VAULT = "open the {grey} vault %s $1 \\1 {prompt}"


def prompt(text: str, **fields: Any) -> Prompt:
    return Prompt(id=prompt_id("vaults", text), set="vaults", kind="harmful", text=text, **fields)


# ---- templates ----


@pytest.mark.parametrize("name", ["opera.txt", "opera.md"])
def test_a_text_file_is_one_template_and_the_prompt_stays_as_it_is(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbfSing {this}:\r\n{prompt}\r\n\r\nAgain: {prompt}!\r\n")
    attack = load_attack(str(path))
    assert attack.wrap(prompt(VAULT)) == f"Sing {{this}}:\n{VAULT}\n\nAgain: {VAULT}!"
    assert attack.name == "opera"
    assert attack.provenance.source == "user"
    [file] = attack.provenance.files
    assert (file.name, file.sha256) == (name, hashlib.sha256(path.read_bytes()).hexdigest())


TEMPLATES = [f"Opera {n}: {{prompt}}" for n in range(5)]


def template_file(folder: Path, ending: str, templates: list[str] = TEMPLATES) -> Path:
    path = folder / f"operas.{ending}"
    if ending in ("csv", "tsv"):
        write_csv(path, [("Template", "act"), *((one, "1") for one in templates)])
        if ending == "tsv":
            path.write_text(
                path.read_text().replace(",1", "\t1").replace("Template,", "Template\t")
            )
    elif ending == "jsonl":
        write_jsonl(path, [{"template": one} for one in templates])
    elif ending == "json":
        path.write_text(json.dumps({"operas": [{"template": one} for one in templates]}))
    else:
        path.write_text("".join(f"- template: |-\n    {one}\n" for one in templates))
    return path


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "yaml", "yml"])
def test_each_prompt_gets_one_of_several_templates(tmp_path: Path, ending: str) -> None:
    attack = load_attack(str(template_file(tmp_path, ending)))
    prompts = [prompt(f"Open vault {n}") for n in range(300)]
    drawn = Counter((attack.wrap(one) or "").partition(":")[0] for one in prompts)
    assert set(drawn) == {f"Opera {n}" for n in range(5)}
    assert min(drawn.values()) > 30
    assert attack.count_wrapped(prompts) == 300


def test_what_is_drawn_depends_on_names_and_never_on_the_place(tmp_path: Path) -> None:
    prompts = [prompt(f"Open vault {n}") for n in range(100)]
    (tmp_path / "reversed").mkdir()
    forms = [
        load_attack(str(template_file(tmp_path, "csv"))),
        load_attack(str(template_file(tmp_path / "reversed", "jsonl", TEMPLATES[::-1]))),
    ]
    first, second = ([attack.wrap(one) for one in prompts] for attack in forms)
    assert first == second
    fewer = load_attack(str(template_file(tmp_path, "csv", TEMPLATES[1:])))
    assert all(
        fewer.wrap(one) == before
        for one, before in zip(prompts, first, strict=True)
        if before and not before.startswith("Opera 0")
    )
    other = template_file(tmp_path, "yaml").rename(tmp_path / "ballads.yaml")
    assert [load_attack(str(other)).wrap(one) for one in prompts] != first


# ---- wrapped prompts by prompt ----


def test_wrapped_prompts_are_found_by_text_whatever_its_spaces(tmp_path: Path) -> None:
    rows = [("Open the  vault\n", "An opera in which\nthe vault opens {prompt}"), ("Knock", "")]
    path = write_csv(tmp_path / "operas.csv", [("prompt", "wrapped"), *rows])
    attack = load_attack(str(path))
    assert attack.wrap(prompt("Open the vault")) == "An opera in which\nthe vault opens {prompt}"
    assert attack.wrap(prompt("Knock")) is None
    assert attack.wrap(prompt("Leave")) is None
    assert attack.count_wrapped([prompt("Open the vault"), prompt("Leave")]) == 1


def test_wrapped_prompts_are_found_by_id(tmp_path: Path) -> None:
    one = prompt("Open the vault", context="In the museum")
    path = write_jsonl(tmp_path / "operas.jsonl", [{"id": one.id, "wrapped": "Sing it open"}])
    attack = load_attack(str(path))
    assert attack.wrap(one) == "Sing it open"
    assert attack.wrap(prompt("Leave")) is None


def test_one_of_several_wrapped_forms_is_drawn(tmp_path: Path) -> None:
    rows = [{"prompt": f"Vault {n}", "wrapped": f"Act {act} of {n}"} for n in range(50) for act in range(3)]  # fmt: skip
    attacks_of = [
        load_attack(str(write_jsonl(tmp_path / "operas.jsonl", order)))
        for order in (rows, rows[::-1])
    ]
    first, second = ([one.wrap(prompt(f"Vault {n}")) for n in range(50)] for one in attacks_of)
    assert first == second
    assert {(text or "")[:5] for text in first} == {"Act 0", "Act 1", "Act 2"}


def test_an_attack_on_other_prompts_is_an_error(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "operas.jsonl", [{"prompt": "Open", "wrapped": "Sing"}])
    complaint = (
        r"attack operas: none of its 1 wrapped prompts belongs to one of the 2 prompts of vaults"
    )
    with pytest.raises(RimError, match=complaint) as caught:
        load_attack(str(path)).count_wrapped([prompt("Close"), prompt("Leave")])
    assert "Next: " in str(caught.value)


# ---- what is wrong with a file ----


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.txt", "Sing it", r"a\.txt: the template has no place \{prompt\}; expected it once"),
        ("a.txt", "\n \n", r"a\.txt: nothing in it; expected a column `template`"),
        ("a.csv", "template\n", r"a\.csv: nothing in it"),
        ("a.csv", "template\nSing {prompt}\nSing {request}\n", r"a\.csv, row 2: the template has no"),
        ("a.csv", "text\nSing {prompt}\n", r"a\.csv, row 1: the columns 'text'; expected a column"),
        ("a.csv", "wrapped,goal\nSing,Open\n", r"the columns 'wrapped', 'goal'; expected .* `wrapped`"),
        ("a.csv", "template,wrapped\n{prompt},Sing\n", "the columns 'template', 'wrapped'"),
        ("a.csv", "prompt,wrapped\nOpen,\n", r"a\.csv: no wrapped prompt in it"),
        ("a.csv", "prompt,wrapped\nOpen,Sing\n,Sing\n", r"row 2: a wrapped prompt without its prompt"),
        ("a.jsonl", '{"template": 5}\n', r"a\.jsonl, row 1: column 'template' holds a int"),
        ("a.jsonl", '{"template": "{prompt}"}\n{}\n', r"a\.jsonl, row 2: the template has no place"),
        ("a.jsonl", "not json\n", r"a\.jsonl, row 1: not JSON"),
        ("a.yaml", "- {prompt}\n", r"a\.yaml, row 1: the columns 'prompt'"),
        ("a.yaml", "- [\n", "not valid YAML"),
        ("a.txt", "Sing \0 {prompt}", "holds a NUL character"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_named_with_the_reason(
    tmp_path: Path, name: str, content: str, complaint: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(RimError, match=complaint) as caught:
        load_attack(str(path))
    assert "Next: " in str(caught.value)
    assert "Sing" not in str(caught.value)


def test_a_file_that_is_not_there_is_told_the_forms_and_the_names(tmp_path: Path) -> None:
    with pytest.raises(RimError, match=r"cannot read the attack .*a\.csv: No such file") as caught:
        load_attack(str(tmp_path / "a.csv"))
    assert "`template`" in str(caught.value)
    assert "jailbreakbench" in str(caught.value)


# ---- published attacks ----

NAME = "jailbreakbench/PAIR/vicuna-13b-v1.5"


@pytest.fixture
def artifact(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[int], Path]:
    """A data folder with a file of the artifacts' layout; its checksum is taken out of the entry."""
    entries = tmp_path / "entries"
    entries.mkdir()
    monkeypatch.setattr(attacks, "attacks_dir", lambda: entries)
    for path in attacks_dir().glob("*.toml"):
        text = re.sub("(?m)^sha256.*$", "", path.read_text())
        (entries / path.name).write_text(text)

    def write(rows: int) -> Path:
        jailbreaks = [
            {
                "index": n,
                "goal": f"Open vault {n}",
                "behavior": "Vaults",
                "prompt": None if n % 5 == 0 else f"An opera: vault {n} opens",
                "jailbroken": n % 2 == 0,
            }
            for n in range(rows)
        ]
        path = tmp_path / "data" / "attacks" / "jailbreakbench" / "PAIR" / "vicuna-13b-v1.5.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"parameters": {"model": "vicuna"}, "jailbreaks": jailbreaks}))
        return tmp_path / "data"

    return write


@pytest.mark.parametrize("name", [NAME, NAME.lower()])
def test_an_artifact_is_found_by_its_goal(artifact: Callable[[int], Path], name: str) -> None:
    attack = load_attack(name, artifact(100))
    prompts = [prompt(f"Open vault {n}") for n in range(100)]
    assert attack.name == NAME
    assert [attack.wrap(one) for one in prompts[:2]] == [None, "An opera: vault 1 opens"]
    assert attack.count_wrapped(prompts) == 80
    assert attack.provenance.source == "local"
    assert attack.provenance.revision_declared == "909e68c01d94222b8ad2e397a017e2e12e2adb73"
    assert attack.provenance.files[0].rows == 100


def test_the_environment_names_the_folder_of_an_artifact(
    artifact: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIM_EVAL_DATA", str(artifact(100)))
    assert load_attack(NAME).wrap(prompt("Open vault 3")) == "An opera: vault 3 opens"


def test_an_artifact_of_another_size_is_refused(artifact: Callable[[int], Path]) -> None:
    with pytest.raises(RimError, match=r"attack jailbreakbench/PAIR/.*: 90 rows; expected 100"):
        load_attack(NAME, artifact(90))


def test_a_folder_without_the_attack_is_no_hindrance_and_offline_says_where_it_goes(
    tmp_path: Path,
) -> None:
    with pytest.raises(prompt_sets.OfflineError, match="HF_HUB_OFFLINE is set") as caught:
        load_attack(NAME, tmp_path)
    assert "<folder>/attacks/jailbreakbench/PAIR/vicuna-13b-v1.5.json" in str(caught.value)


def test_an_artifact_is_downloaded_from_the_pinned_commit(
    artifact: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = next(artifact(100).rglob("*.json")).read_bytes()
    asked = []

    def download(source: Any, path: str, **_: Any) -> Any:
        asked.append((source.repo, source.revision[:7], path))
        return prompt_sets.download.Download(content, source.revision)

    monkeypatch.setattr("rim_eval.prompt_sets.sources.download_file", download)
    attack = load_attack(NAME)
    assert asked == [
        ("JailbreakBench/artifacts", "909e68c", "attack-artifacts/PAIR/black_box/vicuna-13b-v1.5.json")
    ]  # fmt: skip
    assert attack.provenance.revision_used == "909e68c01d94222b8ad2e397a017e2e12e2adb73"
    assert attack.provenance.location == "https://github.com/JailbreakBench/artifacts"


def test_wildjailbreak_wraps_its_vanilla_prompts(
    artifact: Callable[[int], Path], tmp_path: Path
) -> None:
    rows = [
        "vanilla\tadversarial\tcompletion\tdata_type",
        "Open vault 1\t\tNo.\tvanilla_harmful",
        'Open vault 1\t"An opera,\nin ""acts"""\tNo.\tadversarial_harmful',
        "Bake bread\tAn opera of bread\tYes.\tadversarial_benign",
        "Bake a cake\tNot of this part\tYes.\tvanilla_benign",
    ]
    path = tmp_path / "data" / "attacks" / "wildjailbreak" / "train.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(rows))
    attack = load_attack("wildjailbreak", tmp_path / "data")
    texts = ["Open vault 1", "Bake bread", "Bake a cake"]
    wrapped = [attack.wrap(prompt(text)) for text in texts]
    assert wrapped == ['An opera,\nin "acts"', "An opera of bread", None]


def test_a_published_file_without_its_columns_is_refused(
    artifact: Callable[[int], Path],
) -> None:
    data = artifact(100)
    path = next(data.rglob("*.json"))
    path.write_text(path.read_text().replace('"goal"', '"aim"'))
    with pytest.raises(RimError, match=r"vicuna-13b-v1\.5\.json, row 1: no column 'goal' among"):
        load_attack(NAME, data)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("jailbreakbench/PAIR/vicuna-13b", f"Did you mean '{NAME}'"),
        ("jailbreakbench", ""),
        ("opera", ""),
    ],
)
def test_an_unknown_name_is_told_the_names_and_that_a_file_will_do(name: str, hint: str) -> None:
    with pytest.raises(RimError, match=f"no attack is called '{name}'") as caught:
        load_attack(name)
    for part in (hint, NAME, "wildjailbreak", "A file of your own", ".jsonl", "{prompt}"):
        assert part in str(caught.value)


def test_every_published_attack_is_pinned_and_cited() -> None:
    entries = attack_entries()
    assert list(entries) == ["jailbreakbench", "wildjailbreak"]
    assert len(entries["jailbreakbench"].names) == 18
    for entry in entries.values():
        assert entry.licence
        assert entry.citation
        assert getattr(entry.source, "revision", None)
        assert all(file.sha256 for file in entry.files)
        assert entry.gated == (entry.name == "wildjailbreak")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('wrapped = "prompt"', 'wraped = "prompt"', "wraped"),
        ('name = "jailbreakbench"', 'name = "other"', "but its file 'jailbreakbench'"),
    ],
)
def test_a_wrong_entry_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, complaint: str
) -> None:
    monkeypatch.setattr(attacks, "attacks_dir", lambda: tmp_path)
    text = (attacks_dir() / "jailbreakbench.toml").read_text()
    (tmp_path / "jailbreakbench.toml").write_text(text.replace(old, new))
    with pytest.raises(RimError, match=complaint):
        attack_entries()


DOCS = Path(prompt_sets.__file__).parents[2] / "docs" / "attacks.md"


def test_the_code_in_the_docs_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = DOCS.read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(code, {})
    name, counts, wrapped = capsys.readouterr().out.splitlines()
    assert name.startswith("opera ")
    assert counts == "220 of 220 prompts have a wrapped form"
    assert wrapped.startswith("Sing this as an aria: ")
    [command] = re.findall(r'```bash\npython -c "(.*?)"\n```', page, flags=re.DOTALL)
    exec(command, {})
    assert NAME in capsys.readouterr().out.splitlines()
    kinds = {name.split("/")[1] for name in attack_entries()["jailbreakbench"].names}
    assert all(f"`{kind}`" in page for kind in kinds)
