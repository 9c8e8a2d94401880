"""Describes a search's run in words, as MLflow shows it above the charts: Markdown."""

import shlex

from ktg.graph import LABEL, Edge, Graph
from ktg.graph.canonical import live_nodes, open_edges
from ktg.graph.parse import edge_key
from ktg.searching.last_words import resume_command
from ktg.searching.progress import format_headline
from ktg.searching.result import Result
from ktg.searching.score import WORDS, format_score
from ktg.searching.search_queue import SearchQueue
from ktg.searching.trial import Trial, name_trial
from ktg.tracking import UsedData
from ktg.wording import count, format_duration, format_setting


def describe_start(queue: SearchQueue, name: str, data: UsedData | None) -> str:
    """Return what is being searched, and how to see more or go on."""
    lines = [f"{format_headline(queue.space, name)}.", *([_describe_data(data)] if data else [])]
    status = f"`ktg status {shlex.quote(name)}` says how far it is."
    lines.append(f"{status} If it is cut short: `{resume_command(name)}`.")
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
        about.append(f"Cut short; to go on: `{resume_command(result.name)}`.")
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


def describe_trial(trial: Trial, search: str) -> str:
    """Return what a trial trained, what came of it, and how to train its graph again."""
    spent = f"{count(trial.epoch, 'epoch')} in {format_duration(trial.train_s)}"
    if trial.state == "failed":
        ended = f"**Failed** after {spent}: {trial.reason}."
    elif trial.state == "finished":
        score = f"**{format_score(trial.metric, trial.score)} {WORDS[trial.metric]}**"
        ended = f"{score} on the validation split: one training, {spent}."
    else:
        ended = f"**Stopped** after {spent}, of {trial.graph.train.epochs}."
    again = f" This is {name_trial(trial.race_of)} with another seed." if trial.race_of else ""
    place = f"The page of the search `{search}` says what new seeds have made of the best.{again}"
    look = "Under *Artifacts*: `graph.svg`, and `graph.yaml`, which `ktg train` takes."
    graph = trial.graph
    return "\n\n".join([ended, _describe_nodes(graph), _describe_edges(graph), place, look])


def _describe_nodes(graph: Graph) -> str:
    rows = ["| network | model | begins with | epochs |", "|---" * 4 + "|"]
    for name in live_nodes(graph):
        node = graph.nodes[name]
        what = f"{name}, the target" if name == graph.target else name
        rows.append(f"| {what} | {node.model} | {node.source} | {graph.epochs_of(name)} |")
    return "\n".join(rows)


def _describe_edges(graph: Graph) -> str:
    """Return the open edges between what is trained, a line each."""
    live = {LABEL, *live_nodes(graph)}
    pairs = {pair: edge for pair, edge in open_edges(graph).items() if live.issuperset(pair)}
    return "\n".join(
        f"- `{edge_key(*pair)}`: {_describe_edge(edge)}" for pair, edge in pairs.items()
    )


def _describe_edge(edge: Edge) -> str:
    factors = {"temperature": edge.temperature, "weight": edge.weight}
    unusual = [f"{name} {format_setting(own)}" for name, own in factors.items() if own != 1]
    return ", ".join([edge.loss, f"gate {edge.gate}", *unusual])


def _describe_data(data: UsedData) -> str:
    counts = ", ".join(f"{number:,} {what}" for what, number in data.counts.items())
    return f"Data: {data.name} ({counts})."
