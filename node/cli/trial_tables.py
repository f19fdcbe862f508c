"""What the commands of a bundle on trial print."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from node.cli.model_tables import console, table

if TYPE_CHECKING:
    from model.training.metrics import Interval
    from node.trial.comparison import Comparison
    from node.trial.measured import Group, Summary
    from node.trial.precision import Share

MOST_ROWS = 50
HEADINGS = ("study", "job", "series old", "series new", "old", "new", "probability old", "probability new", "look at")


def comparison(found: "Comparison", bundle: str) -> None:
    """The studies to look at, and the totals."""
    from node.trial.comparison import moved, why_look

    rows = table("study", "job", "series", "old", "new", ">moved", "look at")
    for each in found.pairs[:MOST_ROWS]:
        other = each.old.series_instance_uid != each.new.series_instance_uid
        series = f"{each.old.series or '–'}, now {each.new.series or 'none'}" if other else each.old.series
        both = each.old.is_classified and each.new.is_classified
        why = why_look(each)
        rows.add_row(
            f"…{each.study_instance_uid[-13:]}",
            str(each.job_id),
            escape(series),
            escape(each.old.words),
            escape(each.new.words),
            f"{moved(each):+.3f}" if both else "",
            f"[red]{why}[/]" if why else "",
        )
    out = console()
    out.print(rows)
    if len(found.pairs) > MOST_ROWS:
        out.print(f"… and {len(found.pairs) - MOST_ROWS} more studies; --json and --output have them all")
    out.print(f"[bold]{len(found.pairs)} studies[/], new: {escape(bundle)}. {escape(_totals(found))}")


def rows(found: "Comparison") -> Iterator[Sequence[object]]:
    """Headings and studies, for a spreadsheet."""
    from node.trial.comparison import why_look

    yield HEADINGS
    for each in found.pairs:
        old, new = each.old, each.new
        numbers = (old.probability, new.probability)
        series = (old.series_instance_uid, new.series_instance_uid)
        yield (each.study_instance_uid, each.job_id, *series, old.words, new.words, *numbers, why_look(each))


def commissioning(found: "Summary", path: Path) -> None:
    """The numbers of all and of each part."""
    lines = table("", ">studies", ">classified", ">with label", ">AUROC", ">Brier", ">sensitivity", ">specificity",
                 ">flagged", ">out of scope")  # fmt: skip
    lines.add_row(*_group(found.whole))
    for name, groups in found.parts.items():
        lines.add_row(f"[dim]{name}[/]")
        for each in groups:
            lines.add_row(*_group(each))
    out = console()
    out.print(lines)
    for reason, count in found.reasons.items():
        out.print(f"not classified, {count} x: {escape(reason)}")
    if found.missing:
        out.print(f"{found.missing} of {found.labelled} labels are of no study that is here")
    for need in found.needed:
        counts = (need.auroc, need.sensitivity, need.specificity)
        numbers = ", ".join(
            f"{name} {count:,}"
            for name, count in zip(("AUROC", "sensitivity", "specificity"), counts, strict=True)
            if count
        )
        if numbers:
            out.print(f"[dim]classified studies for a 95 % interval of width {need.width:.2f}: {numbers}[/]")
    out.print(
        f"report: {escape(str(path))}, signed; for people: {escape(path.with_suffix('.html').name)}", soft_wrap=True
    )


def _totals(found: "Comparison") -> str:
    parts = [
        f"classified by both {found.both}",
        f"by the old alone {found.only_old}",
        f"by the new alone {found.only_new}",
        f"another band {found.other_band}",
        f"another series {found.other_series}",
        f"failures {found.failures}",
    ]
    if found.kappa is not None:
        parts.append(f"Cohen's kappa of the bands {found.kappa:.2f}")
    if found.bias is not None and found.limits is not None:
        parts.append(f"bias {found.bias:+.3f}, limits of agreement {found.limits[0]:+.3f} to {found.limits[1]:+.3f}")
    return ", ".join(parts)


def _group(each: "Group") -> Sequence[str]:
    counts = (each.studies, each.classified, each.with_label)
    shares = (each.sensitivity, each.specificity, each.flagged, each.out_of_scope)
    return [escape(each.name), *map(str, counts), _interval(each.auroc), _interval(each.brier), *map(_share, shares)]


def _interval(each: "Interval") -> str:
    return str(each) if each.value == each.value else "–"


def _share(each: "Share") -> str:
    return f"{each.value:.0%} ({each.low:.0%}-{each.high:.0%})" if each.of else "–"
