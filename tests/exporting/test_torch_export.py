"""torch.export: the program runs without ktg, with any batch, and carries its description."""

import torch

from ktg.exporting.deployable import TOLERANCE
from ktg.exporting.metadata import from_json
from ktg.exporting.model_file import read_model


def test_the_program_computes_what_the_network_does(everything, trained):
    described = {"ktg.json": ""}
    program = torch.export.load(everything.folder / "model.pt2", extra_files=described).module()
    network, about = read_model(trained.file)
    for count in (1, 6):
        images = torch.randint(0, 256, (count, 16, 16, 3), dtype=torch.uint8)
        torch.testing.assert_close(program(images), network(images.permute(0, 3, 1, 2) / 255))
    assert from_json(described["ktg.json"], everything.folder / "model.pt2") == about
    assert everything.delivered.written.differences["torch_export"] <= TOLERANCE
