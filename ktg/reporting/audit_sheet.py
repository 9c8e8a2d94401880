"""Draws what an audit found as an HTML page, complete in itself, with a picture of every find."""

from collections.abc import Iterable
from typing import Any

from ktg.auditing.audit import Audit
from ktg.reporting.mistakes import make_thumbnail
from ktg.reporting.page import render
from ktg.version import __version__

MOST = 300  # images that a part of the page shows


def draw_audit(audit: Audit, title: str) -> str:
    """Return the page. Of each part the first 300 images are shown; JSON has them all."""
    data = audit.to_json()
    shown = {
        "leaks": _draw_groups(audit, data, lambda group: group["leak"]),
        "contradictions": _draw_groups(audit, data, _contradicts),
        "others": _draw_groups(audit, data, lambda g: not g["leak"] and not _contradicts(g)),
        "doubtful": _draw_images(audit, audit.doubtful.tolist(), data["doubtful"]),
        "strangers": _draw_images(audit, audit.strangers.tolist(), data["strangers"]),
    }
    return render(
        "audit.html",
        data,
        title=title,
        shown=shown,
        sentences=audit.sentences,
        most=MOST,
        version=__version__,
    )


def _draw_groups(audit: Audit, data: dict[str, Any], wanted: Any) -> list[dict[str, Any]]:
    """Return groups of twins with pictures, as many as there is room for."""
    found: list[dict[str, Any]] = []
    room = MOST
    for group, said in zip(audit.twins, data["twins"], strict=True):
        if wanted(said) and room > 0:
            found.append(said | {"images": _draw_images(audit, group.rows[:room], said["images"])})
            room -= len(group.rows)
    return found


def _draw_images(
    audit: Audit, rows: Iterable[int], said: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return what is said of the first images with their pictures."""
    some = list(rows)[:MOST]
    pictures = audit.pool.images.read(some)
    return [
        one | {"picture": make_thumbnail(pixels), "tiny": pixels.shape[0] <= 48}
        for one, pixels in zip(said, pictures, strict=False)
    ]


def _contradicts(group: dict[str, Any]) -> bool:
    return len({image["label"] for image in group["images"]}) > 1
