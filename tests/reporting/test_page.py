"""The page: its numbers are the data's, it needs nothing from outside, no name can inject code."""

import copy
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import read_back
from webpage import look_up, read

from ktg.graph import Choice
from ktg.reporting.page import format_number, mark_number, render_report
from ktg.reporting.report import make_report

EVIL = "<script>alert('x')</script><img src=x onerror=\"alert(1)\">$\\frac{1}{0}$"
KEPT = {
    "hole",
    "metric",
    "state",
    "trial",
    "picture",
    "graph",
    "gate",
    "device",
    "run",
    "what",
    "baseline",
    "node",
    "why",
}


@pytest.mark.slow
def test_every_number_of_the_page_is_that_of_the_data(reported, page):
    plain = json.loads(json.dumps(reported))  # as --json prints it
    numbers = read(page).numbers
    assert len(numbers) > 60
    for path, (value, text) in numbers.items():
        assert float(value) == look_up(plain, path), path
        assert float(re.sub(r"[^\d.]", "", text) or "nan") >= 0, text
    for path in (
        "comparison.0.val_accuracy",
        "cost.epochs",
        "cost.saved.stopping.epochs",
        "mistakes.confusion.0.0",
    ):
        assert path in numbers
    best = reported["comparison"][0]["val_accuracy"]
    assert numbers["comparison.0.val_accuracy"][1] == f"{100 * best:.2f}\N{NO-BREAK SPACE}%"


def test_its_commands_name_a_store_that_they_would_not_come_to(new_store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    search = read_back(new_store(), "my birds", ("finished", [0.5, 0.8]))
    data = make_report(search, retrain=False)
    text = read(render_report(data, search.space.holes, "sqlite:///my.db")).text
    for command in ("confirm 'my birds'", "export 'my birds' -o best.yaml"):
        assert f"ktg {command} --tracking-uri sqlite:///my.db" in text
    assert "ktg report 'my birds' --json --tracking-uri sqlite:///my.db" in text
    for usual in ("sqlite:///mlflow.db", None):
        assert "--tracking-uri" not in read(render_report(data, search.space.holes, usual)).text


@pytest.mark.slow
def test_it_is_complete_in_itself(page):
    found = read(page)
    for tag, name, value in found.attributes:
        if name in ("src", "href", "xlink:href", "action", "data", "srcset"):
            assert value.startswith(("#", "data:image/")), (tag, name, value)
    assert not {"script", "link", "iframe", "object", "base"} & found.elements.keys()
    assert not re.search(r"@import|url\((?!#)", page)
    assert len(page) < 2_000_000
    ids = [value for _, name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = {value[1:] for tag, name, value in found.attributes if tag == "a" and name == "href"}
    assert links <= set(ids)


@pytest.mark.slow
def test_no_colour_of_a_picture_is_fixed_against_the_page(page):
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) >= 7
    fixed = {colour for picture in pictures for colour in re.findall(r"#[0-9a-f]{6}", picture)}
    assert fixed <= {"#ffffff", "#d0dce6"}  # letters on the filled boxes of the graph
    used = set(re.findall(r"var\(--([a-z]+)\)", page))
    defined = re.findall(r"--([a-z]+):", page.split("</style>")[0])
    assert used <= set(defined) | {"natural", "tone", "share"}


@pytest.mark.slow
def test_names_cannot_put_code_into_the_page(record, reported):
    evil = hostile(copy.deepcopy(reported))
    evil["mistakes"]["classes"][0] = EVIL
    holes = {
        path: Choice((EVIL, *hole.options)) if isinstance(hole, Choice) else hole
        for path, hole in record.space.holes.items()
    }
    for trial in evil["trials"]:
        trial["values"] = trial["values"] and {
            path: EVIL if path.endswith("gate") else value
            for path, value in trial["values"].items()
        }
    found = read(render_report(evil, holes))
    assert "script" not in found.elements
    shown = [one for name in ("wrong", "doubtful") for one in evil["mistakes"].get(name, [])]
    assert found.elements["img"] == len(shown)
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert found.text.count("<script>alert('x')</script>") > 20


def hostile(value, key=""):
    """Return the data with something bad in every text that comes from outside."""
    if isinstance(value, dict):
        return {name: item if name in KEPT else hostile(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [hostile(item, key) for item in value]
    return EVIL + value if isinstance(value, str) else value


@pytest.mark.slow
def test_a_running_search_is_called_unfinished(record, reported):
    running = reported | {"search": reported["search"] | {"unfinished": True}}
    assert "This search is unfinished" in read(render_report(running, record.space.holes)).text


@pytest.mark.slow
def test_the_ensemble_stands_beside_the_target(record, reported):
    end = reported["best"]["at_end"]
    row = {"val_accuracy": 0.625, "val_interval": None, "val_loss": 0.5}
    nodes = [row | {"node": name, "model": "resnet8"} for name in ("n0", "n1")]

    def text(**found):
        best = reported["best"] | {"at_end": end | {"nodes": nodes, **found}}
        return read(render_report(reported | {"best": best}, record.space.holes)).text

    alone = text(ensemble=row, ensemble_counts=False)
    assert "ensemble all of them 62.50 %" in alone
    assert "n0 target resnet8" in alone
    assert "this search scored the target alone" in alone
    together = text(ensemble=row, ensemble_counts=True)
    assert "ensemble target all of them" in together
    assert "which is what this search scored" in together
    assert "scored together as an ensemble" in together
    assert "n0 target" not in together
    assert "an older version made this search" in text(ensemble=None)


@pytest.mark.slow
def test_a_search_without_baselines_says_so(record, reported):
    search = reported["search"]["settings"] | {"baselines": False}
    without = reported | {"comparison": reported["comparison"][:1]}
    without |= {"search": reported["search"] | {"settings": search}}
    text = read(render_report(without, record.space.holes)).text
    assert "there is nothing to hold its best against" in text
    assert "training alone" not in text


@pytest.mark.slow
def test_where_nothing_was_stopped_nothing_is_said_of_it(record, reported):
    saved = reported["cost"]["saved"] | {
        "stopping": {"trials": 0, "epochs": 0, "device_s": 0.0, "said": None}
    }
    text = read(
        render_report(reported | {"cost": reported["cost"] | {"saved": saved}}, record.space.holes)
    ).text
    assert "stopped early more often" not in text
    assert "of the stopped" not in text


@pytest.mark.slow
def test_without_mistakes_the_page_says_why(record, reported):
    without = reported | {"mistakes": {"why": "It took long & was left out."}}
    assert "It took long & was left out." in read(render_report(without, record.space.holes)).text


@pytest.mark.slow
def test_tests_over_seeds_are_shown_beside_validation(record, reported):
    rows = copy.deepcopy(reported["comparison"])
    rows[0]["test"] = {
        "accuracy": 0.9,
        "std": 0.01,
        "n": 5,
        "interval": (0.88, 0.92),
        "minus_alone": -0.004,
        "minus_alone_interval": (-0.01, 0.002),
    }
    numbers = read(render_report(reported | {"comparison": rows}, record.space.holes)).numbers
    assert numbers["comparison.0.test.accuracy"][1] == "90.00\N{NO-BREAK SPACE}%"
    assert numbers["comparison.0.test.minus_alone"][1] == "\N{MINUS SIGN}0.40"
    assert numbers["comparison.0.test.minus_alone_interval.1"][1] == "+0.20"


@pytest.mark.slow
@pytest.mark.slow
def test_affinity_has_a_section_where_it_was_measured(record, reported, page):
    assert "Affinity against result" not in page
    node = {
        "node": "n1",
        "model": "resnet8",
        "favourite": "none",
        "won": "imagenet",
        "agree": False,
    }
    one = {
        "source": "none",
        "score": None,
        "kept": False,
        "favourite": True,
        "won": False,
        "trials": 0,
    }
    measured = {
        "score": "logme",
        "epoch": 1,
        "nodes": [node | {"candidates": [one | {"mean_val_accuracy": None}]}],
    }
    text = read(render_report(reported | {"affinity": measured}, record.space.holes)).text
    assert "n1, resnet8: the favourite did not win" in text
    assert "left out" in text


def test_a_probe_has_a_sentence_in_place_of_empty_curves(record, reported):
    untrained = "It did not train for an epoch"
    probe = copy.deepcopy(reported)
    probe["best"] |= {"epochs": 0, "nodes": [], "gates": []}
    shown = read(render_report(probe, record.space.holes)).text
    assert untrained in shown
    assert "Openness of its gates" not in shown
    assert untrained not in read(render_report(reported, record.space.holes)).text


@pytest.mark.parametrize(
    ("value", "how", "text"),
    [
        (0.95121, "percent", "95.12\N{NO-BREAK SPACE}%"),
        (0.365, "share", "36\N{NO-BREAK SPACE}%"),
        (0.007, "points", "+0.70"),
        (200.2, "duration", "3\N{NO-BREAK SPACE}min\N{NO-BREAK SPACE}20\N{NO-BREAK SPACE}s"),
        (1234, "count", "1,234"),
        (0.16878, "loss", "0.1688"),
    ],
)
def test_numbers_in_words(value, how, text):
    assert format_number(value, how) == text


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_number_goes_through_the_page_unchanged(value):
    written = read(str(mark_number({"a": [{"b": value}]}, "a.0.b", "loss"))).numbers["a.0.b"][0]
    assert type(value)(written) == value


def test_what_is_not_known_is_a_dash():
    assert read(str(mark_number({"a": None}, "a", "percent"))).text == "\N{EN DASH}"
