"""Keeps pretrained networks in a folder, each a .safetensors file and a card that describes it.

    animals/resnet18.safetensors   the weights
    animals/resnet18.yaml          the card: architecture, data, classes, accuracy, licence, hash
    index.yaml                     the names of all entries, for readers over the web

An entry is a name and a model, because one source, such as `fractaldb`, serves several
architectures. A node says `source: zoo/animals`. Every installation has a small zoo that is only
read (`shipped/`); an entry of the user's comes before one of it. Nothing here imports torch.
"""

from ktg.zoo.card import Card, dump_card, parse_card
from ktg.zoo.exchange import Pulled, pull, push
from ktg.zoo.folder import Zoo, default_zoo, find_zoo, shipped_zoo

__all__ = [
    "Card",
    "Pulled",
    "Zoo",
    "default_zoo",
    "dump_card",
    "find_zoo",
    "parse_card",
    "pull",
    "push",
    "shipped_zoo",
]
