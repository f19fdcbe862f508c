"""The answers as a page: a table in Markdown, and a picture of waiting and of use over the number of nodes."""

import io
from collections.abc import Sequence
from pathlib import Path

from node.capacity import plan
from node.capacity.arrivals import Demand
from node.capacity.measured import Times
from node.capacity.plan import Answer, Prices

PAGE, PICTURE = "CAPACITY.md", "capacity.svg"


def write(folder: Path, answers: Sequence[Answer], times: Times, within_s: float) -> Path:
    """Write page and picture into a folder -> the page. The same answers make the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PICTURE).write_text(_picture(answers, times, within_s), encoding="utf-8")
    (folder / PAGE).write_text(_text(answers, times, within_s), encoding="utf-8")
    return folder / PAGE


def duration(seconds: float) -> str:
    """For people.

    >>> duration(5.62), duration(90), duration(5400), duration(400_000)
    ('5.6 s', '1.5 min', '1.5 h', '4.6 d')
    """
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def row(answer: Answer) -> list[str]:
    """An answer as the cells of a table."""
    use = ", ".join(f"{name} {share:.0%}" for name, share in answer.use.items())
    return [
        answer.demand.name,
        f"{answer.nodes}" + (f" + {answer.gpus} GPU" if answer.gpus else ""),
        *(["", ""] if answer.demand.at_once else [duration(answer.median_s), duration(answer.most_s)]),
        duration(answer.lasts_s) if answer.demand.at_once else "",
        f"{answer.saturates} at {answer.bears:,} a day",
        use,
        f"{answer.core_s:.1f} core s" + (f", {answer.gpu_s:.2f} GPU s" if answer.gpu_s else ""),
        "" if answer.price is None else f"{answer.price:.5f}",
    ]


HEADINGS = (
    "what comes",
    "nodes",
    "median",
    "95 %",
    "lasts",
    "saturates first",
    "use",
    "work for a study",
    "price of a study",
)


def _text(answers: Sequence[Answer], times: Times, within_s: float) -> str:
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + " --- |" * len(HEADINGS)]
    lines += ["| " + " | ".join(row(each)) + " |" for each in answers]
    table = "\n".join(lines)
    first = answers[0].demand
    return f"""# How many nodes

Simulated, not measured; `neurossl capacity --page FOLDER` writes this page. Nodes that share their arrivals,
each with one listener, one worker ({times.cores} cores) and one courier: so many that 95 % of the studies of a day
are delivered within {duration(within_s)} of being complete, counted from the end of the quiet period
({first.quiet_s:.0f} s). None is to spare: one more goes on when one fails.

{table}

![waiting and use over the number of nodes]({PICTURE})

*Use* is that of the busiest hour, or of the whole backlog. A price is that of all nodes, also while they wait;
it is there when `--node-price` (and `--gpu-price`) is.

## What it stands on

- Times, measured on {times.measured_on}:
  headers {times.headers_s} s, selection {times.selection_s}, volume {times.volume_s}, prediction {times.predict_s},
  report {times.report_s}, store {times.store_s}, delivery {times.deliver_s};
  {times.receive_per_s:g} instances received each second.
- Prediction on a GPU: {times.gpu_predict_s} s for a study, {times.gpu_measured_on}.
- Assumptions: {first.instances} instances in {first.series} series a study, {first.pause_s:.0f} s between two of them,
  a day that peaks from 8 to 16 h, hospitals whose days lie up to {first.peaks_apart_s / 60:.0f} minutes apart, service
  times that vary by {times.variation:.0%}, and that every study is read.
- Left out: the cores that listener and courier take from the worker of their node, the database, the network, failures.
  A backlog is simulated with {plan.SIMULATED_AT_ONCE} studies for each node, and its rate taken for the whole.
- Against theory: M/M/c (Erlang C) and M/G/1 (Pollaczek and Khinchine), within 12 % of the mean wait, in
  `tests/unit/test_capacity.py`.
"""


def _picture(answers: Sequence[Answer], times: Times, within_s: float) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    waiting, use = figure.subplots(1, 2)
    for answer in (each for each in answers if not each.demand.at_once):
        load, fleet = 100 * answer.use[answer.saturates], f"{answer.nodes} node" + "s" * (answer.nodes > 1)
        label = answer.demand.name + (f", {answer.gpus} GPU" if answer.gpus else "")
        shares = (0.5, 0.9, 1.0, 1.1)
        loads = [_at_load(answer, times, share) for share in shares]
        waiting.plot([x for x, _ in loads], [max(y, 1) for _, y in loads], "o-", label=label, markersize=3)
        use.bar(label, load, width=0.5)
        use.annotate(f"{fleet}\n{answer.saturates}", (label, load), ha="center", va="bottom", fontsize="small")
    waiting.axhline(within_s, color="black", linewidth=0.8, linestyle=":")
    waiting.set(yscale="log", xlabel="studies a day for each node", ylabel="95 % are delivered within, s")
    figure.legend(
        *waiting.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize="small"
    )
    use.set(ylim=(0, 120), xticks=[], ylabel="busiest place in the busiest hour, %")
    for axes in (waiting, use):
        axes.spines[["top", "right"]].set_visible(False)
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "capacity", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _at_load(answer: Answer, times: Times, share: float) -> tuple[float, float]:
    """Studies a day for each node at this share of what the busiest hour can bear -> and what 95 % meet, in seconds."""
    demand = answer.demand
    studies = round(share * demand.studies / max(answer.use.values()))
    met = plan.fleet(Demand(**{**vars(demand), "studies": studies}), times, answer.nodes, answer.gpus, Prices())
    return studies / answer.nodes, met.most_s
