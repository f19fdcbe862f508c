"""`neurossl model replay|shadow|commission|promote`: a bundle on trial at a site, and how it takes charge.

Exit codes: 0 done; 1 a study failed, or the bundle was not commissioned, or the node stands in the way; 2 a setting,
a bundle or a table is wrong, and nothing was done.
"""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import model_tables as tables
from node.cli.queue import database, operator, print_json
from node.cli.service import DEFAULT, AsJson, Config, load, say
from node.errors import ConfigurationError

if TYPE_CHECKING:
    from model import Predictor
    from node.config import Settings
    from node.trial.comparison import Comparison

DAY = "%Y-%m-%d"
Bundle = Annotated[Path, typer.Option("--bundle", help="The folder of the bundle that is tried.")]
BundleOrCharge = Annotated[Path | None, typer.Option("--bundle", help="The bundle; none: the one in charge.")]
Since = Annotated[datetime | None, typer.Option(formats=[DAY], help="Only answers since this day, UTC.")]
Study = Annotated[list[str] | None, typer.Option("--study", help="Only this Study Instance UID; may be repeated.")]
Limit = Annotated[int | None, typer.Option(min=1, help="The newest so many answers; none: all.")]
Rules = Annotated[
    Path | None, typer.Option("--rules", help="Another config.yaml, whose `selection` is tried instead of ours.")
]
Output = Annotated[
    Path | None, typer.Option("--output", help="Write comparison.html, comparison.json and comparison.csv here.")
]


def register(group: typer.Typer) -> None:
    """Put the commands into the group `model`."""
    for command in (replay, shadow, commission, promote):
        group.command(command.__name__)(command)


def replay(
    bundle: BundleOrCharge = None,
    config: Config = DEFAULT,
    rules: Rules = None,
    since: Since = None,
    study: Study = None,
    limit: Limit = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Answer stored studies again, with another bundle or other rules of selection: what would change?

    Nothing is sent, and no study, job or answer changes. The studies to look at come first.
    """
    with _problems(), database(config) as (folder, db):
        from node.trial import comparison
        from node.trial.replay import replay as run
        from storage import trials

        settings = load(config)
        if rules is not None:
            settings = settings.model_copy(update={"selection": load(rules).selection})
        found = trials.standing(db, since=_utc(since), studies_of=study, limit=limit)
        with tables.progress() as tell:
            predictor = _predictor(settings, bundle, tell)
            compared = comparison.compare(list(run(db, folder, settings, predictor, found, tell)))
        _show(compared, predictor, "Replay", rules, output, as_json=as_json)
    if compared.failures:
        raise typer.Exit(1)


def shadow(
    bundle: Bundle,
    config: Config = DEFAULT,
    since: Since = None,
    once: Annotated[bool, typer.Option("--once", help="End when the bundle was asked about every answer.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Only show what it said until now.")] = False,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Let a bundle answer beside the one in charge, newest studies first, until it is stopped (Ctrl-C, SIGTERM).

    On spare time only: while a job waits or runs, it does nothing, and what it had begun it begins again later. What it
    said is kept in the database, so it goes on after a restart. Nothing is sent. At the end it shows what it came to.
    """
    with _problems(), database(config) as (folder, db):
        import os

        from node import logs
        from node.process.hardening import stop_on_signals
        from node.trial import comparison
        from node.trial.replay import Shadow, kept

        settings = load(config)
        logs.configure(settings.log, "shadow")
        stop = stop_on_signals()
        with tables.progress() as tell:
            predictor = _predictor(settings, bundle, tell)
        if not show:
            with folder.lock(f"shadow-{predictor.model_id.sha256[:16]}"):
                os.nice(10)  # whoever does the node's work goes first
                Shadow(db, folder, settings, predictor, stop).run(_utc(since), once=once)
        compared = comparison.compare(kept(db, predictor.model_id.sha256))
        _show(compared, predictor, "Shadow", None, output, as_json=as_json)


def commission(
    labels: Annotated[
        Path, typer.Option(help="CSV: label (0 or 1) and study_instance_uid, accession_number or patient_id.")
    ],
    bundle: BundleOrCharge = None,
    config: Config = DEFAULT,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="A folder of DICOM files; none: the studies that the node has stored."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold a bundle against the labels of this site, and keep a signed report: what are its numbers worth here?

    Discrimination and calibration with 95 % intervals, by scanner, field strength, age and sex; rates of flags, of what
    is out of scope and of failures with their reasons; how many cases an interval of a given width needs. The report
    (JSON, HTML, signature) lies in `commissioning/` of the data folder, and its signature in the audit trail.
    """
    with _problems(), operator(config, make=True) as acts:
        from node.cli import trial_tables
        from node.series.choice import Limits
        from node.trial import commissioning, measured, page, signing, words
        from node.trial import labels as table

        settings, wanted = load(config), table.read(labels)
        with tables.progress() as tell:
            predictor = _predictor(settings, bundle, tell)
            limits = Limits.of(settings, predictor.manifest)
            found = (
                commissioning.of_stored(acts.db, acts.folder, settings, predictor, wanted, tell)
                if folder is None
                else commissioning.of_folder(folder, acts.folder, predictor, limits, wanted, tell)
            )
            cases = list(found)
            if not cases:
                say(
                    f"{labels}: no study that is here has one of its {len(wanted.of_value)} labels, by {wanted.keyword}"
                )
                raise typer.Exit(1)
            tell("measures", 0, 0)
            model, now = predictor.model_id, datetime.now(UTC)
            summary = measured.summarise(cases, len(wanted.of_value), words.of_bundle(acts.db, model.sha256))
            content = commissioning.report(cases, predictor, summary.as_json(), now)
            kept = commissioning.keep(acts.folder, content, page.of_commissioning(cases, summary, model, now), now)
        signed = {"report": str(kept.path.relative_to(acts.folder.root)), "sha256": kept.sha256}
        signed |= {"signature": kept.signature, "public key": signing.public_key(acts.folder)}
        acts.commissioned(model.sha256, signed)
        if as_json:
            sys.stdout.write(kept.path.read_text(encoding="utf-8"))
        else:
            trial_tables.commissioning(summary, kept.path)


def promote(
    bundle: Annotated[Path | None, typer.Argument(metavar="BUNDLE", help="The folder of the bundle.")] = None,
    config: Config = DEFAULT,
    back: Annotated[bool, typer.Option("--back", help="Back to the bundle that was in charge before.")] = False,
    without_commissioning: Annotated[
        str,
        typer.Option(
            metavar="REASON", help="Promote a bundle without a commissioning report; the audit trail hears why."
        ),
    ] = "",
) -> None:
    """Put a bundle in charge that was commissioned here; workers that run take it after the job they are at.

    No job is lost or begun anew, and each result names the bundle that gave it. The bundle before stays where it is.
    The promotion holds for as long as `worker.bundle` of config.yaml stays as it is.
    """
    if (bundle is None) is not back:
        raise typer.BadParameter("name a bundle, or go --back")
    with _problems(), operator(config, make=True) as acts:
        from node.trial import promotion
        from node.work.inference import load as load_model

        settings = load(config)
        of_now = promotion.in_charge(settings)
        to = promotion.before(settings) if bundle is None else promotion.at(bundle)
        if to == of_now:
            typer.echo(f"{to.folder} is in charge already")
            return
        why = "back to what was in charge before" if bundle is None else without_commissioning
        why = why or promotion.grounds(acts.folder, to)
        _, ready = load_model(settings.worker.model_copy(update={"bundle": to.folder}))  # as the workers will
        acts.promote(settings, to, of_now, why)
    typer.echo(f"{ready.bundle} ({to.folder}) is in charge; workers take it after the job they are at")


def _predictor(settings: "Settings", bundle: Path | None, tell: tables.Tell) -> "Predictor":
    from model import Bundle, Predictor
    from node import charge

    worker = charge.serving(settings).worker
    folder = bundle or worker.bundle
    if folder is None:
        raise ConfigurationError("name a bundle with --bundle, or set worker.bundle in config.yaml")
    tell("loads the bundle", 0, 0)
    return Predictor(Bundle.load(folder), worker.device, worker.precision, worker.threads)


def _show(
    compared: "Comparison",
    predictor: "Predictor",
    title: str,
    rules: Path | None,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    from node.cli import trial_tables
    from node.trial import answering, page

    bundle = answering.label(predictor)
    facts = {"bundle": bundle, "rules": None if rules is None else str(rules), **compared.as_json()}
    if as_json:
        print_json(facts)
    else:
        trial_tables.comparison(compared, bundle)
    if output is None:
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        text = page.of_comparison(compared, title, bundle, str(rules or ""), datetime.now(UTC))
        (output / "comparison.html").write_text(text, encoding="utf-8")
        (output / "comparison.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        with (output / "comparison.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(trial_tables.rows(compared))
    except OSError as error:
        raise ConfigurationError(f"--output: {output} cannot be written: {error.strerror}") from error
    say(f"page: {output / 'comparison.html'}")


def _utc(day: datetime | None) -> datetime | None:
    return None if day is None else day.replace(tzinfo=UTC)


@contextmanager
def _problems() -> Iterator[None]:
    """What is wrong with a bundle or a device is one line; the rest is said where the data folder is opened."""
    from model.errors import ModelError

    try:
        yield
    except ModelError as error:
        say(str(error))
        raise typer.Exit(2) from None
