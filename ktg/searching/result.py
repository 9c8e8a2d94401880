"""Summarizes a search: the best graph, the baselines beside it, what was spent and saved."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ktg.errors import join_names
from ktg.graph import Graph, dump
from ktg.graph.space import MetricName
from ktg.intervals import Interval
from ktg.searching.advice import BEST, Advice, advise_by_validation, list_candidates
from ktg.searching.arms import MOST_REPEATS
from ktg.searching.asha import describe_stopping
from ktg.searching.baselines import (
    ALONE,
    COPIES,
    DISTILLATION,
    ENSEMBLE,
    FEWEST_TRIALS,
    MOST_OF_BUDGET,
    MUTUAL_LEARNING,
)
from ktg.searching.contestants import explain_choice, measure_standing
from ktg.searching.pool import (
    PooledEnsemble,
    describe_unkept,
    find_ensemble,
    pool_trainings,
)
from ktg.searching.score import WORDS, format_difference, format_score
from ktg.searching.search_queue import SearchQueue
from ktg.searching.trial import COLLAPSED, TUNED_ALONE, Trial
from ktg.searching.worth import TeacherWorth, judge_teacher


@dataclass(frozen=True)
class ResultRow:
    """One line of the final table, on the validation split: accuracy in [0, 1], loss in nats.

    accuracy, loss, train_s: of the one training in the search.
    score: by the metric of the search, higher is better (a loss is negated): the mean over `n` new
    seeds, with deviation `std`; of the one training where n is 0. expected: that score drawn
    towards those of all graphs, None where too little is known for it.
    difference: the best graph's score minus this one, over the seeds of both, with the interval of
    95 % over seeds; None where they have none, and for the best graph itself.
    is_exact: whether another seed would change nothing. note: what is wrong with it, empty for
    nothing.
    """

    what: str
    trial: str
    accuracy: float
    loss: float
    train_s: float
    score: float
    n: int = 0
    std: float | None = None
    expected: float | None = None
    difference: float | None = None
    interval: Interval | None = None
    is_exact: bool = False
    note: str = ""

    def describe_score(self, metric: MetricName) -> str:
        """Return the score with its deviation, and whether the training collapsed."""
        score = format_score(metric, self.score)
        if self.std is not None:
            score += f" +- {format_difference(metric, self.std).lstrip('+')}"
        if self.note.startswith(COLLAPSED):
            score += f" ({COLLAPSED})"
        return score

    def describe_expected(self, metric: MetricName) -> str:
        """Return the score to expect of it; empty where it is unknown."""
        return "" if self.expected is None else format_score(metric, self.expected)

    def describe_difference(self, metric: MetricName) -> str:
        """Return how far the best graph is ahead, with the interval; empty where it is unknown."""
        if self.difference is None:
            return ""
        ahead = format_difference(metric, self.difference)
        if self.interval is None:
            return ahead
        low, high = (format_difference(metric, end) for end in self.interval)
        return f"{ahead} ({low} to {high})"

    @property
    def basis(self) -> str:
        """What its score rests on, in words."""
        if self.n > 1:
            return f"the mean of {self.n} trainings with new seeds"
        if self.n:
            return "that of one training with a new seed"
        if self.is_exact:
            return "the same with every seed, as nothing is trained"
        return "one training of many, so that luck is a part of it"


@dataclass(frozen=True)
class Result:
    """The end of a search. `best` is None when no trial finished.

    `wall_s` counts from the first record in the tracking store, once Ray has started: so do `ktg
    status` and the pages. `confirmation` is what `ktg confirm --json` prints of it, None where that
    was not asked for.
    `stopping`: what a scheduler stopped and saved, in sentences; None without one.
    `metric`: what the graphs are compared by. `left_s`: seconds of the budget that were left at
    the end, None without one; `repeat_s`: how long training the best graph on as many images takes
    when nothing runs beside it, its teachers made anew; `repeats`: trainings of the race;
    `warnings` are sentences that the user should not miss. `delivered`: the model that was written
    (`ktg.api.deliver.Delivered`), None where that was not asked for. `undelivered`: why there is
    none where it was. `skipped`: files that `data.corrupt: skip` has left out.
    `pool`: the greedy ensemble of all trainings, None for fewer than two. `teacher`: what the best
    graph's teacher was good for, None where nothing teaches its target. `val_images`: how many
    images the graphs were chosen by, None where not known. `exhausted`, `ran_dry`: see
    `end_of_space`. `run`: the tracker's id of the search, of which an experiment may hold several.
    """

    name: str
    best: Graph | None
    rows: tuple[ResultRow, ...]
    finished: int
    stopped: int
    failed: int
    duplicates: int
    epochs: int
    epochs_saved: int
    wall_s: float
    interrupted: bool
    exhausted: bool
    commonest_failure: str | None
    confirmation: Mapping[str, Any] | None = None
    ship: Advice | None = None
    metric: MetricName = "accuracy"
    left_s: float | None = None
    repeat_s: float = 0.0
    repeats: int = 0
    stopping: str | None = None
    warnings: tuple[str, ...] = ()
    delivered: Any = None
    undelivered: str | None = None
    skipped: tuple[str, ...] = ()
    pool: PooledEnsemble | None = None
    teacher: TeacherWorth | None = None
    val_images: int | None = None
    ran_dry: bool = False
    run: str | None = None

    @property
    def end_of_space(self) -> str | None:
        """Why there were no more graphs to train, in a sentence; None where there may have been."""
        if self.exhausted:
            return "The space is exhausted: every graph in it that could be trained was."
        if self.ran_dry:
            draws = f"{MOST_REPEATS} draws"
            return f"The whole space gave no more graphs: {draws} in a row brought no new one."
        return None

    @property
    def measure(self) -> str:
        """What the graphs are compared by, in words."""
        return WORDS[self.metric]

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        apart = ("best", "rows", "ship", "delivered", "pool", "teacher", "run")
        plain = {key: value for key, value in vars(self).items() if key not in apart}
        plain["rows"] = [vars(row) for row in self.rows]
        plain["ship"] = self.ship and self.ship.to_json()
        plain["pool"] = self.pool and self.pool.to_json()
        plain["teacher"] = self.teacher and self.teacher.to_json()
        plain["delivered"] = self.delivered and self.delivered.to_json()
        return plain | {"best": None if self.best is None else dump(self.best)}


def summarize_search(
    queue: SearchQueue, name: str, wall_s: float, images: int | None = None
) -> Result:
    """Return the result of a search from its queue; images: how many it chose by, if known."""
    best, finished, stopped = queue.best, queue.in_state("finished"), queue.in_state("stopped")
    reasons = [trial.reason or "" for trial in queue.in_state("failed")]
    shown = [(BEST, best)] if best else []
    if (tuned := queue.tuned_alone) and tuned is not best:
        shown.append((TUNED_ALONE, tuned))
    # Of two with one name, as where weights have gone in between, the later one counts.
    named = {one.baseline: one for one in finished if one.baseline}
    shown += named.items()
    raced = [one for one in finished if one.race_of is not None]
    rows, repeats = build_rows(queue, shown), sum(one.race_of is not None for one in queue.trials)
    budget_s = queue.space.search.budget_s
    pooled = pool_trainings(finished, best) if best else []
    unkept = describe_unkept(pooled)
    by_scheduler = [trial for trial in stopped if trial.rung is not None]
    saved_by_stopping = sum(trial.graph.train.epochs - trial.epoch for trial in by_scheduler)
    return Result(
        name=name,
        best=best.graph if best else None,
        rows=rows,
        finished=len(finished),
        stopped=len(stopped),
        failed=len(reasons),
        duplicates=len(queue.duplicates),
        epochs=sum(trial.epoch for trial in queue.trials),
        epochs_saved=saved_by_stopping + sum(one.of.epoch for one in queue.duplicates),
        wall_s=wall_s,
        interrupted=queue.is_interrupted,
        exhausted=queue.exhausted,
        ran_dry=queue.ran_dry,
        commonest_failure=max(reasons, key=reasons.count, default=None),
        ship=advise_by_validation(
            list_candidates(shown, queue.contestants, queue.metric), images, queue.metric
        ),
        metric=queue.metric,
        left_s=None if budget_s is None else budget_s - queue.time.reserve.spent_s - queue.now_s,
        repeat_s=queue.time.repeat_s,
        repeats=repeats,
        stopping=describe_stopping(queue.space.search, queue.trials, queue.fold_effects),
        warnings=(*warn(queue, rows), *([unkept] if unkept else ())),
        pool=find_ensemble(pooled, queue.metric),
        teacher=judge_teacher(best, named.get(ALONE), raced) if best else None,
        val_images=images,
    )


def build_rows(queue: SearchQueue, shown: Sequence[tuple[str, Trial]]) -> tuple[ResultRow, ...]:
    """Return a row for each of the named trials, of which the first is the best."""
    contestants = {one.number: one for one in queue.contestants}
    rows: list[ResultRow] = []
    for what, trial in shown:
        one, best = contestants[trial.number], contestants[shown[0][1].number]
        standing = measure_standing(one, best, contestants.values(), queue.metric)
        rows.append(
            ResultRow(
                what,
                trial.name,
                trial.accuracy,
                trial.loss,
                trial.train_s,
                score=standing.score,
                n=one.runs,
                std=one.std,
                expected=standing.expected,
                difference=standing.ahead,
                interval=standing.interval,
                is_exact=one.is_exact,
                note=trial.fault,
            )
        )
    return tuple(rows)


def _explain_baseline(queue: SearchQueue, name: str) -> str:
    """Return why a baseline is the best graph: none was better, or none was trained to its end."""
    if any(trial.state == "finished" for trial in queue.searched):
        found = f"No graph of the search is better than the baseline {name}"
        return f"{found}, which is therefore the best graph."
    first = "No graph of the space was trained to its end, so that only baselines are compared"
    return f"{first}; the best of them is {name}. More time may find a better graph."


def warn(queue: SearchQueue, rows: Sequence[ResultRow]) -> Iterator[str]:
    """Yield what the user of a search should not miss, in sentences."""
    best = queue.best
    if best is None:
        return
    if (why := explain_choice(queue.contestants, queue.metric)) is not None:
        yield why
    if best.baseline is not None:
        yield _explain_baseline(queue, best.baseline)
    elif best.arm == TUNED_ALONE:
        yield "No graph of several networks is better than the target tuned alone."
    elif rows[0].note:
        yield f"The best graph: {rows[0].note}."
    if best.is_collapsed:
        yield f"{best.name} {rows[0].note}; every other one is no better."
    else:
        collapsed = sum(one.is_collapsed for one in queue.closed)
        if collapsed:
            which = "1 training" if collapsed == 1 else f"{collapsed} trainings"
            yield f"{which} collapsed: the network said the same of all images."
    yield from _warn_of_time(queue)


def _warn_of_time(queue: SearchQueue) -> Iterator[str]:
    """Yield which baselines are missing, because their time was missed elsewhere or was over."""
    if any(queue.time.is_too_dear(one) for one in queue.in_state("stopped")):
        share = f"more than 1/{1 / MOST_OF_BUDGET:g} of the search"
        yield f"The baseline {MUTUAL_LEARNING} was ended early: it would have taken {share}."
    if queue.is_interrupted:
        return
    if late := queue.late_baselines:
        names = f"baseline{'s' if len(late) > 1 else ''} {join_names(late)}"
        yield f"There was no time for the {names}."
    if queue.lacks_ensemble:
        least = f"a search of {FEWEST_TRIALS} trials, or of {1 / MOST_OF_BUDGET:g} times their time"
        why = f": its {COPIES + 1} trainings need {least}"
        if queue.lost_ensemble:
            why = f", because {DISTILLATION}, by which its time is reckoned, failed"
        yield f"The baseline {ENSEMBLE} was left out{why}."
