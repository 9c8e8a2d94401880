"""Where the weights that a node began with come from, and under which licence: who passes them on must know."""

from ktg.graph import Graph
from ktg.models.architectures import read_timm_config
from ktg.models.names import locate_model
from ktg.models.sources import NoWeights, Published, WeightsFile, ZooEntry, resolve_source

UNKNOWN = "its licence is not known to ktg; ask whoever made the file"


def origin_of(graph: Graph, name: str) -> str:
    """Return in one clause what a node of the graph began with, and its licence as far as one is stated."""
    node = graph.nodes[name]
    match resolve_source(node, graph.sources_for(node.model), path=f"nodes.{name}.source"):
        case NoWeights():
            return "trained from nothing: no weights of others are in it"
        case Published():
            return f"fine-tuned from ImageNet weights: {_describe_published(node.model)}"
        case ZooEntry(card=card):
            licence = f"licence: {card.licence or 'not stated'}"
            return f"fine-tuned from `{node.source}`: {card.origin or card.data}; {licence}"
        case WeightsFile(stated=stated):
            if stated is None:
                return f"fine-tuned from a file of weights; {UNKNOWN}"
            return f"fine-tuned from `{node.source}`: {stated.origin or UNKNOWN}"


def _describe_published(model: str) -> str:
    library, name = locate_model(model) or ("", model)
    if library != "timm":
        return "torchvision's own; it states no licence for them, and ImageNet's images are for research"
    cfg = read_timm_config(name)
    where = f"https://huggingface.co/{cfg.hf_hub_id}" if cfg.hf_hub_id else cfg.url
    return f"timm's `{model}.{cfg.tag}` ({where}); licence: {cfg.license or 'not stated'}"
