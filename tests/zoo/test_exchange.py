"""Entries come over whole and checked, from folders and web servers, or not at all."""

import contextlib
import hashlib
import http.server
import json
import multiprocessing
import socket
from pathlib import Path

import pytest
from zoos import Handler, card, files, filled, served, weights

from ktg.errors import UserError, WeightsError
from ktg.graph.yaml_files import load, save
from ktg.zoo import Zoo, pull

LARGE = 300_000  # floats: several chunks of a download


@pytest.fixture
def there(tmp_path: Path) -> Zoo:
    """Another zoo with three entries."""
    folder = tmp_path / "there"
    folder.mkdir()
    return filled(
        folder, ("animals", "resnet8"), ("animals", "torchvision/resnet18"), ("fish", "resnet8")
    )


@pytest.fixture
def here(tmp_path: Path) -> Zoo:
    """The zoo to pull into, which is not there yet."""
    return Zoo(tmp_path / "here")


class Sending(Handler):
    """Counts requests, and resumes like a real web server."""

    asked: list[str]

    def do_GET(self) -> None:  # noqa: N802
        start = self.headers.get("Range")
        type(self).asked.append(f"{self.path} {start or ''}".strip())
        if start is None:
            return super().do_GET()
        first = int(start.removeprefix("bytes=").removesuffix("-"))
        content = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        self.wfile.write(content[first:])
        return None


class Breaking(Sending):
    """Closes the connection in the middle of the first weights that it sends."""

    def copyfile(self, source, outputfile) -> None:
        content = source.read()
        weights_asked = [path for path in type(self).asked if "safetensors" in path]
        if self.path.endswith(".safetensors") and len(weights_asked) <= self.breaks:
            content = content[: len(content) // 2]
            self.close_connection = True
        outputfile.write(content)

    breaks = 1


class ForgetfulBreaking(Breaking):
    """Likewise, and knows no ranges: Python's own server."""

    def do_GET(self) -> None:  # noqa: N802
        type(self).asked.append(self.path)
        http.server.SimpleHTTPRequestHandler.do_GET(self)


class AlwaysBreaking(Breaking):
    """Never sends more than the first half."""

    breaks = 10**9

    def do_GET(self) -> None:  # noqa: N802
        type(self).asked.append(self.path)
        http.server.SimpleHTTPRequestHandler.do_GET(self)


@pytest.fixture(params=["folder", "web"])
def source(request, there: Zoo):
    if request.param == "folder":
        yield str(there.folder)
    else:
        with served(there.folder) as url:
            yield url


def test_a_whole_zoo_and_a_second_time_nothing(there: Zoo, here: Zoo, source: str):
    told: list[tuple[str, int, int]] = []
    pulled = pull(here, source, progress=lambda *step: told.append(step))
    assert [one.card for one in pulled] == here.list_cards() == there.list_cards()
    assert all(one.new for one in pulled)
    assert [name for name in files(here.folder) if not name.startswith(".")] == files(there.folder)
    assert here.verify() == []
    last = {key: (done, total) for key, done, total in told}
    assert last == {entry.key: (entry.bytes, entry.bytes) for entry in there.list_cards()}
    assert not any(one.new for one in pull(here, source))


def test_some_entries_by_name_and_by_model(here: Zoo, source: str):
    assert [one.card.key for one in pull(here, source, ("animals/resnet8",))] == ["animals/resnet8"]
    assert [one.new for one in pull(here, source, ("animals",))] == [False, True]
    with pytest.raises(
        UserError,
        match=rf"^{source} has no entry 'fsh'; it has animals, fish\. Did you mean 'fish'",
    ):
        pull(here, source, ("fsh",))
    assert here.list_keys() == ["animals/resnet8", "animals/torchvision.resnet18"]


def test_other_weights_of_the_same_name_stay_unless_replaced(
    tmp_path: Path, there: Zoo, here: Zoo, source: str
):
    own = here.add(card("fish"), weights(tmp_path / "own.safetensors", 77))
    with pytest.raises(
        UserError, match=r"^fish/resnet8: the zoo .* has other weights of this name already"
    ):
        pull(here, source)
    assert here.list_cards() == [own]  # found before the first file was copied
    pull(here, source, replace=True)
    assert (here.list_cards(), here.verify()) == (there.list_cards(), [])


def test_a_damaged_entry_is_mended_by_replacing_it(there: Zoo, here: Zoo, source: str):
    pull(here, source)
    here.weights_file("fish/resnet8").write_bytes(b"x")
    with pytest.raises(UserError, match="has other weights"):
        pull(here, source)
    here.card_file("animals/resnet8").write_text("name: [")
    pull(here, source, replace=True)
    assert (here.list_cards(), here.verify()) == (there.list_cards(), [])


def tamper(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_a_tampered_file_is_refused_and_nothing_of_it_kept(there: Zoo, here: Zoo, source: str):
    file = there.weights_file("fish/resnet8")
    tamper(file)
    found, meant = (
        hashlib.sha256(file.read_bytes()).hexdigest(),
        there.get("fish", "resnet8").sha256,
    )
    place = f"{source}/fish/resnet8.safetensors"
    with pytest.raises(
        WeightsError,
        match=f"^{place}: was damaged .* SHA-256 is {found}, its card says {meant}; noth",
    ):
        pull(here, source)
    assert here.list_keys() == ["animals/resnet8", "animals/torchvision.resnet18"]
    assert here.verify() == []
    left = [
        name for name in files(here.folder) if name.startswith(".") and not name.endswith(".lock")
    ]
    assert left == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../../fish"}, r"fish/resnet8\.yaml: name: .* cannot name an entry"),
        ({"name": "birds"}, r"fish/resnet8\.yaml: says that it is the card of birds/resnet8"),
        ({"run": "rm"}, r"fish/resnet8\.yaml: run: unknown key"),
        ({"sha256": "../x"}, r"fish/resnet8\.yaml: sha256: expected 64 hexadecimal digits"),
        ({"bytes": 0}, r"the card of fish/resnet8 does not say how many bytes"),
        ({"bytes": 10**18}, r"1,000,000,000,000 MB are needed there"),
    ],
)
def test_a_hostile_card_is_refused_before_anything_is_fetched(
    there: Zoo, here: Zoo, source: str, change, message
):
    file = there.card_file("fish/resnet8")
    save(file, load(file) | change)
    with pytest.raises(UserError, match=message):
        pull(here, source)
    assert [name for name in files(here.folder) if name != "index.yaml"] == []


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (
            "entries: [../../etc/passwd]\nversion: 1",
            r"index\.yaml: entries\[0\]: '\.\./\.\./etc/passwd' is not the name",
        ),
        ("entries: {a: 1}\nversion: 1", r"index\.yaml: entries: expected a list of NAME/MODEL"),
        ("entries: []\nversion: 2", r"index\.yaml: version: 2 is not an index this ktg reads"),
        ("entries: []\nversion: 1\nrun: x", r"index\.yaml: run: unknown key"),
        ("<html><body>Not here</body></html>", r"index\.yaml: expected sections"),
        ("x" * 2_000_000, r"index\.yaml: is larger than 1,000,000 bytes"),
        ("\ud800", r"index\.yaml: is not text in UTF-8"),
    ],
)
def test_a_hostile_index_is_refused(there: Zoo, here: Zoo, index, message):
    (there.folder / "index.yaml").write_bytes(index.encode("utf-8", "surrogatepass"))
    with served(there.folder) as url, pytest.raises(UserError, match=f"^{url}/{message}"):
        pull(here, url)
    assert not here.folder.exists()


@pytest.mark.parametrize("handler", [Breaking, ForgetfulBreaking])
def test_a_broken_download_goes_on_or_begins_anew(tmp_path: Path, there: Zoo, here: Zoo, handler):
    there.add(card("big"), weights(tmp_path / "big.safetensors", 5, size=LARGE))
    handler.asked = []
    with served(there.folder, handler) as url:
        pull(here, url, ("big",))
    assert here.verify() == []
    half = there.get("big", "resnet8").bytes // 2
    resumed = (
        f"/big/resnet8.safetensors bytes={half}-"
        if handler is Breaking
        else "/big/resnet8.safetensors"
    )
    assert handler.asked[-2:] == ["/big/resnet8.safetensors", resumed]


def test_what_came_of_a_download_is_kept_for_the_next_try(tmp_path: Path, there: Zoo, here: Zoo):
    there.add(card("big"), weights(tmp_path / "big.safetensors", 5, size=LARGE))
    AlwaysBreaking.asked, Sending.asked = [], []
    total = there.get("big", "resnet8").bytes
    with served(there.folder, AlwaysBreaking) as url:
        got = rf"{total // 2:,} of {total:,} bytes came"
        problem = rf"big/resnet8\.safetensors: the download was cut off \({got}\); give"
        with pytest.raises(WeightsError, match=problem):
            pull(here, url, ("big",))
    assert here.list_keys() == []
    with served(there.folder, Sending) as url:
        pull(here, url, ("big",))
    assert Sending.asked[-1] == f"/big/resnet8.safetensors bytes={total // 2}-"
    assert (here.list_keys(), here.verify()) == (["big/resnet8"], [])


def test_a_file_larger_than_its_card_says_is_not_taken(tmp_path: Path, there: Zoo, here: Zoo):
    there.add(card("big"), weights(tmp_path / "big.safetensors", 5, size=LARGE))
    file = there.card_file("big/resnet8")
    save(file, load(file) | {"bytes": 1000})
    with (
        served(there.folder) as url,
        pytest.raises(WeightsError, match=r"is larger than the 1,000 bytes of its card"),
    ):
        pull(here, url, ("big",))
    assert [name for name in files(here.folder) if not name.endswith(".lock")] == ["index.yaml"]


class Endless(Handler):
    """Sends weights for as long as anyone listens, but 100 MB at most."""

    sent = 0

    def do_GET(self) -> None:  # noqa: N802
        if not self.path.endswith(".safetensors"):
            return super().do_GET()
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while Endless.sent < 1e8:
                Endless.sent += self.wfile.write(bytes(10**6))
        return None


def test_a_file_without_end_is_not_taken(there: Zoo, here: Zoo):
    with (
        served(there.folder, Endless) as url,
        pytest.raises(WeightsError, match=r"is larger than the [0-9,]+ bytes of its card"),
    ):
        pull(here, url, ("fish",))
    assert 0 < Endless.sent < 1e8
    assert [name for name in files(here.folder) if not name.endswith(".lock")] == ["index.yaml"]


def pull_all(folder: Path, url: str) -> None:
    """Pull in a process of its own."""
    pull(Zoo(folder), url)


def test_processes_that_pull_the_same_do_not_get_in_each_others_way(
    tmp_path: Path, there: Zoo, here: Zoo
):
    for number in range(3):
        there.add(
            card(f"big{number}"), weights(tmp_path / "big.safetensors", number, size=1_000_000)
        )
    context = multiprocessing.get_context("spawn")
    with served(there.folder) as url:
        processes = [context.Process(target=pull_all, args=(here.folder, url)) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert (here.list_cards(), here.verify()) == (there.list_cards(), [])


class Elsewhere(Handler):
    """Sends everyone on to `target`."""

    target, length = "", "0"

    def do_GET(self) -> None:  # noqa: N802
        self.send_response(302)
        self.send_header("Location", f"{self.target}{self.path}")
        self.send_header("Content-Length", self.length)
        self.end_headers()


@pytest.mark.parametrize("scheme", ["file://", "ftp://127.0.0.1"])
def test_redirects_lead_to_the_web_only(there: Zoo, here: Zoo, monkeypatch, scheme):
    monkeypatch.setattr(Elsewhere, "target", f"{scheme}{there.folder}")
    with (
        served(there.folder, Elsewhere) as url,
        pytest.raises(UserError, match=rf"{scheme}.*not (allowed|followed)"),
    ):
        pull(here, url)


@pytest.mark.parametrize(
    "target",
    [
        *(
            "http://[::1",
            "http://host:port",
            "http://127.0.0.1:70000",
            "http://h\xf6 st",
            "http://",
        ),
        *("http://" + "a" * 70 + ".b", "http://[1:2]", "//[", "http://127.0.0.1:-1", "http://a b"),
    ],
)
def test_a_redirect_to_what_is_no_address_is_one_sentence(
    there: Zoo, here: Zoo, monkeypatch, target
):
    monkeypatch.setattr(Elsewhere, "target", target)
    with served(there.folder, Elsewhere) as url, pytest.raises(UserError, match=r"^http://127"):
        pull(here, url)


@pytest.mark.parametrize("claimed", ["0", str(2**62)])
def test_redirects_to_another_web_server_are_followed(
    there: Zoo, here: Zoo, monkeypatch, claimed: str
):
    monkeypatch.setattr(Elsewhere, "length", claimed)  # nobody reads what comes with a redirect
    with served(there.folder) as target:
        monkeypatch.setattr(Elsewhere, "target", target)
        with served(there.folder, Elsewhere) as url:
            assert len(pull(here, url)) == 3


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("file:///etc", r"file:///etc: is not an address to pull from; allowed: http://"),
        ("http://", "is not an address to pull from"),
        ("http://[::1", "is not an address"),
        ("https://me:secret@host/zoo", r"^https://host/\.\.\.: give the address without a login"),
        ("http://host/zoo?token=1", "without a login"),
        ("nowhere", r"^nowhere: is no folder; give that of a zoo"),
        (".", r"^\.: is not a zoo, because it has no index\.yaml"),
        ("models:/a/b/c/d", "is not a model of a registry"),
    ],
)
def test_what_is_no_source(here: Zoo, source, message):
    with pytest.raises(UserError, match=message):
        pull(here, source, tracking_uri="sqlite:///mlflow.db")
    assert here.list_keys() == []


def test_a_server_that_is_not_there_and_an_address_without_a_zoo(there: Zoo, here: Zoo):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(
        UserError, match=rf"^http://127\.0\.0\.1:{port}/index\.yaml: cannot be reached \(.*refused"
    ):
        pull(here, f"http://127.0.0.1:{port}")
    with (
        served(there.folder) as url,
        pytest.raises(UserError, match=r"the server says 404 .*; is it the address of a zoo"),
    ):
        pull(here, f"{url}/animals/")


def test_a_source_that_is_no_safetensors_file_is_refused(there: Zoo, here: Zoo, source: str):
    file, place = there.card_file("fish/resnet8"), there.weights_file("fish/resnet8")
    place.write_bytes(json.dumps({"weights": 1}).encode())
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    save(file, load(file) | {"sha256": digest, "bytes": place.stat().st_size})
    with pytest.raises(WeightsError, match="is not a whole"):
        pull(here, source, ("fish",))
    assert here.list_keys() == []
