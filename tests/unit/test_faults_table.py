"""tests/FAULTS.md says what is: the tests that it names exist, and every fault that is cited has its row."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
TABLE = (TESTS / "FAULTS.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line.startswith("| F")]
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


@cache
def functions_of(path: Path) -> set[str]:
    """The names of the test functions in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")}


def cited() -> dict[str, set[str]]:
    """Number of a fault -> the files that cite it; F32 within quotation marks is a type of number."""
    found: dict[str, set[str]] = {}
    for package in ("node", "model", "storage", "tests"):
        for path in (ROOT / package).rglob("*.py"):
            for number in numbers_in(path.read_text(encoding="utf-8")):
                found.setdefault(number, set()).add(str(path.relative_to(ROOT)))
    return found


def numbers_in(text: str) -> set[str]:
    """The faults that a text cites, those of a range as well.

    >>> sorted(numbers_in('F1 to F3, F50, and "F32"'))
    ['F1', 'F2', 'F3', 'F50']
    """
    single = set(re.findall(r'(?<!["\w])F[1-9]\d{0,2}(?!["\w])', text))
    ranges = re.findall(r"\bF(\d+) to F(\d+)\b", text)
    return single | {f"F{number}" for first, last in ranges for number in range(int(first), int(last) + 1)}


def test_numbers_are_unique_and_in_order() -> None:
    numbers = [int(row[0][1:]) for row in ROWS]
    assert len(numbers) > 80
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_names_tests_that_exist_or_says_that_nothing_is_built(row: list[str]) -> None:
    number, fault, right, shown = row
    named = NAMED.findall(shown)
    assert fault
    assert bool(named) != right.startswith("not built"), f"{number} names no test, or one of what is not built"
    assert [name for path, name in named if name not in functions_of(TESTS / path)] == []
    assert NAMED.sub("", shown).strip(", ") == ("" if named else "-")


def test_every_fault_that_is_cited_has_its_row() -> None:
    known = {row[0] for row in ROWS}
    assert {number: files for number, files in cited().items() if number not in known} == {}


def test_what_is_cited_is_found() -> None:
    assert "node/receive/completeness.py" in cited()["F34"]
    assert "model/weights.py" not in cited().get("F32", set())


def test_no_text_is_handed_to_a_shell_or_evaluated() -> None:
    """F83."""
    wrong = []
    for package in ("node", "model", "storage"):
        for path in (ROOT / package).rglob("*.py"):
            for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(each, ast.Call) and (ast.unparse(each.func) in EVALUATING or asks_for_a_shell(each)):
                    wrong.append(f"{path.relative_to(ROOT)}:{each.lineno}")
    assert wrong == []


EVALUATING = {"eval", "exec", "compile", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}


def asks_for_a_shell(call: ast.Call) -> bool:
    """Whether `shell` is given and not plainly False."""
    return any(each.arg == "shell" and ast.unparse(each.value) != "False" for each in call.keywords)
