"""Cards are read strictly, and whatever a card may say survives writing and reading."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoos import HASH, card

from ktg.errors import SpecError
from ktg.graph.yaml_files import dumps, load, loads
from ktg.zoo.card import (
    check_card,
    check_key,
    check_model_name,
    check_name,
    dump_card,
    entry_key,
    parse_card,
)

PLAIN = dump_card(card())
LINES = st.text(
    st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1, max_size=20
)
SHARES = st.floats(0, 1)
SCALARS = st.one_of(
    LINES,
    st.integers(-(2**60), 2**60),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
)

# Each line holds the one before nine times.
BOMB = "a: &a [1]\n" + "".join(
    f"{y}: &{y} [{', '.join([f'*{x}'] * 9)}]\n" for x, y in itertools.pairwise("abcdefgh")
)


@given(
    st.builds(
        card,
        classes=st.lists(LINES, max_size=3).map(tuple),
        data=LINES,
        mean=st.tuples(SHARES, SHARES, SHARES),
        model_args=st.dictionaries(
            st.from_regex(r"[a-z_]{1,8}", fullmatch=True), SCALARS, max_size=2
        ),
        accuracy=st.none() | SHARES,
        licence=st.none() | LINES,
        sha256=st.just(HASH),
        provenance=st.dictionaries(LINES, SCALARS, max_size=2),
    )
)
def test_writing_and_reading_gives_the_same_card(given_card):
    assert parse_card(loads(dumps(dump_card(given_card)), "card.yaml")) == given_card


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"acuracy": 1}, r"^acuracy: unknown key; .* Did you mean 'accuracy'\?$"),
        ({"accuracy": 87}, r"^accuracy: must be at most 1, got 87"),
        ({"accuracy": "good"}, r"^accuracy: expected a number"),
        ({"name": "../../etc"}, r"^name: '\.\./\.\./etc' cannot name an entry"),
        ({"name": "birds.pth"}, r"^name: 'birds\.pth' looks like a file"),
        ({"model": "../resnet8"}, r"^model: '\.\./resnet8' is not the name of a model"),
        ({"model": "timm/resnet18"}, r"^model: 'timm/resnet18' is not the name"),
        ({"mean": [0.1, 0.2]}, r"^mean: expected one number, or three"),
        ({"std": [0.1, 0, 0.2]}, r"^std\[1\]: must be greater than 0"),
        ({"classes": [["cat"]]}, r"^classes\[0\]: expected text"),
        ({"classes": ["cat", "\x1b[2J"]}, r"^classes\[1\]: must be one line of printable"),
        ({"data": "two\nlines"}, r"^data: must be one line"),
        ({"data": "two\u2028lines"}, r"^data: must be one line"),
        ({"classes": ["cat", "\u202etac"]}, r"^classes\[1\]: must be one line"),
        ({"provenance": {"a\x07": 1}}, r"^provenance\.a.*: must be one line"),
        ({"provenance": {"a": [1]}}, r"^provenance\.a: expected a single value"),
        ({"sha256": "abc"}, r"^sha256: expected 64 hexadecimal digits, got 'abc'"),
        ({"bytes": -1}, r"^bytes: must be at least 0"),
        ({"interpolation": "lanczos"}, r"^interpolation: 'lanczos' is not"),
        ({"version": 2}, r"^version: 2 is not a format this ktg reads; allowed: 1"),
    ],
)
def test_what_a_card_may_not_say(change, message):
    with pytest.raises(SpecError, match=message):
        parse_card(PLAIN | change)


@pytest.mark.parametrize("name", ["a\u00a0b", "a\u3000b", "a\u200cb", "a\u200db", "a\tb", "\u00ad"])
def test_a_card_may_say_what_a_terminal_shows(name):
    given_card = card(classes=(name, "b"), data=name)
    assert parse_card(loads(dumps(dump_card(given_card)), "card.yaml")) == given_card


def test_what_a_card_must_say():
    for field in ("name", "model", "classes", "data", "mean", "std", "input_size"):
        with pytest.raises(SpecError, match=rf"^{field}: is missing"):
            parse_card({key: value for key, value in PLAIN.items() if key != field})
    with pytest.raises(SpecError, match="expected a mapping"):
        parse_card(["name"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: !!python/object/apply:os.system [ls]", "the tag .* is not allowed"),
        (BOMB, "more than 100,000 values"),
        ("name: &a [*a]", "an anchor that contains itself"),
        ("classes: " + "[" * 100, "nested more than 50 deep"),
        ("name: a\nname: b", "given twice"),
    ],
)
def test_hostile_yaml_is_refused_by_its_file(tmp_path: Path, text, message):
    file = tmp_path / "card.yaml"
    file.write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        load(file)
    assert str(file) in str(caught.value)


def test_names_that_are_files_of_their_own():
    assert entry_key("animals", "resnet8") == "animals/resnet8"
    assert entry_key("animals", "torchvision/resnet18") == "animals/torchvision.resnet18"
    assert card(model="torchvision/resnet18").key == "animals/torchvision.resnet18"
    assert check_name("a-B_1.2") == "a-B_1.2"
    assert check_model_name("torchvision/vit_b_16") == "torchvision/vit_b_16"
    assert check_card(card()) == card()


@given(st.text(max_size=30))
def test_a_key_never_leaves_its_folder(text):
    try:
        key = check_key(text, "entries[0]")
    except SpecError as error:
        assert error.path == "entries[0]"
    else:
        folder = Path("/zoo")
        assert key == text
        assert (folder / key).resolve().parent.parent == folder


def test_a_key_is_text():
    with pytest.raises(SpecError, match=r"^e: 7 is not the name of an entry"):
        check_key(7, "e")
