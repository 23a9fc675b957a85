"""`predict`: classes and scores of a user's pictures are the golden model's of the network before it was compiled."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import output_shapes
from deeplock.pymodel.network.network_file import load_network, save_network
from deeplock.pymodel.network.operators.outputs import ending
from deeplock.pymodel.spec.tensor import Output, Quantisation
from deeplock.pymodel.zoo.datasets import load
from deeplock.pymodel.zoo.preprocess import quantise_input

COUNT = 12


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """The first test images of the digits: a folder of PNG files, one with a folder for each class, and arrays."""
    folder, data = tmp_path_factory.mktemp("pictures"), load("digits")
    images, labels = data.test_images[:COUNT], data.test_labels[:COUNT]
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        for path in (folder / "loose" / f"{number:02}.png", folder / "sorted" / str(label) / f"{number}.png"):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(path)
    np.save(folder / "raw.npy", images)
    np.savez(folder / "labelled.npz", images=images, labels=labels)
    return folder


@pytest.fixture
def expected(files):
    """Outputs of the network for these images, as real numbers: of the network file, without any loadable."""
    network, images = load_network(files.network), load("digits").test_images[:COUNT]
    ofmaps = golden.run(network, quantise_input(network, images))[network.layers[-1].name].reshape(COUNT, -1)
    return network.output.scale * (ofmaps.astype(float) - network.output.zero_point)


@pytest.fixture
def predict(deeplock, tmp_path):
    """Runs the command and gives its figures."""

    def run(*arguments: object) -> dict:
        outcome = deeplock("predict", *arguments, "--json", tmp_path / "predict.json")
        assert (outcome.code, outcome.err) == (0, "")
        return json.loads((tmp_path / "predict.json").read_text())

    return run


def check(found: dict, expected: np.ndarray) -> None:
    assert [picture["class"] for picture in found["pictures"]] == [str(best) for best in expected.argmax(axis=1)]
    assert [picture["score"] for picture in found["pictures"]] == pytest.approx(expected.max(axis=1), abs=1e-5)
    assert np.allclose([picture["scores"] for picture in found["pictures"]], expected, atol=1e-5)


def test_pictures_without_labels(predict, files, pictures, expected):
    key = ("--key-file", files.key)
    found = predict(files.loadable, pictures / "loose", *key)
    check(found, expected)
    assert (found["network"], found["suite"], found["accuracy"]) == ("digits", "deep-lock", None)
    names = [str(pictures / "loose" / f"{number:02}.png") for number in range(COUNT)]
    assert [picture["picture"] for picture in found["pictures"]] == names
    one, two = (pictures / "loose" / f"{number:02}.png" for number in (7, 3))
    check(predict(files.plain_loadable, one, two), expected[[7, 3]])
    found = predict(files.loadable, pictures / "raw.npy", two, *key)
    check(found, expected[[*range(COUNT), 3]])
    assert [picture["picture"] for picture in found["pictures"]][-2:] == [f"{pictures / 'raw.npy'}[11]", str(two)]
    assert {picture["label"] for picture in found["pictures"]} == {None}


def test_pictures_with_labels(predict, files, pictures, expected):
    labels = load("digits").test_labels[:COUNT]
    right = float((expected.argmax(axis=1) == labels).mean())
    found = predict(files.plain_loadable, pictures / "labelled.npz")
    assert ([picture["label"] for picture in found["pictures"]], found["accuracy"]) == ([*map(str, labels)], right)
    found = predict(files.plain_loadable, pictures / "sorted")
    assert found["accuracy"] == right
    for picture in found["pictures"]:
        folder, name = picture["picture"].split("/")[-2:]
        number = int(name.removesuffix(".png"))
        assert picture["label"] == folder == str(labels[number])
        assert picture["class"] == str(expected[number].argmax())


def test_the_table(deeplock, files, pictures, expected):
    outcome = deeplock("predict", files.plain_loadable, pictures / "loose")
    head, _, *rows = (line.split() for line in outcome.out.splitlines())
    assert head == ["picture", "class", "score"]
    assert [(row[1], float(row[2])) for row in rows] == [
        (str(each.argmax()), pytest.approx(each.max(), rel=1e-3)) for each in expected
    ]
    assert "accuracy" in deeplock("predict", files.plain_loadable, pictures / "sorted").out


@pytest.mark.parametrize("suite", ["acorn", "ascon", "tinyjambu"])
def test_sealed_loadables_with_key_and_with_licence(
    suite, deeplock, predict, refused, files, pictures, expected, tmp_path
):
    sealed, licence, device, raw = (
        *(tmp_path / name for name in ("sealed", "licence", "device")),
        pictures / "raw.npy",
    )
    assert deeplock("seal", files.plain_loadable, "--suite", suite, "--key-file", files.key, "-o", sealed).code == 0
    assert deeplock("keygen", "--device", "-o", device).code == 0
    issue = ("licence", sealed, "--model-key", files.key, "--device-key", device, "--device", 1, "-o", licence)
    assert deeplock(*issue, "--allow", "classes=0-4").code == 0
    found = predict(sealed, raw, "--key-file", files.key)
    check(found, expected)
    assert found["suite"] == suite
    least = load_network(files.network).output.dequantise(np.array(-128))
    found = predict(sealed, raw, "--key-file", device, "--licence", licence)
    check(found, np.where(np.arange(10) < 5, expected, least))
    other = tmp_path / "other"
    assert deeplock("keygen", "-o", other).code == 0
    line = refused("predict", sealed, raw, "--key-file", other)
    assert line == f"a tag is wrong: another key sealed it, or the {suite} loadable was changed"
    assert "BAD_LICENCE" in refused("predict", sealed, raw, "--key-file", other, "--licence", licence)


def test_an_ofmap_is_written_and_its_classes_have_areas(deeplock, predict, files, pictures, tmp_path):
    """The first layer of the network alone, as if its channels were classes."""
    network = load_network(files.network)
    segmenter = replace(network, layers=network.layers[:1], classes=())
    save_network(tmp_path / "segmenter", segmenter)
    loadable, maps = tmp_path / "segmenter.loadable", tmp_path / "maps.npy"
    assert deeplock("compile", tmp_path / "segmenter", "--rows", 4, "-o", loadable).code == 0
    found = predict(loadable, pictures / "raw.npy", "-o", maps)
    ofmaps = golden.run(segmenter, quantise_input(segmenter, load("digits").test_images[:COUNT]))[
        network.layers[0].name
    ]
    assert np.load(maps).dtype == np.float32
    assert np.allclose(np.load(maps), segmenter.output.dequantise(ofmaps))
    best = ofmaps.argmax(axis=-1)
    assert found["accuracy"] is None
    for number, picture in enumerate(found["pictures"]):
        areas = [(best[number] == which).mean() for which in range(ofmaps.shape[-1])]
        assert picture["areas"] == pytest.approx(areas, abs=1e-6)
        assert (picture["class"], picture["area"]) == (str(np.argmax(areas)), max(picture["areas"]))


def test_what_a_network_gives_is_written_for_classes_too(predict, files, pictures, expected, tmp_path):
    check(predict(files.plain_loadable, pictures / "raw.npy", "-o", tmp_path / "scores.npy"), expected)
    assert np.allclose(np.load(tmp_path / "scores.npy").reshape(COUNT, -1), expected)


def test_each_of_several_outputs_has_its_lines(deeplock, predict, refused, files, pictures, expected, tmp_path):
    """The digits network, and the ofmap of its first layer beside its classes."""
    network, raw = load_network(files.network), pictures / "raw.npy"
    first, last = network.layers[0].name, network.layers[-1].name
    outputs = [
        Output(last, (1, 1, 10), network.output),
        Output(first, output_shapes(network)[first], Quantisation(0.5, 3)),
    ]
    layers, several = ending(network.layers, outputs)
    network = replace(network, layers=layers, outputs=several, classes=())
    save_network(tmp_path / "net", network)
    loadable, results = tmp_path / "net.loadable", tmp_path / "results.npz"
    assert deeplock("compile", tmp_path / "net", "--rows", 4, "-o", loadable).code == 0
    found = predict(loadable, pictures / "sorted", raw, "-o", results)
    ofmaps = golden.run(network, quantise_input(network, load("digits").test_images[:COUNT]))
    check({"pictures": [each for each in found["pictures"] if each["output"] == last][COUNT:]}, expected)
    maps = outputs[1].quantisation.dequantise(ofmaps[first])
    with np.load(results) as written:
        assert list(written) == [last, first] and written[first].dtype == np.float32
        assert np.allclose(written[last][COUNT:].reshape(COUNT, -1), expected)
        assert np.array_equal(written[first][COUNT:], maps)
    areas = [each["areas"] for each in found["pictures"] if each["output"] == first][COUNT:]
    best = maps.argmax(axis=-1).reshape(COUNT, -1)
    assert np.allclose(areas, [[(each == which).mean() for which in range(maps.shape[-1])] for each in best], atol=1e-6)
    assert found["accuracy"] is None
    text = deeplock("predict", loadable, raw).out
    assert [line for line in text.splitlines() if line.startswith("output ")] == [f"output {last}", f"output {first}"]
    line = refused("evaluate", loadable, "--images", pictures / "labelled.npz")
    assert line == f"it has several outputs ({last}, {first}) and no accuracy: `deeplock predict` shows each"
    sealed, device = tmp_path / "sealed", tmp_path / "device"
    assert deeplock("seal", loadable, "--suite", "acorn", "--key-file", files.key, "-o", sealed).code == 0
    assert deeplock("keygen", "--device", "-o", device).code == 0
    issue = ("licence", sealed, "--model-key", files.key, "--device-key", device, "--device", 1, "-o", tmp_path / "new")
    line = refused(*issue, "--allow", "classes=0-4")
    assert line == "classes can be chosen for networks of one output, and this one has several"


def test_a_wrong_key_guesses(predict, files, tmp_path):
    """All 360 test images."""
    images, labels = load("digits").test_images, load("digits").test_labels
    path = tmp_path / "all.npz"
    np.savez(path, images=images, labels=labels)
    assert predict(files.loadable, path, "--key-file", files.key)["accuracy"] == files.figures["accuracy"]["int8"]
    assert predict(files.loadable, path, "--key-file", files.wrong_key)["accuracy"] < 0.3


def test_batches_predict_one_by_one(deeplock, predict, files, pictures, expected, tmp_path):
    batched = tmp_path / "batched"
    assert deeplock("compile", files.network, "--batch", 5, "-o", batched).code == 0
    check(predict(batched, pictures / "loose"), expected)


def test_faults_are_named(files, refused, pictures, tmp_path):
    large, none = tmp_path / "large.png", tmp_path / "none.png"
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(large)
    (tmp_path / "text.png").write_text("text")
    (tmp_path / "empty").mkdir()
    plain, loose = files.plain_loadable, pictures / "loose"
    for arguments, line in {
        (files.loadable, loose): "it is locked with suite deep-lock: give --key-file",
        (plain, loose, "--key-file", files.key): "it is not locked: leave --key-file out, or lock it first",
        (plain, large): f"{large}: images must be [n, 8, 8, 1], not [1, 9, 8, 1]",
        (plain, tmp_path / "text.png"): f"{tmp_path / 'text.png'}: not a PNG file",
        (plain, loose, tmp_path / "empty"): f"{tmp_path / 'empty'}: has neither a PNG file nor a folder",
        (files.network, loose): f"{files.network}: not a loadable (compile one with `deeplock compile`)",
    }.items():
        assert refused("predict", *arguments, "--json", tmp_path / "out") == line
    assert "No such file" in refused("predict", plain, none, "--json", tmp_path / "out")
    assert not (tmp_path / "out").exists()
