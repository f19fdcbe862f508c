"""A bundle on trial: two answers compared, a table of labels read, numbers with intervals, a report that is signed."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from node.charge import ModelAt
from node.errors import ConfigurationError
from node.trial import commissioning, comparison, labels, measured, page, promotion, signing
from node.trial.answering import Said
from node.trial.commissioning import Case
from node.trial.precision import Share, needed
from node.trial.replay import Pair
from storage import DataFolder
from tests import reports

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HIGH, LOW, MIDDLE = "high likelihood", "no significant changes", "indeterminate"


def said(probability: float | None, band: str | None = None, series: str = "1.2", **changes: object) -> Said:
    """An answer; without a probability it is that of a study without a series."""
    if probability is None:
        return Said("b", reason="no series that the model can read", **changes)  # type: ignore[arg-type]
    return Said("b", series, f"3 {series}", True, band, probability, 0.05, **changes)  # type: ignore[arg-type]


def pair(number: int, old: Said, new: Said) -> Pair:
    return Pair(f"1.2.{number}", number, old, new)


PAIRS = [
    pair(1, said(0.9, HIGH), said(0.88, HIGH)),
    pair(2, said(0.1, LOW), said(0.12, LOW)),
    pair(3, said(0.1, LOW), said(0.25, LOW)),
    pair(4, said(0.7, MIDDLE), said(0.8, HIGH)),
    pair(5, said(0.3, LOW), said(0.31, LOW, series="1.3")),
    pair(6, said(0.9, HIGH), said(0.2, LOW)),
    pair(7, said(None), said(0.2, LOW)),
    pair(8, said(0.6, MIDDLE), said(None, is_failure=True)),
]


def test_the_studies_to_look_at_come_first_and_say_why() -> None:
    found = comparison.compare(PAIRS)
    assert [(each.job_id, comparison.why_look(each)) for each in found.pairs] == [
        (6, "the band is the opposite"),
        (7, "one classified it, the other not"),
        (8, "one classified it, the other not"),
        (4, "another band"),
        (5, "another series"),
        (3, "probability moved by 10% or more"),
        (1, ""),
        (2, ""),
    ]


def test_totals_kappa_bias_and_limits_are_of_the_studies_that_both_classified() -> None:
    found = comparison.compare(PAIRS)
    assert (found.both, found.only_old, found.only_new, found.failures) == (6, 1, 1, 1)
    assert found.bands == {(LOW, LOW): 3, (HIGH, HIGH): 1, (MIDDLE, HIGH): 1, (HIGH, LOW): 1}
    assert found.kappa == pytest.approx((4 / 6 - 16 / 36) / (1 - 16 / 36))  # by hand: (3·4 + 2·2 + 1·0) / 36 by chance
    assert found.bias == pytest.approx(sum((-0.02, 0.02, 0.15, 0.1, 0.01, -0.7)) / 6)
    assert found.limits is not None
    assert found.limits[1] - found.limits[0] == pytest.approx(2 * 1.96 * 0.3136, abs=1e-3)


def test_too_few_studies_give_no_number_and_a_page_all_the_same() -> None:
    found = comparison.compare([pair(1, said(None), said(None))])
    assert (found.kappa, found.bias, found.limits, found.neither) == (None, None, None, 1)
    assert "No study was classified by both" in page.of_comparison(found, "Replay", "b", "", NOW)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "line 1: wants a column `label`"),
        ("study_instance_uid,age\n1.2,70\n", "line 1: wants a column `label`"),
        ("study_instance_uid,patient_id,label\n1.2,A,1\n", "line 1: wants a column `label` and one of"),
        ("patient_id,label\nA,1\nB,yes\n", "line 3: the label is 'yes', and may be 0 or 1"),
        ("patient_id,label\n,1\n", "line 2: names no study"),
        ("patient_id,label\nA\n", "line 2: has 1 columns"),
        ("patient_id,label\nA,1\n\nA,0\n", "line 4: says otherwise of the same study than line 2"),
        ("patient_id,label\n", "has no row with a label"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=complaint.replace("?", "\\?")):
        labels.read(path)


def test_a_table_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("\ufeffRemark; Accession Number ;Label\n x;A-1 ;1\ny;A-2;0\n", encoding="utf-8")
    table, header = labels.read(path), Dataset()
    header.AccessionNumber = "A-1"
    assert (table.keyword, dict(table.of_value), dict(table.lines)) == (
        "AccessionNumber",
        {"A-1": 1, "A-2": 0},
        {"A-1": 2, "A-2": 3},
    )
    assert table.has(header)
    assert not table.has(Dataset())


def cases(count: int = 40) -> list[Case]:
    """Half of them with the label, and more probable; of two scanners; and one more that is out of scope."""
    made = []
    for number in range(count):
        label, maker = number % 2, "Alpha One" if number < count // 2 else "Beta Two"
        probability = 0.35 + 0.4 * label + 0.01 * (number % 7)
        answer = said(probability, HIGH if probability >= 0.75 else LOW)
        facts = (number + 2, f"{number:064}", f"p{number}", label, maker, 3.0 if number % 3 else 1.5)
        made.append(Case(*facts, age=55.0 + number, sex="FM"[number % 2], said=answer))
    outside = Said("b", "1.2", "3 T1", False, reason="outside the model's scope: no head")
    return [*made, Case(99, "z" * 64, "p0", 0, "Beta Two", None, None, "", outside)]


@pytest.fixture(scope="module")
def summary() -> measured.Summary:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measured, "RESAMPLES", 40)
        return measured.summarise(cases(), 43, {"agree": 3})


def test_numbers_come_with_intervals_of_all_and_of_each_part(summary: measured.Summary) -> None:
    whole = summary.whole
    assert (whole.studies, whole.classified, whole.with_label) == (41, 40, 20)
    assert whole.auroc.value == 1.0
    assert (whole.sensitivity.count, whole.sensitivity.of, whole.specificity.value) == (20, 20, 1.0)
    assert whole.sensitivity.low == pytest.approx(0.8389, abs=1e-4)  # Wilson, 20 of 20
    assert (whole.out_of_scope.count, whole.out_of_scope.of) == (1, 41)
    assert {name: [each.name for each in groups] for name, groups in summary.parts.items()} == {
        "scanner": ["Alpha One", "Beta Two"],
        "field strength": ["1.5 T", "3 T", "unknown"],
        "age": ["60 to 69", "70 to 79", "80 and older", "under 60", "unknown"],
        "sex": ["F", "M", "unknown"],
    }
    assert summary.kappa.value == 1.0
    assert (summary.labelled, summary.missing, summary.failures) == (43, 2, 0)
    assert summary.reasons == {"outside the model's scope: no head": 1}
    assert summary.words == {"agree": 3, "disagree": 0, "not usable": 0}


def test_a_part_with_few_studies_or_one_label_gets_no_bootstrapped_number(summary: measured.Summary) -> None:
    parts = {each.name: each for each in summary.parts["age"]}
    assert parts["under 60"].classified == 5
    assert str(parts["under 60"].auroc) == "nan (nan-nan)"
    assert parts["under 60"].flagged.of == 5
    women = next(each for each in summary.parts["sex"] if each.name == "F")
    assert (women.with_label, str(women.auroc.value)) == (0, "nan")


def test_cases_needed_follow_from_what_was_measured() -> None:
    found = {each.width: each for each in needed(0.8, 0.5, 0.5, prevalence=0.5)}
    assert found[0.1].auroc == 302  # (2·1.96·0.0445)² · 100 / 0.1²: Hanley and McNeil's SE of 50 and 50 is 0.0445
    assert found[0.2].sensitivity == 193  # 96.04 / 0.5
    assert needed(0.8, 0.5, float("nan"), prevalence=1.0)[0].auroc is None
    assert Share.measured(0, 0).of == 0


def test_the_report_is_kept_signed_and_names_nobody(folder: DataFolder, summary: measured.Summary) -> None:
    bundle = type("Predictor", (), {"model_id": reports.MODEL})()
    content = commissioning.report(cases(), bundle, summary.as_json(), NOW)
    html = page.of_commissioning(cases(), summary, reports.MODEL, NOW)
    kept = commissioning.keep(folder, content, html, NOW)
    assert kept.path == folder.root / "commissioning" / reports.MODEL.sha256 / "20261126T120000Z.json"
    found = json.loads(kept.path.read_text())
    assert list(found["studies"][0]) == [
        *("study", "label", "scanner", "field_strength", "age", "sex"),
        *("probability", "spread", "band", "in_scope", "reason"),
    ]
    assert found["summary"]["whole"]["auroc"]["value"] == 1.0
    assert "p0" not in kept.path.read_text()
    assert html.count("<svg") == 4
    assert "http://" not in html.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert signing.holds(folder, kept.path)
    assert kept.path.stat().st_mode & 0o777 == 0o600


def test_a_bundle_is_promoted_on_a_report_that_nobody_altered(folder: DataFolder, summary: measured.Summary) -> None:
    bundle = type("Predictor", (), {"model_id": reports.MODEL})()
    named = ModelAt(Path("bundle"), reports.MODEL.sha256)
    with pytest.raises(promotion.NotCommissioned, match="--without-commissioning"):
        promotion.grounds(folder, named)
    kept = commissioning.keep(folder, commissioning.report(cases(), bundle, summary.as_json(), NOW), "", NOW)
    assert promotion.grounds(folder, named) == str(kept.path.relative_to(folder.root))
    kept.path.write_text(kept.path.read_text().replace('"label": 0', '"label": 1', 1))
    with pytest.raises(promotion.NotCommissioned):
        promotion.grounds(folder, named)
