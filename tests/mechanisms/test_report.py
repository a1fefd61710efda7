import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from rim_eval.cli import main
from rim_eval.errors import RimError
from rim_eval.mechanisms import MechanismReport, ModelHandle, Prompts, read_report
from rim_eval.mechanisms.plots import report_plots
from rim_eval.mechanisms.report import write_report
from rim_eval.paths import organism_dir

pytestmark = pytest.mark.slow

SMALL = ["--limit", "12", "--max-new-tokens", "70"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One command makes the report and the card's section."""
    out = tmp_path_factory.mktemp("mech")
    words = ["mech", "all", "--organism", "planted", "--no-logistic", *SMALL, "--out", str(out)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "report.json" in result.output
    return out


@pytest.fixture(scope="module")
def report(made: Path) -> MechanismReport:
    return read_report(made / "report.json")


@pytest.mark.slow
def test_a_report_goes_to_json_and_back(report: MechanismReport, tmp_path: Path) -> None:
    write_report(report, tmp_path / "again.json")
    again = read_report(tmp_path / "again.json")
    assert again.model_dump_json() == report.model_dump_json()
    assert "NaN" not in (tmp_path / "again.json").read_text()


@pytest.mark.slow
def test_a_report_holds_every_part_and_its_settings(report: MechanismReport) -> None:
    assert report.model == "organism (planted)"
    assert {used.name: used.n for used in report.sets} == {
        "toy": 12,
        "toy_allowed": 12,
        "toy_math": 12,
    }
    assert report.probes is not None
    assert report.heads is not None
    assert report.neurons is not None
    assert report.mitigations
    assert report.versions.keys() == {"rim-eval", "torch", "transformers"}
    assert {each.mode for each in report.probes.probes} == {"think", "no_think"}
    assert all(each.scores[0].layer == -1 for each in report.probes.probes)


@pytest.mark.slow
def test_every_random_draw_stands_in_the_tables_of_the_page_also_equal_ones(
    made: Path, report: MechanismReport
) -> None:
    assert report.heads is not None
    assert report.neurons is not None
    measured = [report.heads.effects, *report.neurons.effects.values()]
    draws = sum(len(effect.random) for effects in measured for effect in effects.effects)
    page = (made / "section.html").read_text(encoding="utf-8")
    assert page.count(">random draws</td>") == draws


@pytest.mark.slow
def test_a_report_holds_no_prompt_and_no_reply(
    made: Path, toy: Prompts, handle: ModelHandle
) -> None:
    text = (made / "report.json").read_text() + (made / "section.html").read_text()
    for request in (*toy.harmful, *toy.benign, *toy.problems):
        assert request.text not in text
    assert "rule book does not allow" not in text


@pytest.mark.slow
def test_the_section_shows_every_plot_and_every_verdict(
    made: Path, report: MechanismReport
) -> None:
    from html import escape

    text = (made / "section.html").read_text()
    assert text.count("<figure>") == len(report_plots(report)) >= 4
    assert text.count("<svg") == 2 * len(report_plots(report)), "a wide and a narrow one"
    for sentence in (finding.says for finding in report.findings):
        shown = escape(sentence, quote=False).replace("'", "&#39;")
        assert shown in text
    assert "<script" not in text


@pytest.mark.slow
def test_every_plot_is_a_spec_that_holds_its_figures(report: MechanismReport) -> None:
    specs = {name: draw(640) for name, draw in report_plots(report).items()}
    assert {"probes_harmful", "heads", "heads_effect", "probe_shift"} <= specs.keys()
    heads = specs["heads"]["data"]["values"]
    assert len(heads) == 16
    assert sum(row["taken"] == "taken out" for row in heads) == 2
    assert report.heads is not None
    effects = report.heads.effects
    ticks = specs["heads_effect"]["layer"][-1]["data"]["values"]
    assert len(ticks) == sum(len(each.random) for each in effects.effects) > 0
    for spec in specs.values():
        json.dumps(spec)


@pytest.mark.slow
def test_a_plot_of_what_could_not_be_computed_still_draws(report: MechanismReport) -> None:
    from rim_eval.plots import svg

    assert report.heads is not None
    effects = report.heads.effects
    gone = {"difference": math.nan, "lower": math.nan, "upper": math.nan}
    nothing = [
        each.model_copy(
            update={"difference": each.difference.model_copy(update=gone), "random": ()}
        )
        for each in effects.effects
    ]
    for kept in (nothing, nothing[:0]):
        heads = report.heads.model_copy(
            update={"effects": effects.model_copy(update={"effects": tuple(kept)})}
        )
        draw = report_plots(report.model_copy(update={"heads": heads}))["heads_effect"]
        assert "<svg" in svg(draw(640))


@pytest.mark.slow
def test_another_part_is_added_to_the_same_report(made: Path, report: MechanismReport) -> None:
    words = [
        "mech",
        "heads",
        "--organism",
        "planted",
        *SMALL,
        "--cutoff",
        "0.9",
        "--out",
        str(made),
    ]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    again = read_report(made / "report.json")
    assert again.heads is not None
    assert "90%" in again.heads.how
    for part in ("probes", "neurons", "mitigations"):
        kept, before = (each.model_dump_json(include={part}) for each in (again, report))
        assert kept == before


@pytest.mark.slow
def test_a_report_of_another_model_is_not_mixed_in(made: Path) -> None:
    words = ["mech", "heads", "--organism", "hidden", *SMALL, "--out", str(made)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "is about 'organism (planted)'" in result.output
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_checkpoints_of_one_name_are_not_mixed(tmp_path: Path) -> None:
    from rim_eval.organism import write_folder

    out = tmp_path / "out"
    for parent, name in (("a", "natural"), ("b", "hidden")):
        folder = write_folder(tmp_path / parent / "final", name)
        words = ["mech", "heads", "--model", str(folder), *SMALL, "--draws", "0"]
        result = CliRunner().invoke(main, [*words, "--out", str(out)])
        if parent == "a":
            assert result.exit_code == 0, result.output
            before = read_report(out / "report.json")
            assert before.model == "final"
    assert result.exit_code == 1
    assert result.output.count("'final' with weights") == 2
    assert before.fingerprint in result.output
    assert "Give another --out" in result.output
    assert read_report(out / "report.json").model_dump_json() == before.model_dump_json()
    assert str(tmp_path) not in (out / "report.json").read_text(), "no private path in a report"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ras"], "no tuned checkpoint to compare with"),
        (["drift"], "no tuned checkpoint to compare with"),
        (["all", "--run", "a", "b", "--series", "negative"], "not both"),
        (["ras", "--series", "negative", "--model", "x"], "leave out --model"),
        (["ras", "--run", "a", "/no/such/folder"], "it is no checkpoint"),
        (["ras", "--run", "a", "b", "--run", "a", "c"], "a name of its own"),
        (["heads", "--harmful", "no_such_set"], "no_such_set"),
        (["probes", "--benign", ""], "harmful and benign"),
        (["heads", "--model", "/no/such/folder"], "cannot be loaded"),
        (["heads", "--judge", "hexphi_own"], "asks a grader model"),
        (["heads", "--device", "nowhere"], "--device nowhere"),
        (["heads", "--model", str(organism_dir()), "--device", "nowhere"], "Here there is cpu"),
        (["heads", "--model", str(organism_dir()), "--dtype", "float99"], "no such number type"),
        (["neurons", "--over", "nowhere"], "no such token span"),
        (["neurons", "-m", "99999"], "between 1 and the model's 1024"),
    ],
)
def test_problems_are_told_in_one_message(words: list[str], message: str, tmp_path: Path) -> None:
    asked = ["mech", words[0], "--limit", "2", "--out", str(tmp_path), *words[1:]]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 1}', "[1]"])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(RimError, match="schema version 3"):
        read_report(path)
    with pytest.raises(RimError, match="cannot be read"):
        read_report(tmp_path / "nothing.json")
