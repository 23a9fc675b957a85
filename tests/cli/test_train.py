from safetensors.numpy import load_file, save

from deeplock.pymodel.network.network_file import load_network
from deeplock.pymodel.zoo.train import load_checkpoint


def test_both_files_hold_the_network(files):
    _, name = load_checkpoint(files.float_checkpoint)
    network = load_network(files.network)
    assert name == network.name == network.dataset == "digits"
    assert files.figures["files"] == [str(files.float_checkpoint), str(files.network)]
    assert files.figures["parameters"] == 5130
    assert files.figures["images"] == 360
    assert files.figures["accuracy"]["float"] >= 0.97
    assert files.figures["accuracy"]["int8"] >= 0.96


def test_the_same_seed_gives_the_same_parameters(deeplock, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert deeplock("train", "digits", "--epochs", 1, "--seed", seed, "-o", tmp_path / name).code == 0
    one, same, other = ((tmp_path / f"{name}.int8.safetensors").read_bytes() for name in "abc")
    assert one == same != other
    one, same, other = (save(load_file(tmp_path / f"{name}.float.safetensors")) for name in "abc")
    assert one == same != other


def test_an_unknown_network_is_named(refused, tmp_path):
    assert refused("train", "resnet", "-o", tmp_path / "x").startswith(
        "unknown network 'resnet': must be one of digits"
    )
