"""Downloads files by http and https: bounded in size, and resumed where the server can.

Only Python's own urllib is used, with no handler but the ones listed here: no `file:` or `ftp:`
address is opened, and no password from a .netrc is sent anywhere.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ktg.errors import UserError, WeightsError
from ktg.graph.yaml_files import LARGEST_BYTES

TIMEOUT_S = 30
_CHUNK_BYTES = 2**18
_TRIES = 3


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only, and from https to https only."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        allowed = ("https",) if urlsplit(req.full_url).scheme == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            schemes = " or ".join(allowed)
            problem = f"sends on to {newurl}, which is not {schemes}; not followed"
            raise UserError(f"{req.full_url}: {problem}")
        # urllib would read the body, which says nothing and may claim to have terabytes.
        fp.chunked, fp.length = False, 0
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_url(url: str) -> str:
    """Return an http(s) address without a slash at its end, or raise UserError."""
    try:
        parts = urlsplit(url)
        port_and_host = (parts.port, parts.hostname)
    except ValueError as error:
        raise UserError(f"{url}: is not an address ({error})") from None
    if parts.scheme not in ("http", "https") or not port_and_host[1]:
        allowed = "http://, https://, a folder, models:/NAME/1"
        raise UserError(f"{url}: is not an address to pull from; allowed: {allowed}")
    if parts.username or parts.query or parts.fragment:
        # Its own error must not repeat a password.
        place = f"{parts.scheme}://{parts.hostname}/..."
        raise UserError(f"{place}: give the address without a login, `?` and `#`")
    return url.rstrip("/")


def read_text(url: str) -> str:
    """Return a small text file in UTF-8. Raises UserError, which names the address."""
    with _explain_errors(url), _open(url) as answer:
        content: bytes = answer.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise UserError(f"{url}: is larger than {LARGEST_BYTES:,} bytes, which no index or card is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{url}: is not text in UTF-8") from None


def download(url: str, part: Path, size_bytes: int, progress: Callable[[int], None]) -> None:
    """Download a file of known size to `part`, going on from what is there already.

    progress: called with the bytes that `part` has.

    A connection that breaks is opened again, up to three times in a row without a byte. Then
    WeightsError is raised and `part` stays, for the next call to go on with. It is removed when the
    file turns out to be too large.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    part.touch()
    fruitless = 0
    while (before := part.stat().st_size) != size_bytes:
        if before > size_bytes:
            part.unlink()
            problem = f"is larger than the {size_bytes:,} bytes of its card"
            raise WeightsError(f"{url}: {problem}; nothing of it was kept")
        if fruitless == _TRIES:
            got = f"{before:,} of {size_bytes:,} bytes came"
            problem = f"the download was cut off ({got})"
            raise WeightsError(f"{url}: {problem}; give the same command again to go on")
        with _explain_errors(url, lost_is_fine=True):
            _continue(url, part, before, size_bytes, progress)
        fruitless = 0 if part.stat().st_size > before else fruitless + 1


def _continue(
    url: str, part: Path, start: int, size_bytes: int, progress: Callable[[int], None]
) -> None:
    """Append what is missing; stop when it is too much."""
    with _open(url, {"Range": f"bytes={start}-"} if start else {}) as answer:
        # A server that knows no ranges answers 200 and sends the file from its first byte.
        begins = answer.headers.get("Content-Range", "")
        resumed = answer.status == 206 and begins.startswith(f"bytes {start}-")
        done = start if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            while done <= size_bytes and (chunk := answer.read(_CHUNK_BYTES)):
                file.write(chunk)
                done += len(chunk)
                progress(done)


def _open(url: str, headers: dict[str, str] | None = None) -> Any:
    handlers = (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        _SafeRedirects,
    )
    opener = urllib.request.OpenerDirector()  # build_opener would add file: and ftp:
    for handler in handlers:
        opener.add_handler(handler())
    # Without compression, so that the bytes of a range are those of the file.
    opener.addheaders = [("User-Agent", "ktg"), ("Accept-Encoding", "identity")]
    request = urllib.request.Request(url, headers=headers or {})  # noqa: S310 - see above
    return opener.open(request, timeout=TIMEOUT_S)


@contextmanager
def _explain_errors(url: str, *, lost_is_fine: bool = False) -> Iterator[None]:
    """Turn what a connection raises into one sentence, unless a break in the middle is fine."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        hint = "; is it the address of a zoo?" if error.code == 404 else ""
        raise UserError(f"{url}: the server says {error.code} {error.reason}{hint}") from None
    except urllib.error.URLError as error:
        raise UserError(
            f"{url}: cannot be reached ({getattr(error.reason, 'strerror', None) or error.reason})"
        ) from None
    except (http.client.InvalidURL, ValueError, OverflowError) as error:
        # The address itself was checked, so it is one that the server sent.
        raise UserError(f"{url}: sends on to what is no address ({error}); not followed") from None
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        if not lost_is_fine:
            raise UserError(
                f"{url}: the connection broke ({error or type(error).__name__})"
            ) from None
