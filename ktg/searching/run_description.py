"""What a search's run says of itself in words, as MLflow shows it above the figures: Markdown."""

import shlex

from ktg.searching.progress import duration, headline
from ktg.searching.result import Result
from ktg.searching.trials import Ledger
from ktg.tracking import UsedData


def beginning(ledger: Ledger, name: str, data: UsedData | None) -> str:
    """Return what is searched, while it is."""
    lines = [f"{headline(ledger.space, name)}.", *([_data(data)] if data else [])]
    again = shlex.join(["ktg", "search", name, "--resume"])
    return "\n\n".join(
        [
            *lines,
            f"`ktg status {shlex.quote(name)}` says how far it is. If it is cut short: `{again}`.",
        ]
    )


def ending(result: Result, headline: str, data: UsedData | None) -> str:
    """Return what came of it, and where to go on. `headline` is what was searched."""
    states = f"{result.finished} finished, {result.stopped} stopped early, {result.failed} failed"
    spent = f"{states}; {result.epochs:,} epochs in {duration(result.wall_s)}."
    saved = f"{result.epochs_saved:,} epochs saved by stopping early and by {result.duplicates} duplicates not trained."
    about = [f"{headline}.", *([_data(data)] if data else []), f"{spent} {saved}"]
    if result.interrupted:
        about.append(
            f"Cut short; to go on: `{shlex.join(['ktg', 'search', result.name, '--resume'])}`."
        )
    if result.best is None:
        reason = (
            f" The most common reason: {result.commonest_failure}"
            if result.commonest_failure
            else ""
        )
        return "\n\n".join([f"**No trial finished.**{reason}", *about])
    best = result.rows[0]
    table = ["| | accuracy | loss | training time | trial |", "|---|---|---|---|---|"]
    table += [
        f"| {row.what} | {100 * row.accuracy:.2f} % | {row.loss:.4f} | {duration(row.train_s)} | {row.trial} |"
        for row in result.rows
    ]
    title = f"**{100 * best.accuracy:.2f} % on the validation split** by {best.trial}, which it was chosen by."
    export = ["ktg", "export", result.name]
    look = (
        "Under *Artifacts*: `report.html`, `best.svg`, `best.yaml`. The best graph as a file: "
        f"`{shlex.join([*export, '-o', 'best.yaml'])}`; its network in the model registry: "
        f"`{shlex.join([*export, '--register', 'NAME'])}`."
    )
    return "\n\n".join([title, "\n".join(table), *about, look])


def _data(data: UsedData) -> str:
    counts = ", ".join(f"{number:,} {what}" for what, number in data.counts.items())
    return f"Data: {data.name} ({counts})."
