"""Describes a search's run in words, as MLflow shows it above the charts: Markdown."""

import shlex

from ktg.searching.progress import format_headline
from ktg.searching.result import Result
from ktg.searching.score import WORDS, format_score
from ktg.searching.search_queue import SearchQueue
from ktg.tracking import UsedData
from ktg.wording import count, format_duration


def describe_start(queue: SearchQueue, name: str, data: UsedData | None) -> str:
    """Return what is being searched, and how to see more or go on."""
    lines = [f"{format_headline(queue.space, name)}.", *([_describe_data(data)] if data else [])]
    status = f"`ktg status {shlex.quote(name)}` says how far it is."
    lines.append(f"{status} If it is cut short: `{_resume(name)}`.")
    return "\n\n".join(lines)


def describe_end(result: Result, headline: str, data: UsedData | None) -> str:
    """Return what came of it, and where to go on. headline: what was searched."""
    states = f"{result.finished} finished, {result.stopped} stopped early, {result.failed} failed"
    spent = f"{states}; {count(result.epochs, 'epoch')} in {format_duration(result.wall_s)}."
    saved = f"{count(result.epochs_saved, 'epoch')} saved by stopping early"
    saved += f" and by {count(result.duplicates, 'duplicate')} not trained."
    saved += f" {result.stopping}" if result.stopping else ""
    about = [f"{headline}.", *([_describe_data(data)] if data else []), f"{spent} {saved}"]
    if result.interrupted:
        about.append(f"Cut short; to go on: `{_resume(result.name)}`.")
    if result.best is None:
        commonest = result.commonest_failure
        reason = f" The most common reason: {commonest}" if commonest else ""
        return "\n\n".join([f"**No trial finished.**{reason}", *about])
    best = result.rows[0]
    columns = (WORDS[result.metric], "new seeds", "the best minus it", "training time", "trial")
    table = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for row in result.rows:
        score, seeds = row.describe_score(result.metric), str(row.n) if row.n else ""
        ahead, time = row.describe_difference(result.metric), format_duration(row.train_s)
        cells = (row.what, score, seeds, ahead, time, row.trial)
        table.append(f"| {' | '.join(cells)} |")
    score = f"**{format_score(result.metric, best.score)} on the validation split**"
    title = f"{score}: {WORDS[result.metric]} of {best.trial}, {best.basis}."
    about = [*([result.ship.sentence] if result.ship else []), *result.warnings, *about]
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
