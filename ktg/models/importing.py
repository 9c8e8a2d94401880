"""A checkpoint from elsewhere, checked against an architecture and written as the zoo keeps it."""

from pathlib import Path

from torch import Tensor

from ktg.graph import Node
from ktg.models.build import Sketch, sketch, usual_size
from ktg.models.names import check_model
from ktg.models.renames import translate
from ktg.models.weights import fit, read_state


def import_weights(file: Path, node: Node) -> tuple[dict[str, Tensor], int]:
    """Return the weights in a file under the names of the node's network, and the number of classes of their head.

    That is 0, and the head is left out, where the file has none or not a whole one.
    Raises SpecError for an unknown model, and WeightsError for a file that is not of this network.
    """
    check_model(node.model, "model")
    size = node.input_size or usual_size(node.model)
    plan = sketch(node, classes=2, image_size=size, where=node.model)
    state = read_state(file)
    classes = _head_classes(node, plan, translate(state, plan.body.state_dict()))
    if classes:
        plan = sketch(node, classes=classes, image_size=size, where=node.model)
    used = fit(plan.body, state, plan.head, f"{file} for {node.model}")
    return used, classes if plan.head <= used.keys() else 0


def write_weights(state: dict[str, Tensor], file: Path) -> None:
    """Write weights as .safetensors; tensors that share memory are written apart."""
    from safetensors.torch import save_file

    save_file({name: tensor.detach().clone().contiguous() for name, tensor in state.items()}, file)


def _head_classes(node: Node, plan: Sketch, state: dict[str, Tensor]) -> int:
    """Return how many classes the head in `state` tells apart, 0 if that cannot be said; the axis that grows tells."""
    more = sketch(node, classes=3, image_size=plan.size, where=node.model).body.state_dict()
    fewer = plan.body.state_dict()
    found = set()
    for name in plan.head:
        if name not in state:
            return 0
        axis = next(
            axis for axis, side in enumerate(fewer[name].shape) if side != more[name].shape[axis]
        )
        found.add(state[name].shape[axis])
    return found.pop() if len(found) == 1 else 0
