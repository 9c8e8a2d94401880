"""Where the weights that a node began with come from, and under which licence: who passes them on must know."""

from ktg.graph import Graph
from ktg.models.build import timm_cfg
from ktg.models.names import locate, zoo_card

UNKNOWN = "its licence is not known to ktg; ask whoever made the file"


def origin_of(graph: Graph, name: str) -> str:
    """Return in one clause what a node of the graph began with, and its licence as far as one is stated."""
    node = graph.nodes[name]
    if node.source == "none":
        return "trained from nothing: no weights of others are in it"
    files = graph.sources_for(node.model)
    if node.source in files:
        origin = files[node.source].origin
        return f"fine-tuned from `{node.source}`: {origin or UNKNOWN}"
    card = zoo_card(node.source, graph.sources, f"nodes.{name}.source", node.model)
    if card is not None:
        return f"fine-tuned from `{node.source}`: {card.origin or card.data}; licence: {card.licence or 'not stated'}"
    if node.source == "imagenet":
        return f"fine-tuned from ImageNet weights: {_published(node.model)}"
    return f"fine-tuned from a file of weights; {UNKNOWN}"


def _published(model: str) -> str:
    library, name = locate(model) or ("", model)
    if library != "timm":
        return "torchvision's own; it states no licence for them, and ImageNet's images are for research"
    cfg = timm_cfg(name)
    where = f"https://huggingface.co/{cfg.hf_hub_id}" if cfg.hf_hub_id else cfg.url
    return f"timm's `{model}.{cfg.tag}` ({where}); licence: {cfg.license or 'not stated'}"
