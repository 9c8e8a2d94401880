"""Writes the nodes of a plan, target and teacher, and why they are as they are."""

from typing import Any

from ktg.graph.recipes import find_recipe
from ktg.proposing.opening import TARGET, TEACHER
from ktg.proposing.plan import Plan
from ktg.proposing.teacher import TRAINED_FROM, Teacher, is_for_probe
from ktg.wording import round_minutes

# The middle of a range is what `alone` uses: the recipe's rate, so that of pretrained weights
# `head, then fine-tuning` is the same graph, which takes no time of its own. Few: see
# `ktg.graph.recipes`.
SPAN = 10 / 3  # from the recipe's rate to either end of its range
FEW, FEW_RATES = 60, [0.00004, 0.001]  # training images, and the rates for pretrained weights there


def propose_nodes(plan: Plan) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the nodes of a space, by name, and by dotted place the reason for what they say."""
    nodes = {TARGET: _target(plan)}
    reasons = {f"nodes.{TARGET}.model": _explain_target(plan)}
    if len(plan.sides) > 1:
        reasons[f"nodes.{TARGET}.input_size"] = _explain_sides(plan)
    if plan.sources:
        reasons[f"nodes.{TARGET}.source"] = _explain_sources(plan)
    reasons[f"nodes.{TARGET}.optimizer"] = _explain_recipe(plan)
    reasons[f"nodes.{TARGET}.lr"] = "a safe range around the recipe's rate"
    if plan.teacher is not None:
        nodes[TEACHER] = _teacher(plan.teacher)
        if plan.noise is not None and not plan.images.unlabelled:
            nodes[TEACHER]["augment"] = "none"  # of the whole image it answers once for all trials
        reasons[f"nodes.{TEACHER}"] = _explain_teacher(plan, plan.teacher)
    return nodes, reasons


def _target(plan: Plan) -> dict[str, Any]:
    sides: dict[str, Any] = {}
    if len(plan.sides) > 1:
        sides = {"input_size": {"choice": list(plan.sides)}}
    elif plan.decoded_side > plan.sides[0]:
        sides = {"input_size": plan.sides[0]}
    names = plan.begins
    begins = {"source": names[0] if len(names) == 1 else {"choice": list(names)}}
    recipe = find_recipe({"model": plan.model, "source": names[0]}, {})
    few = plan.knows_photographs and plan.images.train < FEW
    rates = FEW_RATES if few else find_rates(recipe["lr"])
    warmup = min(recipe["warmup_epochs"], plan.length.epochs)
    own = {**recipe, "lr": {"log": rates}, "warmup_epochs": warmup}
    return {"model": plan.model, **begins, **sides, **own}


def find_rates(middle: float) -> list[float]:
    """Return a safe range of learning rates around that of a recipe.

    >>> find_rates(0.0003)
    [9e-05, 0.001]
    """
    return [float(f"{middle / SPAN:.3g}"), float(f"{middle * SPAN:.3g}")]


def _explain_recipe(plan: Plan) -> str:
    if plan.knows_photographs:
        return (
            "the recipe for pretrained weights: the head begins as a linear probe, batch norm "
            "keeps its statistics, and the rate is small"
        )
    return (
        "the recipe for a network that has seen no photographs: a rate that changes everything, "
        "and clipped gradients, without which some trainings collapse"
    )


def _teacher(teacher: Teacher) -> dict[str, Any]:
    weights = teacher.weights
    sides = {"input_size": weights.side} if weights.side else {}
    return {"model": weights.model, "source": weights.source, **sides, "epochs": teacher.epochs}


def _explain_sides(plan: Plan) -> str:
    lead = "the side in pixels at which the target sees the images. "
    shown = [f"{side} pixels {100 * score:.1f} %" for side, score in sorted(plan.probes.items())]
    if shown:
        lead += f"Accuracy of linear probes: {', '.join(shown)}. "
    return (
        f"{lead}The default is the largest at which enough epochs fit the budget and features are "
        "no worse; larger ones cost more, and their probes are tried, too"
    )


def _explain_target(plan: Plan) -> str:
    if plan.wishes.target is not None:
        return "the target, which is deployed: as you say"
    if not plan.sources:
        return "a small network that can learn from nothing"
    millions = plan.sources[0].parameters / 1e6
    return (
        f"the target, which is deployed: {millions:.1f} M parameters; of the small networks with "
        "weights here the smallest whose features suit the images as well as the best's, at the "
        "side for which there is time"
    )


def _explain_sources(plan: Plan) -> str:
    scores = plan.ranking.scores
    shown = [f"{one.source} {100 * scores[one]:.1f} %" for one in plan.ranking.of_model(plan.model)]
    first = plan.sources[0]
    told = f"; {first.source}: {first.told}" if first.told else ""
    return (
        f"accuracy of linear probes on {plan.ranking.images} training images: "
        f"{', '.join(shown[:6])}{told}. "
        f"Kept: what is within chance of the best{_say_if_guessing(plan)}{_say_if_new(plan)}"
    )


def _say_if_new(plan: Plan) -> str:
    """Return why nothing comes first where the best weights have seen no photographs."""
    if plan.knows_photographs:
        return ""
    return (
        ". Nothing comes first: with ten images a class a ResNet20 that began from nothing was "
        "right on 6.9 points more (+1.9 to +11.9, six sets) than one from zoo/fractals, each by "
        "its recipe"
    )


def _say_if_guessing(plan: Plan) -> str:
    """Return what to add where even the best weights tell the classes hardly better than chance."""
    counts = plan.images.counts["train"]
    guessing = max(counts) / max(1, sum(counts))
    if plan.ranking.scores[plan.sources[0]] > guessing + plan.ranking.error:
        return ""
    return (
        f". None is proven better than naming the largest class, {100 * guessing:.1f} %: these "
        "weights seem to know little of such images"
    )


def _explain_teacher(plan: Plan, teacher: Teacher) -> str:
    weights, first = teacher.weights, next(iter(plan.sources), None)
    least = plan.ranking.scores[first] if first else 0.0
    own = f", the target's {100 * least:.1f} %" if first else ""
    if teacher.at_target_side is not None:
        own = (
            f" at {weights.side} pixels, the best at those of the target "
            f"{100 * teacher.at_target_side:.1f} %{own}; it answers once for each image, so that "
            "it may see more of it"
        )
    if teacher.score < least:
        own += f", which {plan.ranking.images} images do not prove to be better"
    if first and (first.model, first.source) == (weights.model, weights.source):
        who = "the target's own weights teach, by larger images"
    elif first and weights.parameters > first.parameters:
        who = "a larger network teaches"
    else:
        who = "the best of the weights here teach"
    return (
        f"{who} ({weights.parameters / 1e6:.1f} M parameters, {weights.told}): the probe has "
        f"{100 * teacher.score:.1f} %{own}; {_explain_training(plan, teacher)}"
    )


def _explain_training(plan: Plan, teacher: Teacher) -> str:
    if teacher.epochs:
        once = f"it is trained once for {teacher.epochs} epochs ({round_minutes(teacher.seconds)})"
        return f"{once}, for all trials"
    if plan.noise:
        return "as a linear probe, because training would learn wrong labels by heart"
    if is_for_probe(plan.images, teacher.weights.side or plan.decoded_side):
        few = f"with fewer than {TRAINED_FROM} images of each class"
        return f"as a linear probe, which {few} teaches more than a trained network"
    return "as a linear probe, because its training would not fit the budget"
