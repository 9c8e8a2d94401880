import pickle

import pytest

from ktg.errors import (
    DataError,
    KtgError,
    SpecError,
    TrainingError,
    UserError,
    WeightsError,
    did_you_mean,
    did_you_mean_path,
    join_names,
    make_printable,
    not_one_of,
    show,
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SpecError("train.lr", "must be greater than 0"), "train.lr: must be greater than 0"),
        (SpecError("", "is empty"), "is empty"),
        (SpecError("train.lr", "is wrong", "a.yaml"), "a.yaml: train.lr: is wrong"),
        (SpecError("", "is empty", "a.yaml"), "a.yaml: is empty"),
    ],
)
def test_message_names_file_place_and_problem(error, text):
    assert str(error) == text


def test_spec_error_survives_a_process_border():
    error = pickle.loads(pickle.dumps(SpecError("train.lr", "is wrong", "a.yaml")))
    assert (error.path, error.problem, error.file) == ("train.lr", "is wrong", "a.yaml")
    assert str(error) == "a.yaml: train.lr: is wrong"


def test_only_user_errors_are_the_users():
    assert all(issubclass(kind, UserError) for kind in (SpecError, DataError, WeightsError))
    assert issubclass(TrainingError, KtgError)
    assert not issubclass(TrainingError, UserError)


def test_show_cuts_what_is_long():
    assert show("a") == "'a'"
    assert len(show("x" * 1000)) <= 60
    assert len(show(list(range(1000)))) < 60


@pytest.mark.parametrize(
    ("got", "words", "answer"),
    [
        ("throgh", ["through", "cutoff"], " Did you mean 'through'?"),
        ("RESNET18", ["resnet18"], " Did you mean 'resnet18'?"),
        ("n1", ["N1"], " Did you mean 'N1'?"),
        ("zebra", ["through", "cutoff"], ""),
        (3, ["through"], ""),
        ("x", [], ""),
    ],
)
def test_did_you_mean(got, words, answer):
    assert did_you_mean(got, words) == answer


def test_not_one_of_lists_a_dozen_and_counts_the_rest():
    text = str(not_one_of("nodes.n0.model", "b7", "a model", [f"a{i}" for i in range(30)]))
    assert text.startswith("nodes.n0.model: 'b7' is not a model; allowed: a0, a1,")
    assert "a11, ... (30 in all)." in text
    assert "a12" not in text


def test_a_path_that_is_not_there_is_compared_with_what_lies_beside_its_first_missing_part(
    tmp_path,
):
    (tmp_path / "photos" / "birds").mkdir(parents=True)
    (tmp_path / "photos" / "birds.NPZ").touch()
    (tmp_path / "photos" / "brids.txt").touch()
    assert did_you_mean_path(tmp_path / "phtos" / "birds") == " Did you mean 'photos'?"
    assert did_you_mean_path(tmp_path / "photos" / "brids") == " Did you mean 'birds'?"
    assert (
        did_you_mean_path(tmp_path / "photos" / "bird.npz", (".npz",))
        == " Did you mean 'birds.NPZ'?"
    )
    assert did_you_mean_path(tmp_path / "photos" / "elephants") == ""
    assert did_you_mean_path(tmp_path / "photos") == ""  # it is there
    assert did_you_mean_path(tmp_path / "photos" / "birds.NPZ" / "x") == ""  # its folder is a file


def test_joined_names_count_what_it_leaves_out():
    assert join_names(["a", "b"]) == "a, b"
    assert join_names(["a", "b", "c", "d"], most=2) == "a, b and 2 more"


def test_what_a_terminal_obeys_is_shown_instead():
    assert make_printable("a\x1b[2J\r\x9b\x7f\u202eb\udcff") == (
        r"a\u001b[2J\u000d\u009b\u007f\u202eb\udcff"
    )
    plain = "caf\u00e9 \N{NO-BREAK SPACE}% \u65e5\u672c \U0001f408\n\tend"
    assert make_printable(plain) == plain


@pytest.mark.parametrize("kind", [KtgError, UserError, DataError, WeightsError, TrainingError])
def test_an_error_is_one_printable_line_whatever_it_quotes(kind):
    assert str(kind("a\x1b[2J\nktg: done\u202e")) == r"a\u001b[2J\nktg: done\u202e"


def test_a_spec_error_is_one_printable_line_too():
    assert str(SpecError("x\x1b", "is\nwrong", "a\x07.yaml")) == r"a\u0007.yaml: x\u001b: is\nwrong"


def test_a_path_that_is_a_number_is_shown():
    assert str(SpecError(3, "is no name")) == "3: is no name"
