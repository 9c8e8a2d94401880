"""`ktg report`, and the page that `ktg search` leaves behind."""

import json

import pytest
from command import ktg
from records import PLAIN, going_on, written
from webpage import look_up, read

from ktg.tracking import find_experiment


@pytest.fixture(scope="module")
def uri(new_store):
    return new_store()


def run(searched, folder, *words, name="a search"):
    return ktg("report", name, "--tracking-uri", searched.uri, *words, folder=folder)


@pytest.mark.slow
def test_a_search_leaves_its_page_with_its_run(searched):
    experiment = find_experiment("a search", searched.uri)
    (search,) = experiment.searches()
    page = read(experiment.read_artifact(search, "report.html"))
    assert "a search" in page.text
    file = experiment.artifact_file(search, "report.html")
    shown = searched.shown.replace("\n", "")
    assert f"Report: {file} (ktg report 'a search' adds what the best network gets wrong)" in shown


@pytest.mark.slow
def test_the_page_and_json_have_the_same_numbers(searched, tmp_path):
    done = run(searched, tmp_path, "-o", "page.html")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith(
        f"best {searched.result['rows'][0]['trial'].split()[0]}, validation accuracy 100.00 % "
        "(one training)\n"
    )
    told = run(searched, tmp_path, "--json")
    assert told.code == 0
    assert [path.name for path in tmp_path.iterdir()] == [
        "page.html"
    ]  # with --json, a page only where it is asked for
    data = json.loads(told.out)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    numbers = read(page).numbers
    assert len(numbers) > 60
    for path, (value, _) in numbers.items():
        assert float(value) == look_up(data, path), path
    experiment = find_experiment("a search", searched.uri)
    assert experiment.read_artifact(experiment.searches()[0], "report.html") == page


@pytest.mark.slow
def test_without_training_again_there_are_no_mistakes(searched, tmp_path):
    assert (
        json.loads(run(searched, tmp_path, "--json", "--no-retrain", "-o", "p.html").out)[
            "experiment"
        ]
        == "a search"
    )
    assert (tmp_path / "p.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-o", "absent/page.html"), "absent/page.html: there is no folder"),
        (("-o", "."), ".: is a folder; give the name of a file"),
    ],
)
def test_a_place_that_cannot_be_written_is_found_first(searched, tmp_path, words, said):
    done = run(searched, tmp_path, *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"ktg: {said}")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_unknown_experiment_is_one_sentence_and_no_file(searched, tmp_path):
    done = run(searched, tmp_path, name="a serch")
    assert done.code == 2
    assert done.err.startswith("ktg: no experiment 'a serch' in sqlite:///")
    assert done.err.endswith("Did you mean 'a search'?\n")
    assert done.err.count("\n") == 1
    absent = ktg("report", "a search", folder=tmp_path)
    assert (absent.code, absent.err.count("\n")) == (2, 1)
    assert "there is no MLflow store at" in absent.err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_store_that_takes_nothing_costs_a_warning(searched, tmp_path, monkeypatch):
    from ktg import tracking
    from ktg.errors import UserError

    def refuse(*_):
        raise UserError("the disk is full")

    monkeypatch.setattr(tracking, "attach", refuse)
    done = run(searched, tmp_path)
    assert done.code == 0
    assert "the page could not be kept with its search: the disk is full" in done.out
    assert (tmp_path / "report.html").is_file()


@pytest.mark.slow
def test_a_search_that_runs_is_reported_as_far_as_it_is(uri, tmp_path):
    with going_on(uri, "waiting", ("running", [0.5])):
        early = ktg("report", "waiting", "--tracking-uri", uri, folder=tmp_path)
    assert (early.code, early.out) == (2, "")
    said = "has no finished trial; its search is still running: wait for one"
    assert early.err == f"ktg: experiment 'waiting' {said}\n"
    assert not list(tmp_path.iterdir())
    with going_on(uri, "going on", ("finished", [0.1, 0.2, 0.5]), ("running", [0.5])):
        done = ktg(
            "report",
            "going on",
            "--tracking-uri",
            uri,
            "-o",
            "p.html",
            "--no-retrain",
            folder=tmp_path,
        )
    assert (done.code, done.err) == (0, "")
    text = read((tmp_path / "p.html").read_text(encoding="utf-8")).text
    assert "This search is unfinished: it is still running, or was killed." in text
    assert "1 finished, 1 running" in text


def test_an_older_version_s_search_shows_what_it_has(uri, tmp_path):
    written(uri, "older", ("finished", [0.1, 0.2, 0.5]), ("stopped", [0.5]))
    done = ktg("report", "older", "--tracking-uri", uri, "--no-retrain", folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    text = read((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "how many validation images there were is not recorded" in text
    assert "No baseline was trained to its end." in text
    assert "fingerprint not recorded" in text
    written(uri, "oldest", ("finished", [0.1]), space=PLAIN.replace("gate", "valve"))
    refused = ktg("report", "oldest", "--tracking-uri", uri, "-o", "no.html", folder=tmp_path)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "was made by ktg 0.0.1 and cannot be read by" in refused.err
    assert not (tmp_path / "no.html").exists()
