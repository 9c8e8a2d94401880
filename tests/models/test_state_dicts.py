import pickle
import warnings
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ktg.errors import WeightsError
from ktg.models.cifar import CIFAR_MODELS
from ktg.models.state_dicts import METADATA_KEY, fit, load, read_state, read_stated_classes

HEAD = frozenset({"linear.weight", "linear.bias"})


def resnet8(classes: int = 10, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return CIFAR_MODELS["resnet8"](num_classes=classes)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors"])
def test_what_was_saved_is_read(tmp_path: Path, suffix):
    state = resnet8().state_dict()
    file = tmp_path / f"weights{suffix}"
    safetensors.torch.save_file(state, file) if suffix == ".safetensors" else torch.save(
        state, file
    )
    assert same(read_state(file), state)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {
            "state_dict": {f"module._orig_mod.{name}": tensor for name, tensor in state.items()}
        },
        lambda state: {f"body.{name}": tensor for name, tensor in state.items()},
    ],
)
def test_wrapped_checkpoints_are_unwrapped(tmp_path: Path, wrap):
    state = dict(resnet8().state_dict())
    torch.save(wrap(state), tmp_path / "w.pth")
    assert same(read_state(tmp_path / "w.pth"), state)


def test_the_old_format_of_torch_is_read(tmp_path: Path):
    state = dict(resnet8().state_dict())
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert same(read_state(tmp_path / "w.pth"), state)


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)


@pytest.mark.parametrize(
    "save", [torch.save, lambda content, file: file.write_bytes(pickle.dumps(content))]
)
def test_a_malicious_pickle_is_refused_and_never_run(tmp_path: Path, save):
    file, victim = tmp_path / "evil.pth", tmp_path / "victim"
    save({"conv1.weight": Malicious(victim)}, file)
    with pytest.raises(
        WeightsError, match=r"evil\.pth: holds more than tensors, and its code was not run"
    ):
        read_state(file)
    assert not victim.exists()


@pytest.mark.parametrize(
    "content", [[1, 2], {}, {"a": 1}, {"a": "text"}, {1: torch.zeros(1)}, torch.zeros(3), None]
)
def test_what_is_not_a_state_dict_is_named(tmp_path: Path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth: .*state dict"):
        read_state(tmp_path / "w.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 0.999))
def test_a_truncated_file_is_named_wherever_it_ends(tmp_path_factory, suffix, share):
    file = tmp_path_factory.mktemp("cut") / f"cut{suffix}"
    state = {"weight": torch.rand(50), "bias": torch.rand(7)}
    safetensors.torch.save_file(state, file) if suffix == ".safetensors" else torch.save(
        state, file
    )
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WeightsError, match=f"cut{suffix}: "):
        read_state(file)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([".pth", ".safetensors", ".bin", ".pt"]))
def test_noise_is_never_a_state_dict(tmp_path_factory, noise, suffix):
    file = tmp_path_factory.mktemp("noise") / f"noise{suffix}"
    file.write_bytes(noise)
    with pytest.raises(WeightsError, match=f"noise{suffix}: "):
        read_state(file)


def test_missing_empty_and_foreign_files(tmp_path: Path):
    (tmp_path / "empty.pth").touch()
    (tmp_path / "weights.h5").write_bytes(b"x")
    for name, problem in [
        ("gone.pth", "no such file"),
        ("empty.pth", "is empty"),
        ("weights.h5", "not a weights file"),
    ]:
        with pytest.raises(WeightsError, match=f"{name}: .*{problem}"):
            read_state(tmp_path / name)


def test_sparse_and_quantized_tensors_are_refused(tmp_path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls both kinds experimental or deprecated
        quantized = torch.quantize_per_tensor(torch.rand(3), 0.1, 0, torch.qint8)
        for name, tensor in {"sparse": torch.eye(3).to_sparse(), "quantized": quantized}.items():
            torch.save({name: tensor}, tmp_path / "w.pth")
            with pytest.raises(WeightsError, match=f"'{name}' is"):
                read_state(tmp_path / "w.pth")


def test_the_head_comes_along_for_the_same_number_of_classes():
    body, donor = resnet8(10, seed=0), resnet8(10, seed=1)
    assert load(body, donor.state_dict(), HEAD, "w.pth")
    assert same(body.state_dict(), donor.state_dict())


@pytest.mark.parametrize("change", ["more classes", "no head", "half a head"])
def test_a_new_head_stays_and_the_backbone_comes(change):
    body, donor = (
        resnet8(10, seed=0),
        resnet8(12 if change == "more classes" else 10, seed=1).state_dict(),
    )
    if change != "more classes":
        del donor["linear.weight"]
    if change == "no head":
        del donor["linear.bias"]
    before = {name: body.state_dict()[name].clone() for name in HEAD}
    assert not load(body, donor, HEAD, "w.pth")
    after = body.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in HEAD)
    assert all(torch.equal(after[name], donor[name]) for name in after if name not in HEAD)


def test_half_precision_weights_are_widened():
    body, donor = (
        resnet8(seed=0),
        {name: t.half() for name, t in resnet8(seed=1).state_dict().items()},
    )
    load(body, donor, HEAD, "w.pth")
    assert body.conv1.weight.dtype is torch.float32
    torch.testing.assert_close(body.conv1.weight, donor["conv1.weight"].float())


def test_batch_counters_may_be_missing():
    donor = {
        name: t for name, t in resnet8(seed=1).state_dict().items() if "num_batches" not in name
    }
    assert load(resnet8(), donor, HEAD, "w.pth")


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_any_damage_to_the_backbone_is_listed(data):
    body, state = resnet8(), dict(resnet8(seed=1).state_dict())
    names = [name for name in state if name not in HEAD and "num_batches" not in name]
    name = data.draw(st.sampled_from(names))
    kind = data.draw(st.sampled_from(["missing", "unexpected", "of another shape"]))
    if kind == "missing":
        del state[name]
    elif kind == "unexpected":
        state[name + "x"] = torch.zeros(1)
    else:
        state[name] = state[name][..., None]
    with pytest.raises(WeightsError, match=rf"^w\.pth: .*1 {kind} \({name}"):
        fit(body, state, HEAD, "w.pth")


def test_a_deeper_network_lists_a_few_of_many_keys():
    deeper = CIFAR_MODELS["resnet14"](num_classes=10).state_dict()
    with pytest.raises(
        WeightsError, match=r"backbone keys: 36 unexpected \((layer\S+ ){5}\.\.\.\)$"
    ):
        fit(resnet8(), deeper, HEAD, "w.pth")


def test_a_failed_load_changes_nothing():
    body = resnet8()
    before = {name: tensor.clone() for name, tensor in body.state_dict().items()}
    with pytest.raises(WeightsError):
        load(body, {"conv1.weight": torch.zeros(16, 3, 3, 3)}, HEAD, "w.pth")
    assert same(body.state_dict(), before)


@pytest.mark.parametrize(
    "prefix",
    ["backbone.", "model.", "net.", "_orig_mod.module.", "module.encoder.", "model.backbone.body."],
)
@pytest.mark.parametrize(
    "others", [{}, {"criterion.weight": torch.ones(3), "queue": torch.ones(1)}]
)
def test_what_a_trainer_puts_before_the_names_is_taken_off(tmp_path: Path, prefix, others):
    donor = resnet8(seed=1).state_dict()
    torch.save({f"{prefix}{name}": x for name, x in donor.items()} | others, tmp_path / "w.pth")
    body = resnet8()
    assert load(body, read_state(tmp_path / "w.pth"), HEAD, "w.pth")
    assert same(body.state_dict(), donor)


def test_beside_a_prefix_the_backbone_must_still_fit_exactly():
    donor = {f"backbone.{name}": x for name, x in resnet8().state_dict().items()}
    with pytest.raises(WeightsError, match=r"1 unexpected \(more\.weight\)$"):
        fit(resnet8(), donor | {"backbone.more.weight": torch.ones(1)}, HEAD, "w.pth")
    del donor["backbone.conv1.weight"]
    with pytest.raises(WeightsError, match="another network"):
        fit(resnet8(), donor, HEAD, "w.pth")


def test_of_mocos_two_encoders_the_trained_one_is_taken():
    trained, copy = (resnet8(seed=seed).state_dict() for seed in (1, 2))
    state = {f"encoder_q.{name}": x for name, x in trained.items() if name not in HEAD}
    state |= {f"encoder_k.{name}": x for name, x in copy.items() if name not in HEAD}
    # The head that contrasts images has two layers.
    state |= {f"encoder_{x}.linear.{y}.weight": torch.ones(4, 4) for x in "qk" for y in (0, 2)}
    body = resnet8()
    assert not load(body, state | {"queue": torch.ones(4, 2)}, HEAD, "w.pth")
    assert torch.equal(body.conv1.weight, trained["conv1.weight"])


def test_two_networks_of_the_same_kind_are_a_choice_of_the_users():
    both = {
        f"{role}.{name}": x
        for role in ("student.backbone", "teacher.backbone")
        for name, x in resnet8().state_dict().items()
    }
    said = r"^w\.pth holds weights of this network 2 times, under student\.backbone\., teacher"
    with pytest.raises(WeightsError, match=said + r".* with `part: student\.backbone` beside"):
        fit(resnet8(), both, HEAD, "w.pth")


@pytest.mark.parametrize(
    ("metadata", "classes"),
    [
        ({METADATA_KEY: '{"classes": ["cat", "dog"]}'}, ("cat", "dog")),
        ({METADATA_KEY: '{"classes": [1, 2]}'}, None),
        ({METADATA_KEY: '{"classes": "cat"}'}, None),
        ({METADATA_KEY: "[]"}, None),
        ({METADATA_KEY: "no json"}, None),
        (None, None),
    ],
)
def test_a_model_file_says_what_its_head_tells_apart_and_no_other_does(tmp_path, metadata, classes):
    file = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(1)}, file, metadata)
    assert read_stated_classes(file) == classes
    assert read_stated_classes(tmp_path / "gone.safetensors") is None
