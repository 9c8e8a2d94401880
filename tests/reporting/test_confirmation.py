"""What a report takes over from `ktg confirm`, and how its page shows it."""

import json

import pytest
from records import written
from webpage import look_up, read

from ktg.reporting.confirmation import confirmation
from ktg.reporting.page import report_page
from ktg.reporting.record import read_search
from ktg.tracking import MlflowTracker, find_experiment

ROW = {"trial": "trial-0002", "baseline": None, "val_accuracy": 0.75, "n": 2, "failures": []}
RUNS = [
    {"seed": 1000, "accuracy": 0.7, "loss": 0.5, "train_s": 2.0},
    {"seed": 1001, "accuracy": 0.8, "loss": 0.4},
]
FAILED = [{"seed": 1001, "reason": "out of <memory>"}]
FOUND = {
    "version": 1,
    "experiment": "confirmed",
    "search": "id",
    "seeds": [1000, 1001],
    "test_images": 1234,
    "rows": [
        ROW | {"what": "best graph", "test_accuracy": 0.75, "test_std": 0.07, "runs": RUNS},
        ROW
        | {
            "what": "2nd best",
            "baseline": "distillation",
            "test_accuracy": 0.7,
            "test_std": 0.1,
            "runs": RUNS,
        },
        ROW
        | {
            "what": "alone",
            "test_accuracy": None,
            "test_std": None,
            "n": 0,
            "runs": [],
            "failures": FAILED,
        },
    ],
    "differences": [
        {
            "of": "best graph",
            "against": "distillation",
            "difference": 0.05,
            "interval": [0.01, 0.09],
        }
        | {"verdict": "better"},
        {
            "of": "best graph",
            "against": "alone",
            "difference": None,
            "interval": None,
            "verdict": "not proven",
        },
        {
            "of": "2nd best",
            "against": "alone",
            "difference": -0.01,
            "interval": [-0.03, 0.01],
            "verdict": "not proven",
        },
    ],
    "sentence": "The best graph, trial-0002, is better than distillation by 5.00 points.",
    "basis": "2 seeds & 1,234 images.",
}


def write(uri: str, search: str, found: object, state: str = "finished") -> None:
    with MlflowTracker("confirmed", uri) as tracker:
        run = tracker.start("confirm", tags={"kind": "confirm", "search": search})
        tracker.artifact(run, "confirm.json", json.dumps(found))
        tracker.end(run, state)


def test_it_is_that_of_this_search_and_of_one_that_came_to_its_end(uri):
    written(uri, "confirmed", ("finished", [0.1, 0.2, 0.3]))
    experiment = find_experiment("confirmed", uri)
    record = read_search(experiment)
    assert confirmation(record) is None
    write(uri, record.run.id, FOUND)
    write(uri, "another search", FOUND | {"test_images": 1})
    write(uri, record.run.id, FOUND | {"test_images": 2}, "interrupted")
    write(uri, record.run.id, {"version": 99})
    found = confirmation(record)
    assert {name: value for name, value in found.items() if name not in ("run", "ended")} == FOUND
    assert found["ended"].endswith("UTC")


@pytest.fixture(scope="module")
def confirmed(reported):
    return reported | {"confirmation": FOUND | {"run": "id", "ended": "today"}}


def test_the_page_shows_every_graph_and_difference_with_the_numbers_of_the_data(confirmed, record):
    page = read(report_page(confirmed, record.space.holes))
    numbers = {
        path: value for path, value in page.numbers.items() if path.startswith("confirmation.")
    }
    for path, (value, _) in numbers.items():
        assert float(value) == look_up(confirmed, path), path
    for place in (0, 1):
        assert {
            f"confirmation.rows.{place}.{name}" for name in ("test_accuracy", "test_std", "n")
        } <= numbers.keys()
    assert numbers["confirmation.differences.0.interval.1"][1] == "+9.00"
    assert numbers["confirmation.test_images"][1] == "1,234"
    assert page.text.count(FOUND["sentence"]) == 2  # at the top and in its section
    assert FOUND["basis"] in page.text
    assert "2nd best (distillation)" in page.text
    assert "alone: 1 of 2 trainings failed (out of <memory>)" in page.text
    assert "ktg confirm" not in page.text.split("What the best network")[0]


def test_without_one_the_page_says_how_to_get_it(page):
    text = read(page).text
    assert "Confirmation on test images" not in text
    assert "ktg confirm a search" in text


def test_without_baselines_there_is_nothing_to_draw_of_differences(confirmed, record):
    alone = confirmed["confirmation"] | {"differences": [], "rows": FOUND["rows"][:1]}
    text = read(report_page(confirmed | {"confirmation": alone}, record.space.holes)).text
    assert "points more than the baseline" not in text
    assert "Confirmation on test images" in text
