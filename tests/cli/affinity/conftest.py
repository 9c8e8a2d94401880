"""The commands without MLflow: what reaches it is tested with the tracker."""

import pytest


@pytest.fixture
def quiet(monkeypatch, tmp_path):
    """Keep records in memory, and return the trackers."""
    import ktg.tracking
    from ktg.tracking import MemoryTracker

    trackers = []

    class Kept(MemoryTracker):
        def __init__(self, *_, **__):
            super().__init__()
            trackers.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(ktg.tracking, "MlflowTracker", Kept)
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))
    return trackers
