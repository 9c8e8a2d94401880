"""Describes a search's run in words, as MLflow shows it above the charts: Markdown."""

import shlex

from ktg.searching.progress import format_headline
from ktg.searching.result import Result
from ktg.searching.trials import SearchQueue
from ktg.tracking import UsedData
from ktg.wording import format_duration, format_percent


def describe_start(queue: SearchQueue, name: str, data: UsedData | None) -> str:
    """Return what is being searched, and how to see more or go on."""
    lines = [f"{format_headline(queue.space, name)}.", *([_describe_data(data)] if data else [])]
    status = f"`ktg status {shlex.quote(name)}` says how far it is."
    lines.append(f"{status} If it is cut short: `{_resume(name)}`.")
    return "\n\n".join(lines)


def describe_end(result: Result, headline: str, data: UsedData | None) -> str:
    """Return what came of it, and where to go on. headline: what was searched."""
    states = f"{result.finished} finished, {result.stopped} stopped early, {result.failed} failed"
    spent = f"{states}; {result.epochs:,} epochs in {format_duration(result.wall_s)}."
    saved = f"{result.epochs_saved:,} epochs saved by stopping early"
    saved += f" and by {result.duplicates} duplicates not trained."
    about = [f"{headline}.", *([_describe_data(data)] if data else []), f"{spent} {saved}"]
    if result.interrupted:
        about.append(f"Cut short; to go on: `{_resume(result.name)}`.")
    if result.best is None:
        commonest = result.commonest_failure
        reason = f" The most common reason: {commonest}" if commonest else ""
        return "\n\n".join([f"**No trial finished.**{reason}", *about])
    best = result.rows[0]
    table = ["| | accuracy | loss | training time | trial |", "|---|---|---|---|---|"]
    for row in result.rows:
        numbers = f"{format_percent(row.accuracy)} | {row.loss:.4f}"
        table.append(f"| {row.what} | {numbers} | {format_duration(row.train_s)} | {row.trial} |")
    accuracy = f"**{format_percent(best.accuracy)} on the validation split**"
    title = f"{accuracy} by {best.trial}, which it was chosen by."
    export = ["ktg", "export", result.name]
    look = (
        "Under *Artifacts*: `report.html`, `best.svg`, `best.yaml`. The best graph as a file: "
        f"`{shlex.join([*export, '-o', 'best.yaml'])}`; its network in the model registry: "
        f"`{shlex.join([*export, '--register', 'NAME'])}`."
    )
    return "\n\n".join([title, "\n".join(table), *about, look])


def _resume(name: str) -> str:
    return shlex.join(["ktg", "search", name, "--resume"])


def _describe_data(data: UsedData) -> str:
    counts = ", ".join(f"{number:,} {what}" for what, number in data.counts.items())
    return f"Data: {data.name} ({counts})."
