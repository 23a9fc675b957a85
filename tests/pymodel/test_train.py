import pytest
import torch

from pymodel import networks, train
from pymodel.checkpoint import Checkpoint, load, save
from pymodel.errors import DeeplockError


def test_digits_reaches_97_percent(digits):
    images = train.to_input("digits", digits.data.test_images)
    accuracy = train.accuracy(digits.module, images, torch.from_numpy(digits.data.test_labels))
    assert accuracy == digits.history[-1].accuracy
    assert accuracy >= 0.97


def test_loss_falls(digits):
    assert [epoch.number for epoch in digits.history] == list(range(1, len(digits.history) + 1))
    assert digits.history[-1].loss < digits.history[0].loss / 10


def test_digits_has_its_parameter_count():
    assert sum(p.numel() for p in networks.build("digits").parameters()) == 160 + 4640 + 330


def test_same_seed_gives_same_bits_and_leaves_torch_as_it_was(digits):
    torch.manual_seed(123)
    expected = torch.rand(1)
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.manual_seed(123)
    heard = []
    runs = [train.train("digits", seed=s, epochs=1, data=digits.data, progress=heard.append)[0] for s in (5, 5, 6)]
    assert torch.equal(torch.rand(1), expected)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
    assert [epoch.number for epoch in heard] == [1, 1, 1]
    first, second, other = (torch.cat([p.flatten() for p in run.parameters()]) for run in runs)
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_checkpoint_round_trip(digits, tmp_path):
    path = tmp_path / "digits.safetensors"
    train.save_checkpoint(path, digits.module, "digits", seed=0)
    module, name = train.load_checkpoint(path)
    assert name == "digits" and not module.training
    state = digits.module.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    assert load(path).metadata == {"network": "digits", "dataset": "digits", "seed": "0"}
    assert set(load(path).tensors) == set(state)


def test_foreign_checkpoint_is_refused(digits, tmp_path):
    path = tmp_path / "foreign.safetensors"
    train.save_checkpoint(path, digits.module, "digits", seed=0)
    whole = load(path)
    save(path, Checkpoint(whole.tensors))
    with pytest.raises(DeeplockError, match=r"foreign.safetensors: its metadata must name a network \(digits\)"):
        train.load_checkpoint(path)
    save(path, Checkpoint({"conv1.weight": whole.tensors["conv1.bias"]}, whole.metadata))
    with pytest.raises(DeeplockError, match="not of network digits: wrong conv1.bias, conv1.weight, conv2"):
        train.load_checkpoint(path)


def test_unknown_network_and_no_epochs_are_told():
    with pytest.raises(DeeplockError, match="unknown network 'nothing': must be one of digits"):
        train.train("nothing")
    with pytest.raises(DeeplockError, match="epochs must be 1 or more, not 0"):
        train.train("digits", epochs=0)
