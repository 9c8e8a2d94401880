import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs

from ktg.errors import MissingSourceError, SpecError, WeightsError
from ktg.graph import Choice, dump, load_space, parse
from ktg.graph.yaml_files import (
    LARGEST_BYTES,
    dumps,
    load,
    load_graph,
    loads,
    name_file_in_errors,
    save,
)

GRAPH = """\
data: {name: cifar100, val_fraction: 0.2, batch_size: 64, augment: basic}
train: {epochs: 200, optimizer: sgd, lr: 0.1, seed: 0}
nodes:
  n0: {model: resnet32, source: none}
  n1: {model: wide_resnet28_2, source: imagenet, frozen_epochs: 5}
edges:
  label -> n0: {loss: ce, gate: through}
  n1 -> n0: {loss: kl, gate: correct, temperature: 1.0}
"""
SPACE = GRAPH.replace("source: none", "source: {choice: [none, imagenet]}")
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", float("-inf")),
        ("010", 10),
        ("0o17", 15),
        ("0xff", 255),
        ("+3", 3),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("OFF", "OFF"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1e-3'", "1e-3"),
        ("e5", "e5"),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    got = loads(f"a: {text}", "x")["a"]
    assert got == value
    assert type(got) is type(value)


def test_anchors_and_merge_keys():
    text = """
    a: &a {x: 1, y: 1}
    b: &b {y: 2, z: 2}
    one: {<<: *a, x: 3}
    two: {x: 3, <<: [*a, *b]}
    same: *a
    quoted: {"<<": 1}
    """
    plain = loads(text, "x")
    assert plain["one"] == {"x": 3, "y": 1}
    assert plain["two"] == {"x": 3, "y": 1, "z": 2}
    assert plain["same"] == {"x": 1, "y": 1}
    assert plain["same"] is not plain["a"]
    assert plain["quoted"] == {"<<": 1}


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 300))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "g.yaml:3: the key 'a' is given twice, first at g.yaml:1"),
        ("n:\n  a: 1\n  'a': 3", "g.yaml:3: the key 'a' is given twice, first at g.yaml:2"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "g.yaml:1: the tag 'tag:yaml.org,2002:python/object/apply:os.sys",
        ),
        ("a: !!int '3'", "is not allowed; write the plain value"),
        ("a: 1\nb: !secret x", "g.yaml:2: the tag '!secret' is not allowed"),
        ("a: &a [*a]", "g.yaml:1: an anchor that contains itself"),
        ("a: &a {b: {c: *a}}", "g.yaml:1: an anchor that contains itself"),
        ("a: &a {<<: *a}", "g.yaml:1: an anchor that contains itself"),
        ("a: *b", "g.yaml:1: found undefined alias 'b'"),
        (BOMB, "values once aliases are written out"),
        (CHAIN, "nested more than 50 deep once aliases are written out"),
        ("a: " + "[" * 5000, "g.yaml:1: nested more than 50 deep"),
        ("a: {b: 1", "g.yaml:1: while parsing a flow mapping, expected ',' or '}'"),
        ("a: 1\n\tb: 2", "g.yaml:2: "),
        ("a: 1\n b: 2", "g.yaml:2: mapping values are not allowed here"),
        (
            "a: 1\n---\nb: 1",
            "g.yaml:2: expected a single document in the stream, but found another document",
        ),
        ("? [1, 2]\n: 3", "g.yaml:1: a key must be text"),
        ("a: {<<: 3}", "g.yaml:1: `<<` takes a mapping or a list of them, got 3"),
        ("a: " + "9" * 5000, "g.yaml:1: a whole number with more than 1000 digits"),
        ("a: 1\nb: \x07", "g.yaml:2: the character '\\x07' may not stand in YAML"),
        ("", "g.yaml: is empty"),
        ("# only a comment\n", "g.yaml: is empty"),
        ("- a\n- b", "g.yaml: expected sections (key: value) at the top, got ['a', 'b']"),
        ("just words", "g.yaml: expected sections (key: value) at the top, got 'just words'"),
    ],
)
def test_mistakes_are_explained_with_file_and_line(text, message):
    with pytest.raises(SpecError) as caught:
        loads(text, "g.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("g.yaml")


@given(st.text(alphabet="ab: -[]{}&*<!|>'\"#%?,~1.e\n\t", max_size=60))
def test_any_text_is_read_or_explained(text):
    try:
        plain = loads(text, "g.yaml")
    except SpecError as error:
        assert error.file.startswith("g.yaml")
    else:
        assert isinstance(plain, dict)


@given(st.dictionaries(st.text(), plain_values, max_size=5))
def test_what_is_written_reads_the_same(plain):
    assert loads(dumps(plain), "x") == plain


@pytest.mark.slow
@given(graphs())
def test_graphs_read_the_same(graph):
    again = parse(loads(dumps(dump(graph)), "x"))
    assert again == graph
    assert list(again.nodes) == list(graph.nodes)


def test_layout_is_the_documented_one():
    assert dumps(loads(GRAPH, "x")) == GRAPH


def test_long_nodes_are_written_line_by_line():
    text = dumps({"nodes": {"n0": {"model": "m" * 90, "source": "s" * 40}}})
    assert text == f"nodes:\n  n0:\n    model: {'m' * 90}\n    source: {'s' * 40}\n"


def test_save_replaces_the_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "g.yaml"
    save(path, {"a": 1})
    save(path, {"a": [1, 2]})
    assert load(path) == {"a": [1, 2]}
    assert [p.name for p in tmp_path.iterdir()] == ["g.yaml"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_failed_save_keeps_the_old_file(tmp_path):
    path = tmp_path / "g.yaml"
    save(path, {"a": 1})
    with pytest.raises(Exception, match="cannot represent"):
        save(path, {"a": object()})
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        save(tmp_path / "folder", {"a": 1})
    assert load(path) == {"a": 1}
    (tmp_path / "folder").rmdir()
    assert [p.name for p in tmp_path.iterdir()] == ["g.yaml"]


def test_files_that_are_no_yaml(tmp_path):
    (tmp_path / "graph.yaml").write_text(GRAPH)
    (tmp_path / "latin.yaml").write_bytes("a: \xe9".encode("latin-1"))
    (tmp_path / "image.png").write_bytes(bytes(range(256)))
    (tmp_path / "nul.yaml").write_bytes(b"a: \0\0\0")
    (tmp_path / "large.yaml").write_text("#" * (LARGEST_BYTES + 1))
    for name, message in {
        "grap.yaml": "no such file. Did you mean 'graph.yaml'?",
        "no/such/folder.yaml": "no such file.",
        "": "is a folder or a device",
        "latin.yaml": "is not text in UTF-8",
        "image.png": "is not text in UTF-8",
        "nul.yaml": "the character '\\x00' may not stand in YAML",
        "large.yaml": "is larger than 1,000,000 bytes",
    }.items():
        with pytest.raises(SpecError) as caught:
            load(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert message in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    path = tmp_path / "g.yaml"
    path.write_text(GRAPH)
    path.chmod(0)
    with pytest.raises(SpecError, match="cannot be read: Permission denied"):
        load(path)


def test_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "g.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert load(path) == {"a": 1, "b": 2}


def test_errors_of_the_graph_name_the_file(tmp_path):
    path = tmp_path / "g.yaml"
    path.write_text(GRAPH.replace("resnet32", "''"))
    with pytest.raises(SpecError) as caught:
        load_graph(path)
    assert str(caught.value) == f"{path}: nodes.n0.model: must not be empty"
    assert caught.value.path == "nodes.n0.model"


def test_naming_keeps_an_inner_file():
    with pytest.raises(SpecError) as caught, name_file_in_errors(Path("outer.yaml")):
        raise SpecError("", "is empty", "inner.yaml:3")
    assert str(caught.value) == "inner.yaml:3: is empty"


def test_naming_puts_the_file_before_errors_of_weights_too():
    with (
        pytest.raises(WeightsError, match=r"^outer\.yaml: a\.pth: is empty$"),
        name_file_in_errors(Path("outer.yaml")),
    ):
        raise WeightsError("a.pth: is empty")
    with pytest.raises(MissingSourceError) as caught, name_file_in_errors(Path("outer.yaml")):
        raise MissingSourceError("nodes.n0.source", "nobody has it")
    assert str(caught.value) == "outer.yaml: nodes.n0.source: nobody has it"


def test_load_graph_reads_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "g.yaml").write_text(GRAPH.replace("name: cifar100", "path: images"))
    monkeypatch.chdir(tmp_path)
    assert load_graph(Path("g.yaml")).data.path == str(tmp_path / "images")


def test_load_space_names_the_space_and_makes_paths_absolute(tmp_path):
    path = tmp_path / "cars.yaml"
    path.write_text(SPACE.replace("name: cifar100", "path: {choice: [a, /b]}"))
    space = load_space(path)
    assert space.name == "cars"
    assert space.holes["data.path"] == Choice((str(tmp_path / "a"), "/b"))
    path.write_text(f"name: my study\n{SPACE}")
    assert load_space(path).name == "my study"


def test_load_space_names_the_file_in_errors(tmp_path):
    path = tmp_path / "cars.yaml"
    path.write_text(SPACE.replace("lr: 0.1", "lr: {log: [0, 1]}"))
    with pytest.raises(SpecError) as caught:
        load_space(path)
    assert str(caught.value).startswith(
        f"{path}: train.lr.log: the lower end of a `log` must be above 0"
    )
    assert caught.value.path == "train.lr.log"
