"""Runs the race at the end of a search: new seeds of the best graphs, and the best mean wins.

The best of many single trainings is the luckiest: its score says more than another training would
find. So the last part of a search trains its best graphs, the tuned control and the baselines again
with new seeds, the same seeds for all, round by round. A graph is out once the leader is proven
better on the seeds of both, or a training of it failed. The scores of the new seeds alone say who
wins, since those of the search chose who takes part. All is a pure function of what has been
trained, so that a search that was interrupted goes on, and a report finds the same winner.

The winner is the best mean, or who is expected to be best by that and by what its kind is worth
elsewhere: see `contestants.py`.

Where each trial has a fold of its own (`search.folds`), so has each new seed: the race is paired by
both, and its intervals cover images and seeds, but for what the trainings have in common.
"""

from collections.abc import Collection, Mapping, Sequence

from ktg.searching.contestants import Contestant, compare, pair, rank
from ktg.searching.expectation import measure_image_std

FIRST_SEED = 101  # of the race, above the seeds of the search; a confirmation begins at 1,000
MOST_CANDIDATES = 4  # beside the control and the baselines
FEWEST_ROUNDS = 3  # that the time should suffice for; else fewer graphs take part
FEWEST_STARTERS = 2


def leave_out_twins(
    contestants: Collection[Contestant], keys: Mapping[int, str], begun: Collection[int]
) -> list[Contestant]:
    """Return the contestants, but one of those that differ in their seed alone.

    New seeds of these would be the same trainings. It is whoever has begun, else a rival, else the
    best. keys: by number, equal for such graphs. begun: the numbers of those that have.
    """

    def place(one: Contestant) -> tuple[bool, bool, tuple[float, float, int]]:
        return (one.number not in begun, not one.is_rival, _by_one_score(one))

    found: dict[str, Contestant] = {}
    for one in sorted(contestants, key=place):
        found.setdefault(keys[one.number], one)
    return list(found.values())


def choose_starters(contestants: Sequence[Contestant], allowance_s: float) -> list[Contestant]:
    """Return who takes part in a race of `allowance_s` device seconds, the best first.

    These are the best few by their one score, or by what is expected by it, and all rivals, as long
    as the time is likely to suffice for FEWEST_ROUNDS with each and with the teachers that a round
    makes; but at least two, one of which is a rival if there is one. Whoever has run stays, unless
    a training of it failed.
    """
    able = [one for one in contestants if not one.is_exact and not one.failed]
    able.sort(key=_by_one_score)
    candidates = [one for one in able if not one.is_rival][:MOST_CANDIDATES]
    rivals = [one for one in able if one.is_rival]
    entered = sorted((*candidates, *rivals), key=_by_one_score)
    chosen: list[Contestant] = []
    made: frozenset[str] = frozenset()
    round_s = 0.0
    for one in [*_first(entered), *entered]:
        longer_s = round_s + one.cost_s + (0.0 if one.teachers <= made else one.making_s)
        fits = FEWEST_ROUNDS * longer_s <= allowance_s
        if one not in chosen and (fits or len(chosen) < FEWEST_STARTERS):
            chosen.append(one)
            made |= one.teachers
            round_s = longer_s
    chosen += [one for one in able if one.runs and one not in chosen]
    return sorted(chosen, key=_by_one_score)


def _first(entered: Sequence[Contestant]) -> list[Contestant]:
    """Return the best graph and the best rival, or the best two where one of them is no rival."""
    rival = next((one for one in entered if one.is_rival), None)
    return [*entered[:1], *([rival] if rival else [])]


def _by_one_score(one: Contestant) -> tuple[float, float, int]:
    return (-(one.score if one.promise is None else one.promise), one.loss, one.number)


def find_dropped(contestants: Sequence[Contestant]) -> set[int]:
    """Return the numbers of those that the leader is proven to be better than.

    The leader is ranked first of those with the most new seeds. The intervals hold all at once with
    95 %, and in all rounds together; where it is known on how few images, they cover other images,
    too.
    """
    most = max((one.runs for one in contestants), default=0)
    if most < 2:
        return set()
    leader = rank([one for one in contestants if one.runs == most])[0]
    others = [one for one in contestants if one is not leader]
    dropped = set()
    for one in others:
        # Who looks again in each round is wrong more often: of the 5 % each look may spend 1/2,
        # 1/6, 1/12 ... (n pairs: 1 / (n (n - 1))), which is 1 in the end.
        pairs = len(pair(leader, one))
        interval = compare(leader, one, pairs * (pairs - 1) * len(others))
        if interval is not None and interval[0] > _measure_margin(leader, one):
            dropped.add(one.number)
    return dropped


def _measure_margin(a: Contestant, b: Contestant) -> float:
    """Return how much other images may change of a difference beside seeds, as far as is known."""
    if a.images is None or b.images is None or a.kind == b.kind:
        return 0.0
    level = min(1.0, max(0.0, (a.mean + b.mean) / 2))
    return 2 * measure_image_std(level, min(a.images, b.images))


def choose_next(
    starters: Sequence[Contestant], begun: Mapping[int, Collection[int]], first_seed: int
) -> tuple[Contestant, int] | None:
    """Return who runs next, and with which seed: who has begun the fewest, of those not dropped.

    begun: by number the seeds of trainings that have begun, whatever became of them.
    Returns None where no two are left, for then the race is over.
    """
    dropped = find_dropped(starters)
    left = [one for one in starters if one.number not in dropped]
    if len(left) < 2:
        return None
    chosen = min(left, key=lambda one: (len(begun.get(one.number, ())), _by_one_score(one)))
    return chosen, first_seed + len(begun.get(chosen.number, ()))
