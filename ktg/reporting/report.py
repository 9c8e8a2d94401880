"""Gathers everything that a report says, as plain data; its page shows no other numbers."""

import time
from typing import Any

from ktg.graph import dump
from ktg.reporting.afterwards import read_delivered, read_distilled
from ktg.reporting.against_baselines import (
    advise_by_search,
    compare_with_baselines,
    count_validation_images,
    read_confirmation,
)
from ktg.reporting.choices import count_choices
from ktg.reporting.cost import sum_costs
from ktg.reporting.curves import (
    read_gate_curves,
    read_node_curves,
    read_scores,
    summarize_end,
    trace_best,
)
from ktg.reporting.importances import correlate_rungs, measure_importances
from ktg.reporting.levels import read_level
from ktg.reporting.mistakes import EpochCallback, find_mistakes
from ktg.reporting.networks import describe_networks, describe_teacher
from ktg.reporting.pooled import describe_pool
from ktg.reporting.settings import compare_with_alone, list_settings
from ktg.reporting.source_results import compare_sources
from ktg.searching.contestants import explain_choice
from ktg.searching.score import WORDS, to_value
from ktg.searching.stored_search import StoredSearch, StoredTrial
from ktg.searching.worth import judge_teacher
from ktg.version import __version__
from ktg.wording import format_utc


def make_report(
    search: StoredSearch, *, retrain: bool | None = None, on_epoch: EpochCallback | None = None
) -> dict[str, Any]:
    """Return the report of a search. Accuracies are shares of one, losses nats, times seconds.

    retrain: whether the best graph is trained again to see its mistakes; None: if that takes under
    a minute.
    on_epoch: called with (epoch, all) while it is trained.
    Raises UserError for a search that this version cannot read.
    """
    search.check_readable()
    best, wrong = search.best, find_mistakes(search, retrain=retrain, on_epoch=on_epoch)
    confirmed = read_confirmation(search)
    graph, images = best.graph, count_validation_images(search) or wrong.get("images")
    return {
        "version": 1,
        "experiment": search.experiment.name,
        "search": _describe_search(search),
        "best": {
            "trial": best.name,
            "run": best.run.id,
            "baseline": best.baseline,
            "level": read_level(search, best).to_json(),
            "note": best.fault,
            "seed": graph.train.seed,
            "epochs": best.epochs,
            "graph": dump(graph),
            "settings": list_settings(graph),
            "minus_alone": compare_with_alone(search),
            **_describe_networks(search, images),
            "nodes": read_node_curves(search, graph),
            "gates": read_gate_curves(search, graph),
            "at_end": summarize_end(search, graph, images),
        },
        "validation_images": images,
        "comparison": compare_with_baselines(search, images),
        "chosen": explain_choice(search.contestants, search.metric),
        "chosen_by_kind": search.best.kind is not None and search.images is not None,
        "confirmation": confirmed,
        "ship": confirmed.get("ship") if confirmed else advise_by_search(search, images),
        "pool": describe_pool(search),
        "distilled": read_distilled(search),
        "delivered": read_delivered(search),
        "progress": trace_best(search),
        "importance": measure_importances(search),
        "choices": count_choices(search),
        "rungs": correlate_rungs(search),
        "affinity": compare_sources(search, graph),
        "trials": [_describe_trial(trial) for trial in search.trials],
        "sampled": sum(trial.state == "finished" for trial in search.sampled),
        "cost": sum_costs(search),
        "mistakes": wrong,
        "environment": describe_environment(search),
    }


def _describe_networks(search: StoredSearch, images: int | None) -> dict[str, Any]:
    """Return the networks of the best graph, and what its best teacher was good for."""
    graph = search.best.graph
    end = summarize_end(search, graph, images)["nodes"]
    networks = describe_networks(graph, end, int(search.run.tags.get("data.classes", 10)))
    worth = judge_teacher(search.best, search.alone, search.raced)
    return {"networks": networks, "teacher": describe_teacher(networks, worth)}


def describe_environment(search: StoredSearch) -> dict[str, Any]:
    """Return on what a search ran, with which versions and seeds, and on which data."""
    tags, prefix = search.run.tags, "version."
    versions = {
        key.removeprefix(prefix): value for key, value in tags.items() if key.startswith(prefix)
    }
    counted = [what for what in ("classes", "train", "val") if f"data.{what}" in tags]
    seeds = {int(trial.run.tags["seed"]) for trial in search.trials if "seed" in trial.run.tags}
    return {
        "machine": tags.get("machine"),
        "python": tags.get("python"),
        "versions": versions,
        "data_fingerprint": tags.get("data.fingerprint"),
        "data_skipped": tags.get("data.skipped"),
        "data": {what: int(tags[f"data.{what}"]) for what in counted},
        "sampler_seed": search.space.search.seed,
        "training_seeds": sorted(seeds),
        "reported": format_utc(time.time()),
        "reported_by": __version__,
    }


def _describe_search(search: StoredSearch) -> dict[str, Any]:
    asked = search.space.search
    settings = {**vars(asked), "trials": asked.most_trials}.items()
    return {
        **search.to_json(),
        "name": search.run.name,
        "state": search.state,
        "metric": search.metric,
        "metric_words": WORDS[search.metric],
        "unfinished": search.state == "running",
        "settings": {key: value for key, value in settings if value is not None},
        "holes": len(search.space.holes),
        "graphs": search.space.size(),
    }


def _describe_trial(trial: StoredTrial) -> dict[str, Any]:
    return {
        "trial": trial.name,
        "state": trial.state,
        "baseline": trial.baseline,
        "epoch": trial.epoch,
        "epochs": trial.epochs,
        "train_s": trial.train_s,
        "values": trial.values,
        "val_accuracy": list(trial.curve),
        "values_by_epoch": [to_value(trial.search.metric, one) for one in read_scores(trial)],
        "reason": trial.run.tags.get("reason"),
        "note": trial.fault if trial.state in ("finished", "stopped") else "",
    }
