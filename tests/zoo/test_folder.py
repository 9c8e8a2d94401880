"""What is added to a zoo can be found, whole, and nothing that was changed is handed out."""

import dataclasses
import hashlib
import multiprocessing
import os
import resource
import signal
import stat
import time
from pathlib import Path

import pytest
from zoos import card, files, filled, weights

from ktg.errors import SpecError, UserError, WeightsError
from ktg.graph.yaml_files import load, save
from ktg.zoo import Zoo, default_zoo, find_zoo, shipped_zoo
from ktg.zoo import folder as module
from ktg.zoo.folder import MissingEntryError

SPAWN = multiprocessing.get_context("spawn")


def test_an_entry_is_two_files_and_a_line_in_the_index(tmp_path: Path):
    file = weights(tmp_path / "a.safetensors")
    zoo = Zoo(tmp_path / "zoo")
    kept = zoo.add(card("animals", "torchvision/resnet18"), file)
    stem = "animals/torchvision.resnet18"
    assert files(zoo.folder) == [f"{stem}.safetensors", f"{stem}.yaml", "index.yaml"]
    assert load(zoo.folder / "index.yaml") == {"version": 1, "entries": [stem]}
    assert kept.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert kept.bytes == file.stat().st_size
    assert kept.created.endswith("+00:00")
    assert zoo.get("animals", "torchvision/resnet18") == kept
    assert zoo.find_weights("animals", "torchvision/resnet18").read_bytes() == file.read_bytes()
    assert zoo.list_cards() == zoo.get_all("animals") == [kept]
    assert zoo.verify() == zoo.verify("animals") == []


def test_one_name_serves_several_models(tmp_path: Path):
    zoo = filled(tmp_path, ("animals", "resnet8"), ("animals", "resnet14"), ("fish", "resnet8"))
    assert zoo.list_keys() == ["animals/resnet14", "animals/resnet8", "fish/resnet8"]
    assert zoo.list_keys("animals") == ["animals/resnet14", "animals/resnet8"]
    assert len({entry.sha256 for entry in zoo.list_cards()}) == 3
    assert zoo.remove("animals", "resnet8") == ["animals/resnet8"]
    assert zoo.remove("animals") == ["animals/resnet14"]
    assert files(zoo.folder) == ["fish/resnet8.safetensors", "fish/resnet8.yaml", "index.yaml"]
    assert load(zoo.folder / "index.yaml")["entries"] == ["fish/resnet8"]
    assert not (zoo.folder / "animals").exists()


def test_what_is_missing_says_what_there_is(tmp_path: Path):
    zoo = filled(tmp_path, ("animals", "resnet8"), ("fish", "resnet14"))
    where = f"^the zoo {zoo.folder} has no "
    with pytest.raises(
        MissingEntryError,
        match=where + r"animls for resnet8; .* resnet8: animals\. Did you mean 'ani",
    ):
        zoo.get("animls", "resnet8")
    with pytest.raises(
        MissingEntryError, match=where + r"fish for resnet8; .*: animals, and fish for resnet14\.$"
    ):
        zoo.find_weights("fish", "resnet8")
    for action in (zoo.get_all, zoo.remove, zoo.verify):
        with pytest.raises(
            MissingEntryError,
            match=where + r"entry 'fsh'; it has animals, fish\. Did you mean 'fish'",
        ):
            action("fsh")
    with pytest.raises(SpecError, match="cannot name an entry"):
        zoo.get("../zoo/animals", "resnet8")


def test_an_entry_stays_unless_it_is_to_be_replaced(tmp_path: Path):
    zoo = filled(tmp_path, ("animals", "resnet8"))
    other = weights(tmp_path / "other.safetensors", 7)
    with pytest.raises(UserError, match=r"resnet8\.yaml: the zoo has this entry already"):
        zoo.add(card(), other)
    assert zoo.verify() == []
    kept = zoo.add(card(epochs=3), other, replace=True)
    assert (zoo.get("animals", "resnet8"), zoo.verify()) == (kept, [])
    assert zoo.find_weights("animals", "resnet8").read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pth", b"x", r"a\.pth: a zoo keeps \.safetensors files only"),
        ("gone.safetensors", None, r"gone\.safetensors: there is no such file"),
        ("a.safetensors", b"", r"a\.safetensors: is not a whole \.safetensors file"),
        ("a.safetensors", b"\xff" * 100, r"a\.safetensors: is not a whole \.safetensors file"),
        ("a.safetensors", b"\x02" + b"\0" * 7 + b"{}", r"a\.safetensors: holds no tensors"),
    ],
)
def test_what_is_not_a_file_of_weights_is_not_kept(tmp_path: Path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        Zoo(tmp_path / "zoo").add(card(), tmp_path / name)
    assert files(tmp_path / "zoo") in ([], ["index.yaml"])


def test_a_file_that_was_cut_off_is_not_kept(tmp_path: Path):
    file = weights(tmp_path / "a.safetensors", size=1000)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="is not a whole"):
        Zoo(tmp_path / "zoo").add(card(), file)


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_damaged_weights_are_refused_with_both_hashes_and_what_to_do(tmp_path: Path, damage):
    zoo = filled(tmp_path, ("animals", "resnet8"), ("fish", "resnet8"))
    file = zoo.find_weights("animals", "resnet8")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content if damage == "changed" else content[:-1])
    with pytest.raises(WeightsError) as caught:
        zoo.find_weights("animals", "resnet8")
    problem = str(caught.value)
    assert problem.startswith(f"{file}: is ")
    assert "`ktg zoo remove animals --model resnet8`" in problem
    if damage != "gone":
        assert hashlib.sha256(file.read_bytes()).hexdigest() in problem
        assert zoo.get("animals", "resnet8").sha256 in problem
    assert zoo.verify() == zoo.verify("animals") == [problem]
    assert zoo.find_weights("fish", "resnet8")


def test_a_card_of_another_entry_or_without_a_hash_is_refused(tmp_path: Path):
    zoo = filled(tmp_path, ("animals", "resnet8"), ("fish", "resnet8"))
    file = zoo.card_file("animals/resnet8")
    zoo.card_file("fish/resnet8").replace(file)
    with pytest.raises(
        SpecError, match=r"animals/resnet8\.yaml: says that it is the card of fish/resnet8"
    ):
        zoo.get("animals", "resnet8")
    plain = load(file) | {"name": "animals"}
    save(file, {key: value for key, value in plain.items() if key != "sha256"})
    with pytest.raises(SpecError, match=r"animals/resnet8\.yaml: sha256: is missing"):
        zoo.find_weights("animals", "resnet8")
    problems = zoo.verify()
    assert [problem.partition(": ")[2][:9] for problem in problems] == [
        "sha256: i",
        "has no ca",
        "is out of",
    ]
    assert zoo.remove("animals") == ["animals/resnet8"]


def test_a_damaged_index_is_reported_and_written_anew(tmp_path: Path):
    zoo = filled(tmp_path, ("animals", "resnet8"))
    index = zoo.folder / "index.yaml"
    for content in ("entries: []", "entries: [", ""):
        index.write_text(content)
        (problem,) = zoo.verify()
        assert str(index) in problem
        assert zoo.get("animals", "resnet8")
    zoo.add(card("fish"), weights(tmp_path / "a.safetensors"))
    assert zoo.verify() == []


def test_what_is_no_zoo_is_neither_read_nor_written(tmp_path: Path):
    file = weights(tmp_path / "a.safetensors")
    for place, message in (
        (file, "is not a zoo but a file"),
        (tmp_path, r"holds other files and no index\.yaml"),
    ):
        for action in (Zoo(place).list_cards, lambda place=place: Zoo(place).add(card(), file)):
            with pytest.raises(UserError, match=f"^{place}: .*{message}"):
                action()
    assert files(tmp_path) == ["a.safetensors"]
    assert Zoo(tmp_path / "gone").list_cards() == []
    assert not (tmp_path / "gone").exists()


def test_what_another_process_makes_a_zoo_just_now_is_one(tmp_path: Path, monkeypatch):
    zoo, listed = Zoo(tmp_path / "zoo"), Path.iterdir
    zoo.folder.mkdir()

    def list_later(folder: Path):
        if folder == zoo.folder:
            (folder / "index.yaml").write_text("version: 1\nentries: []\n")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", list_later)
    zoo.check()


def test_the_users_zoo(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "mine"))
    assert default_zoo() == Zoo(tmp_path / "mine")
    monkeypatch.delenv("KTG_ZOO")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_zoo() == Zoo(tmp_path / ".local/share/ktg/zoo")


def test_every_installation_has_a_small_zoo_of_ktgs_own_work():
    zoo = shipped_zoo()
    assert (zoo.list_keys(), zoo.verify()) == (["fractals/resnet20"], [])
    (entry,) = zoo.list_cards()
    assert (entry.licence, entry.bytes <= 1_500_000) == ("Apache-2.0", True)
    assert "benchmarks/shipped_zoo.py" in (entry.origin or "")
    assert "fractaldb" in str(entry.provenance["graph"])
    assert entry.provenance["seed"] == 0


def test_an_entry_of_the_users_comes_before_the_one_of_ktg(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))
    assert find_zoo("fractals", "resnet20") == shipped_zoo()
    assert find_zoo("fractals", "resnet8") == find_zoo("fish", "resnet20") == default_zoo()
    own = filled(tmp_path, ("fractals", "resnet20"))
    assert find_zoo("fractals", "resnet20") == own
    assert own.remove("fractals") == ["fractals/resnet20"]
    assert find_zoo("fractals", "resnet20") == shipped_zoo()
    with pytest.raises(UserError, match=r"^fractals comes with ktg and is only read; it cannot"):
        own.remove("fractals")


def test_what_came_with_ktg_and_is_damaged_is_installed_again(tmp_path: Path, monkeypatch):
    zoo = filled(tmp_path, ("animals", "resnet8"))
    monkeypatch.setattr(module, "SHIPPED", zoo.folder)
    zoo.weights_file("animals/resnet8").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"; install ktg again$"):
        find_zoo("animals", "resnet8").find_weights("animals", "resnet8")


def test_the_file_is_hashed_once_in_a_process(tmp_path: Path, monkeypatch):
    zoo = filled(tmp_path, ("animals", "resnet8"))
    file = zoo.find_weights("animals", "resnet8")
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert zoo.find_weights("animals", "resnet8") == file


def test_a_folder_that_may_only_be_read_is_read(tmp_path: Path, monkeypatch):
    zoo = filled(tmp_path, ("animals", "resnet8"))
    zoo.folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    monkeypatch.setattr(module.os, "access", lambda *_: False)  # root may write everywhere
    monkeypatch.setattr(Zoo, "_lock", None)
    try:
        assert zoo.find_weights("animals", "resnet8").is_file()
        with pytest.raises(MissingEntryError):
            zoo.get("fish", "resnet8")
    finally:
        zoo.folder.chmod(stat.S_IRWXU)


def full_disk(folder: Path, room_bytes: int) -> None:
    """Replace an entry, on a disk that takes files of `room_bytes` only."""
    signal.signal(
        signal.SIGXFSZ, signal.SIG_IGN
    )  # so that writing fails with an OSError, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, room_bytes))
    with pytest.raises(UserError, match=r"zoo: cannot be used for the zoo \(File too large\)"):
        Zoo(folder / "zoo").add(card(epochs=9), folder / "large.safetensors", replace=True)


@pytest.mark.parametrize("room_bytes", [100, 20_000])
def test_a_full_disk_leaves_the_old_entry_and_nothing_else(tmp_path: Path, room_bytes):
    zoo = filled(tmp_path, ("animals", "resnet8"))
    before, old = files(zoo.folder), zoo.get("animals", "resnet8")
    weights(tmp_path / "large.safetensors", 1, size=100_000)
    process = SPAWN.Process(target=full_disk, args=(tmp_path, room_bytes))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert (files(zoo.folder), zoo.get("animals", "resnet8"), zoo.verify()) == (before, old, [])


def build(folder: Path, worker: int, rounds: int) -> None:
    """Add entries of this worker's own, and replace one that all workers share."""
    zoo = Zoo(folder / "zoo")
    for number in range(rounds):
        file = weights(folder / f"{worker}.safetensors", 100 * worker + number, size=50_000)
        zoo.add(card(f"own{worker}-{number}"), file)
        zoo.add(card("shared", epochs=100 * worker + number), file, replace=True)


def read(folder: Path, stop: Path) -> None:
    """Ask for the shared entry again and again: once it has appeared it is there, and right."""
    zoo, seen = Zoo(folder / "zoo"), False
    while not stop.exists():
        try:
            zoo.find_weights("shared", "resnet8")
            seen = True
        except MissingEntryError:
            assert not seen
    assert seen


@pytest.mark.slow
def test_concurrent_builders_and_readers_see_whole_entries_only(tmp_path: Path):
    stop, workers, rounds = tmp_path / "stop", 3, 6
    readers = [SPAWN.Process(target=read, args=(tmp_path, stop))]
    builders = [
        SPAWN.Process(target=build, args=(tmp_path, worker, rounds)) for worker in range(workers)
    ]
    for process in readers + builders:
        process.start()
    for process in builders:
        process.join()
    stop.touch()
    for process in readers:
        process.join()
    assert [process.exitcode for process in readers + builders] == [0] * (workers + 1)
    zoo = Zoo(tmp_path / "zoo")
    assert zoo.verify() == []
    assert len(zoo.list_keys()) == workers * rounds + 1
    shared = zoo.get("shared", "resnet8")
    own = zoo.get(f"own{shared.epochs // 100}-{shared.epochs % 100}", "resnet8")
    assert own.sha256 == shared.sha256


def begin(folder: Path) -> None:
    """Add an entry, and be stopped when its weights have been copied."""
    module.check_safetensors = lambda *_: ((folder / "copied").touch(), time.sleep(600))
    Zoo(folder / "zoo").add(card("fish"), weights(folder / "fish.safetensors"))


def test_a_builder_that_is_killed_leaves_no_entry_and_is_swept_up_later(tmp_path: Path):
    zoo = filled(tmp_path, ("animals", "resnet8"))
    process = SPAWN.Process(target=begin, args=(tmp_path,))
    process.start()
    while not (tmp_path / "copied").exists():
        time.sleep(0.01)
    process.kill()
    process.join()
    assert (zoo.list_keys(), zoo.verify()) == (["animals/resnet8"], [])
    (left,) = (zoo.folder / ".incoming").iterdir()
    zoo.add(card("birds"), weights(tmp_path / "a.safetensors"))
    assert left.exists()
    os.utime(left, (0, 0))
    zoo.add(card("fish"), weights(tmp_path / "a.safetensors"))
    assert not left.exists()
    assert zoo.verify() == []


def test_a_crash_in_the_middle_never_leaves_a_card_with_the_weights_of_another(
    tmp_path: Path, monkeypatch
):
    zoo = filled(tmp_path, ("animals", "resnet8"))
    weights_file, replace = zoo.weights_file("animals/resnet8"), Path.replace

    def crash(self: Path, target: Path) -> None:
        replace(self, target)
        if target == weights_file:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", crash)
        zoo.add(card(), weights(tmp_path / "other.safetensors", 7), replace=True)
    with pytest.raises(MissingEntryError):
        zoo.find_weights("animals", "resnet8")
    assert any(str(weights_file) in problem for problem in zoo.verify())
    zoo.add(card(), weights(tmp_path / "other.safetensors", 7))
    assert zoo.verify() == []


def test_too_small_a_disk_is_found_before_anything_is_copied(tmp_path: Path, monkeypatch):
    usage = dataclasses.make_dataclass("usage", ["free"])
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10))
    with pytest.raises(
        UserError, match=r"zoo: .* MB are needed there and 0 MB are free; make room, or set KTG_ZOO"
    ):
        filled(tmp_path, ("animals", "resnet8"))
    assert files(tmp_path / "zoo") == ["index.yaml"]
