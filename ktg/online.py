"""Whether a host can be reached, asked once and briefly."""

import queue
import socket
import threading
import urllib.request
from urllib.parse import urlsplit

TIMEOUT_S = 1.5
_PORTS = {"http": 80, "https": 443}


def reachable(url: str, timeout_s: float = TIMEOUT_S) -> bool:
    """Return whether the host of `url` (or the proxy in front of it) accepts a connection within `timeout_s`.

    The answer comes from a thread of its own, because looking up a name without a network can hang for far longer
    than any timeout of a socket.
    """
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    threading.Thread(target=_connect, args=(_through_proxy(url), timeout_s, answers), daemon=True).start()
    try:
        return answers.get(timeout=timeout_s)
    except queue.Empty:
        return False


def _through_proxy(url: str) -> str:
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy is None or urllib.request.proxy_bypass(parts.hostname or ""):
        return url
    return proxy if "//" in proxy else f"http://{proxy}"


def _connect(url: str, timeout_s: float, answers: "queue.SimpleQueue[bool]") -> None:
    parts = urlsplit(url)
    try:
        address = (parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443))
        socket.create_connection(address, timeout=timeout_s).close()
    except (OSError, ValueError):
        answers.put(False)
    else:
        answers.put(True)
