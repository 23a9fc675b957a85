from dataclasses import replace

import numpy as np
import pytest
import torch

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.checkpoint import Checkpoint, load, save
from deeplock.pymodel.zoo import networks, train
from deeplock.pymodel.zoo.classifier import classifier_of
from deeplock.pymodel.zoo.datasets import CLASSES, Dataset
from deeplock.pymodel.zoo.recipes import Recipe, recipe_for


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

    def run(seed: int) -> torch.nn.Module:
        return train.train("digits", seed=seed, epochs=1, data=digits.data, progress=lambda *step: heard.append(step))[
            0
        ]

    runs = [run(seed) for seed in (5, 5, 6)]
    assert torch.equal(torch.rand(1), expected)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
    assert [step[1:] for step in heard] == [(1, 1)] * 3
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


def test_a_checkpoint_keeps_the_statistics_of_batch_norms(tmp_path):
    path, module = tmp_path / "gtsrb.safetensors", networks.build("gtsrb")
    module(torch.rand(4, 3, 32, 32))
    module.eval()
    train.save_checkpoint(path, module, "gtsrb", seed=0)
    again, _ = train.load_checkpoint(path)
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again(images), module(images))
    outputs = classifier_of(load(path)).outputs(b"", images.permute(0, 2, 3, 1).numpy())
    assert np.array_equal(outputs, again(images).detach().numpy())


def test_foreign_checkpoint_is_refused(digits, tmp_path):
    path = tmp_path / "foreign.safetensors"
    train.save_checkpoint(path, digits.module, "digits", seed=0)
    whole = load(path)
    save(path, Checkpoint(whole.tensors))
    with pytest.raises(DeeplockError, match=r"foreign.safetensors: its metadata must name a network \(digits, mnist"):
        train.load_checkpoint(path)
    save(path, Checkpoint({"conv1.weight": whole.tensors["conv1.bias"]}, whole.metadata))
    with pytest.raises(DeeplockError, match="not of network digits: wrong conv1.bias, conv1.weight, conv2"):
        train.load_checkpoint(path)


def striped(name: str, count: int = 640, seed: int = 0) -> Dataset:
    """Images of the network's size, of two classes that are easy to tell apart: bright at the left or at the right."""
    rng = np.random.default_rng(seed)
    height, width, channels = networks.input_shape_of(name)
    images = rng.integers(0, 100, (count, height, width, channels), np.uint8)
    labels = rng.integers(0, 2, count)
    images[labels == 0, :, : width // 2] += 150
    images[labels == 1, :, width // 2 :] += 150
    return Dataset(name, images, labels, images[:100], labels[:100], CLASSES[name])


@pytest.mark.parametrize("name", ["mnist", "cifar10", "gtsrb"])
def test_the_recipes_repeat_bit_for_bit(name):
    data = striped(name, 96)
    recipe = replace(recipe_for(name), epochs=2, batch=16, validation=32)
    runs = [train.train(name, seed=s, recipe=recipe, data=data) for s in (1, 1, 2)]
    assert runs[0][1][-1].loss == runs[1][1][-1].loss != runs[2][1][-1].loss
    first, second, other = (torch.cat([p.flatten() for p in module.parameters()]) for module, _ in runs)
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_held_out_images_are_not_trained_on():
    data = striped("digits")
    recipe = Recipe(2, 32, 0.01, validation=64)
    data.train_labels[-64:] = 1 - data.train_labels[-64:]
    _, history = train.train("digits", recipe=recipe, data=data)
    assert history[-1].accuracy <= 0.1
    assert history[-1].loss < 0.1


def test_a_training_that_learns_nothing_is_broken_off():
    data = striped("digits")
    labels = np.random.default_rng(1).integers(0, 10, len(data.train_labels))
    data = replace(data, train_labels=labels, test_labels=(labels[:100] + 1) % 10)
    heard = []
    with pytest.raises(
        DeeplockError, match=r"training digits: accuracy 0.\d+ after 100 steps is no better than chance"
    ):
        train.train("digits", recipe=Recipe(30, 32, 0.001), data=data, progress=lambda *step: heard.append(step))
    assert len(heard) == 4


def test_an_overflow_is_told_at_once():
    heard = []
    with pytest.raises(DeeplockError, match="training digits: the loss is (nan|inf): take a lower learning rate"):
        train.train(
            "digits", recipe=Recipe(5, 32, 1e30), data=striped("digits"), progress=lambda *step: heard.append(step)
        )
    assert not heard


def test_unknown_network_and_no_epochs_are_told():
    with pytest.raises(DeeplockError, match="unknown network 'nothing': must be one of digits"):
        train.train("nothing")
    with pytest.raises(DeeplockError, match="epochs must be 1 or more, not 0"):
        train.train("digits", epochs=0)
