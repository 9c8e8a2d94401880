"""Writes a plan as a search space: plain data, and YAML with a comment above every choice."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktg.graph import Data
from ktg.graph.fields import to_plain
from ktg.graph.parse import FORMAT_VERSION
from ktg.graph.paths import make_paths_relative
from ktg.graph.yaml_files import dumps
from ktg.proposing.commented_yaml import weave_comments, write_comment
from ktg.proposing.node_text import propose_nodes
from ktg.proposing.opening import LONG_LEAD, SECOND, TARGET, TEACHER, Need, choose_opening
from ktg.proposing.plan import BATCH, BATCH_OF_FEW, FEW, Plan
from ktg.proposing.resolution import (
    TAUGHT_STEPS,
    count_trainings,
    list_sides,
    most_epochs,
    usual_epochs,
)
from ktg.proposing.weights_here import WeightsHere
from ktg.proposing.wrong_labels import (
    choose_second,
    explain_noise,
    propose_label_edge,
    propose_second,
)
from ktg.wording import round_minutes


@dataclass(frozen=True)
class ProposedSpace:
    """A space as plain data with absolute paths, and by dotted place the reason for what it says.

    about: what the file is, and what the folder holds; notes: what is odd about images or weights.
    Both stand at the top of the file.
    """

    plain: Mapping[str, Any]
    reasons: Mapping[str, str]
    about: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What holds for the whole."""
        return (*self.about, *self.notes)

    def to_yaml(self, folder: Path) -> str:
        """Return the space as YAML for a file in `folder`, a comment above each choice."""
        text = dumps(make_paths_relative(self.plain, folder.absolute()))
        head = [write_comment(remark, 0) for remark in self.remarks]
        return "\n".join([*head, *weave_comments(text, self.reasons)]) + "\n"


def make_space(plan: Plan, name: str, budget: str, groups: Path | None = None) -> ProposedSpace:
    """Return the search space of a plan. groups: the absolute place of their table, if any."""
    sections = {
        "data": _data(plan, groups),
        "train": _train(plan),
        "weights": _weights(plan),
        "nodes": propose_nodes(plan),
        "edges": _edges(plan),
    }
    second = _find_second(plan)
    if second is not None:
        score = plan.ranking.scores[second]
        _add_second(sections, second, score, beside=plan.images.unlabelled > 0)
    plain: dict[str, Any] = {"version": FORMAT_VERSION, "name": name}
    plain |= {key: found[0] for key, found in sections.items() if found[0]}
    reasons = {path: why for _, whys in sections.values() for path, why in whys.items()}
    search, whys = _search(plan, plain, budget)
    return ProposedSpace(plain | {"search": search}, reasons | whys, _about(plan), _notes(plan))


Section = tuple[dict[str, Any], dict[str, str]]


def _find_second(plan: Plan) -> WeightsHere | None:
    """Return a second teacher, whose probe helps where labels are wrong."""
    if plan.noise is None or plan.teacher is None:
        return None
    return choose_second(plan.ranking, plan.sources, plan.teacher.weights)


def _add_second(
    sections: Mapping[str, Section], second: WeightsHere, score: float, *, beside: bool
) -> None:
    node, edge, reasons = propose_second(second, score, beside=beside)
    sections["train"][0]["aggregate"] = "mean"
    sections["nodes"][0][SECOND] = node
    sections["edges"][0][f"{SECOND} -> {TARGET}"] = edge
    sections["nodes"][1].update(reasons)


def _about(plan: Plan) -> tuple[str, ...]:
    images = plan.images
    found = f"{images.train:,} training images of {len(images.classes)} classes"
    largest, smallest = images.extremes
    spread = f" (largest {largest}, smallest {smallest})" if images.imbalance > 1 else ", all equal"
    return (
        "A search space, written by `ktg init`: edit what you like, then `ktg search` it. "
        "`{choice: ...}` and `{log: ...}` are holes that the search fills; the first option is the "
        "default.",
        f"Here are {found}{spread}; {plan.machine.describe()}.",
    )


def _notes(plan: Plan) -> tuple[str, ...]:
    notes = []
    if not plan.sources:
        notes.append(
            f"No weights for {plan.model} are on this machine and none can be had from here, so it "
            "begins from nothing. `--weights MODEL=FILE` takes yours; `ktg source pretrain "
            f"fractaldb --preset tiny --model {plan.model}` makes some in minutes, which are not "
            "proven to be better than nothing."
        )
    elif not plan.knows_photographs:
        notes.append(
            f"Note: no weights of {plan.model} on this machine have seen photographs: it begins "
            f"from nothing, or from {plan.sources[0].source}. If yours are photographs, weights "
            "from ImageNet are worth far more: `--weights MODEL=FILE` takes a file, and `--target "
            "mobilenetv2_100` downloads published ones where there is a network"
        )
    notes += [explain_noise(plan.noise)] if plan.noise else []
    notes += [plan.groups.sentence] if plan.groups else []
    notes += [f"Note: {note}" for note in plan.images.notes]
    if plan.images.unlabelled and plan.teacher is None:
        why = (
            f"on {plan.ranking.images} training images no weights on this machine seem to know "
            f"more than those of {plan.model}, and a teacher that knows no more teaches nothing"
            if plan.ranking.scores
            else "no weights are on this machine that could teach"
        )
        notes.append(
            f"Note: {plan.images.unlabelled:,} images without a label are used by nothing: {why}. "
            "A node that you choose, with an edge to the target, uses them"
        )
    if plan.unusable:
        named = "; ".join(f"{name}: {why}" for name, why in list(plan.unusable.items())[:5])
        notes.append(f"Weights left out: {named}")
    return tuple(notes)


def _data(plan: Plan, groups: Path | None) -> Section:
    from ktg.models.architectures import find_usual_size

    images, length = plan.images, plan.length
    labels = {"labels": images.spec.labels} if images.spec.labels else {}
    data: dict[str, Any] = {"path": images.spec.path, **labels, "size": plan.decoded_side}
    epoch_s = plan.step.epoch_s(images.train, sum(images.counts["val"]))
    if plan.wishes.size:
        why = "as you say"
    elif len(plan.sides) > 1:
        why = f"the images have {images.side} pixels; decoded once, for all of `input_size`"
    else:
        is_most = plan.sides[0] == list_sides(images.side, find_usual_size(plan.model))[0]
        otherwise = "at which enough epochs fit the budget"
        why = f"the images have {images.side} pixels; it is the largest side "
        why += "of which this network makes use" if is_most else otherwise
    took = f"an epoch of {plan.model} at {length.side} pixels takes {epoch_s:.2g} s here"
    if plan.decoded_side > max(plan.sides):
        why = f"what the teacher sees; the target sees {length.side} pixels"
    reasons = {"data.size": f"{why}; {took}"}
    if plan.squares.scores:
        data["resize"] = plan.squares.resize
        reasons["data.resize"] = _explain_squares(plan)
    data["corrupt"] = images.spec.corrupt
    reasons["data.corrupt"] = "images that cannot be read are left out, and named"
    data["batch_size"] = plan.batch
    reasons["data.batch_size"] = (
        f"as the recipes were measured: {BATCH}, and {BATCH_OF_FEW} with few images, here fewer "
        f"than {FEW} to train on"
        if plan.batch < BATCH
        else f"as the recipes were measured: {BATCH}, where there are {FEW} images and more"
    )
    val = sum(images.counts["val"])
    if images.spec.val_fraction != Data().val_fraction:
        data["val_fraction"] = images.spec.val_fraction
        reasons["data.val_fraction"] = (
            f"{val} images to choose by: of fewer, one would be more than {100 / val:.1f} points; "
            "the last training sees them all"
        )
    if groups is not None:
        data["groups"] = str(groups)
    if images.unlabelled:
        data["unlabelled"] = "auto"
        reasons["data.unlabelled"] = (
            f"{images.unlabelled:,} images lie in the folder without a label; a teacher's answers "
            "on such images of the same kind were worth +7.7 points (+6.4 to +9.0)"
            if plan.teacher
            else "for a teacher that you may add; as it is nothing uses these images (see above)"
        )
    views = plan.teacher.views if plan.teacher else None
    if views is not None:
        data["views"] = views
        reasons["data.views"] = (
            f"each image in {views} augmented views, drawn once: so the teacher is asked once for "
            "all trials, after which an epoch costs what the target alone costs"
        )
    if images.is_imbalanced:
        data["balance"] = {"choice": ["loss", "sampling", "none"]}
        largest, smallest = images.extremes
        reasons["data.balance"] = (
            f"the classes are unequal ({largest}, {smallest}): loss counts each class alike, "
            "sampling draws each alike often"
        )
    return data, reasons


def _explain_squares(plan: Plan) -> str:
    named = {"crop": "their centres", "stretch": "whole images, squeezed"}
    shown = [f"{100 * score:.1f} % on {named[way]}" for way, score in plan.squares.scores.items()]
    whose = "of the weights here that suit their centres best"
    return f"the images are oblong; a linear probe {whose} has {', '.join(shown)}"


def _train(plan: Plan) -> Section:
    length = plan.length
    slots = plan.machine.slots
    fitting = count_trainings(plan.wishes.budget_s, slots, length.training_s)
    why = (
        f"measured: {round_minutes(length.training_s)} for one training on one of {slots} slots; "
        f"about {fitting} fit the budget of an idle machine, baselines and new seeds of the best "
        "included"
    )
    if plan.longer is not None:
        why += f"; {plan.longer} are tried, too"
        if plan.is_hurried:
            most = most_epochs(usual_epochs(plan.images.per_class))
            why += (
                f". No teacher is proposed where all images have labels and there is no time for "
                f"{most} epochs: until then patience is worth more"
            )
        return {"epochs": {"choice": [length.epochs, plan.longer]}}, {"train.epochs": why}
    if length.passes == 1:
        return {"epochs": length.epochs}, {"train.epochs": why}
    measured = (
        f"{TAUGHT_STEPS:,} steps or more where there is time; on images without labels 400 were "
        "not proven worse"
        if plan.images.unlabelled
        else f"a teacher's lead over the target alone, where all images had labels, was {LONG_LEAD}"
    )
    long = f"{length.passes} passes over the labelled images in each epoch: {measured}"
    return (
        {"epochs": length.epochs, "steps": plan.steps},
        {"train.epochs": why, "train.steps": long},
    )


def _weights(plan: Plan) -> Section:
    models = {plan.model, *([plan.teacher.weights.model] if plan.teacher else [])}
    second = _find_second(plan)
    models |= {second.model} if second else set()
    files = {
        model: plain if len(plain) > 1 else plain["path"]
        for model, file in plan.wishes.files.items()
        if model in models
        for plain in [to_plain(file)]
    }
    return files, {"weights": "your files, which stand for `source: imagenet`"} if files else {}


def _edges(plan: Plan) -> Section:
    label = f"label -> {TARGET}"
    if plan.teacher is None:
        if plan.noise is None:
            return {label: {"gate": "through"}}, {f"edges.{label}": "labels alone teach, all along"}
        edge, why = propose_label_edge(plan.noise.noise, ["through"], None)
        return {label: edge}, {f"edges.{label}": why}
    gates = ["through", "cutoff", "inverse", "linear"]
    if plan.images.unlabelled:
        gates = ["cutoff", "through", "inverse", "linear"]
    taught = f"{TEACHER} -> {TARGET}"
    edges = {
        label: {"gate": {"choice": gates}},
        taught: {
            "loss": {"choice": ["kl", "dist"]},
            "gate": {"choice": ["through", "linear", "cutoff"]},
            "temperature": {"choice": [2.0, 1.0, 4.0]},
        },
    }
    reasons = {
        f"edges.{label}": "how much the target learns from labels; with a strong teacher and "
        "images without labels it did best without",
        f"edges.{taught}.loss": "kl compares probabilities, dist how they correlate (Huang et al., "
        "NeurIPS 2022), which suits small students",
        f"edges.{taught}.gate": "the teacher is heard from the first step, more and more, or "
        "never: the target must win by it",
        f"edges.{taught}.temperature": "2 did best where it was measured",
    }
    if plan.noise is not None:
        edges[label], reasons[f"edges.{label}"] = propose_label_edge(
            plan.noise.noise, gates, TEACHER
        )
    return edges, reasons


def _search(plan: Plan, plain: Mapping[str, Any], budget: str) -> Section:
    search: dict[str, Any] = {"budget": budget}
    reasons = {"search.budget": "wall time for everything after the images are decoded"}
    if plan.images.is_imbalanced:
        search["metric"] = "balanced_accuracy"
        reasons["search.metric"] = "the mean over classes: accuracy would hide the small ones"
    opening = choose_opening(_list_needs(plan), _list_holes(plain), plan.longer)
    if opening:
        search["opening"] = [dict(one.settings) for one in opening]
        told = "; ".join(
            f"{number}. {one.name}: {one.why}" for number, one in enumerate(opening, 1)
        )
        reasons["search.opening"] = f"what is tried first. {told}"
    return search, reasons


def _list_needs(plan: Plan) -> list[Need]:
    has: dict[Need, bool] = {
        "teacher": plan.teacher is not None,
        "second": _find_second(plan) is not None,
        "unlabelled": plan.images.unlabelled > 0,
        "noise": plan.noise is not None,
    }
    return [need for need, there in has.items() if there]


def _list_holes(plain: Mapping[str, Any]) -> list[str]:
    """Return the dotted paths of the holes in the edges of a space."""
    return [
        f"edges.{'.'.join(pair.split(' -> '))}.{key}"
        for pair, edge in plain["edges"].items()
        for key, value in edge.items()
        if isinstance(value, dict)
    ]
