"""Where networks run when nobody says."""

import torch


def device_of(device: torch.device | str | None) -> torch.device:
    """Return the given device; by default a GPU if there is one, else the CPU."""
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
