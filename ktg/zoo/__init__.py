"""A zoo: a folder of pretrained networks, each a .safetensors file and a card that says what it is.

    animals/resnet18.safetensors   the weights
    animals/resnet18.yaml          the card: architecture, data, classes, accuracy, normalisation, licence, hash
    index.yaml                     the names of all entries, so that a plain web server of the folder can share them

An entry is a name and a model, because one source, such as `fractaldb`, serves several
architectures. A node says `source: zoo/animals`. Nothing here imports torch.
"""

from ktg.zoo.card import Card, dump_card, parse_card
from ktg.zoo.folder import Zoo, default_zoo
from ktg.zoo.pulling import Pulled, pull, push

__all__ = ["Card", "Pulled", "Zoo", "default_zoo", "dump_card", "parse_card", "pull", "push"]
