"""TensorFlow Lite files, each layer held against LiteRT; what is not understood is refused by operator and node."""

from dataclasses import replace

import numpy as np
import pytest

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.engine import against_engine
from deeplock.pymodel.frontends.int8_file import read_int8
from deeplock.pymodel.frontends.tflite.engine import engine
from deeplock.pymodel.frontends.tflite.network import read_network
from deeplock.pymodel.network import golden, reference
from deeplock.pymodel.network.network import output_shapes
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.depthwise import Depthwise
from deeplock.pymodel.network.operators.max_pool import MaxPool
from tests.pymodel.frontends.tflite_files import SAME, VALID, File, schema

NONE, RELU, RELU6, RELU_N1_TO_1, TANH = (
    getattr(schema.ActivationFunctionType, name) for name in ("NONE", "RELU", "RELU6", "RELU_N1_TO_1", "TANH")
)


FEW_BYTES = 0.01
"""Share of bytes that may differ in these small layers. test_mlperf_tiny.py has the bars of whole networks."""


def agreement(path, count=24):
    read = read_network(path)
    return read, against_engine(read, *engine(path, read), count)


@pytest.mark.parametrize("padding", [SAME, VALID], ids=["same", "valid"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (5, 2)], ids=str)
@pytest.mark.parametrize("activation", [NONE, RELU, RELU6, RELU_N1_TO_1])
def test_convolutions_round_as_litert_but_for_ties(kernel, stride, padding, activation, rng, tmp_path):
    file, shape = File(rng), (10, 7, 3)
    file.conv(file.activation(*shape), shape, kernel, stride, padding, 8, activation)
    read, found = agreement(file.write(tmp_path / "net.tflite"))
    (layer,) = read.network.layers
    assert isinstance(layer, Conv) and found.layer_lsb[layer.name] <= 1
    assert found.layer_share[layer.name] <= FEW_BYTES


@pytest.mark.parametrize("padding", [SAME, VALID], ids=["same", "valid"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_depthwise_convolutions_round_as_litert_but_for_ties(stride, padding, rng, tmp_path):
    file, shape = File(rng), (9, 10, 7)
    file.depthwise(file.activation(*shape), shape, (3, 5), stride, padding, RELU6)
    read, found = agreement(file.write(tmp_path / "net.tflite"))
    (layer,) = read.network.layers
    assert isinstance(layer, Depthwise) and layer.weight.shape == (7, 3, 5, 1)
    assert found.layer_lsb[layer.name] <= 1 and found.layer_share[layer.name] <= FEW_BYTES


@pytest.mark.parametrize("kernel, stride", [((3, 2), (2, 1)), ((2, 2), (2, 2)), ((3, 3), (1, 2))])
def test_a_maximum_may_have_any_window_and_padding(kernel, stride, rng, tmp_path):
    file, shape = File(rng), (7, 9, 3)
    file.pool("MAX_POOL_2D", file.activation(*shape), shape, kernel, stride, SAME)
    read, found = agreement(file.write(tmp_path / "net.tflite"))
    (layer,) = read.network.layers
    assert isinstance(layer, MaxPool) and any(layer.padding) and found.layer_share == {layer.name: 0}


@pytest.mark.parametrize(
    "kind, options",
    [
        ("LOGISTIC", {"scale": 1 / 256, "zero_point": -128}),
        ("TANH", {"scale": 1 / 128, "zero_point": 0}),
        *((kind, {}) for kind in ("HARD_SWISH", "ELU", "GELU")),
        *(("GELU", {"approximate": True}), ("LEAKY_RELU", {"alpha": 0.3})),
    ],
    ids=str,
)
def test_functions_of_one_number_are_litert_s_to_the_lsb(kind, options, rng, tmp_path):
    """Its kernels of HARD_SWISH and LEAKY_RELU compute in integers, and round twice."""
    for _ in range(4):
        file, shape = File(rng), (6, 7, 4)
        x = file.activation(*shape, scale=rng.uniform(0.02, 0.09), zero_point=int(rng.integers(-40, 40)))
        file.function(kind, x, shape, **options)
        read, found = agreement(file.write(tmp_path / "net.tflite"), 8)
        (layer,) = read.network.layers
        assert layer.kind == "table" and found.layer_lsb[layer.name] <= 1
        assert found.layer_share[layer.name] <= (0.3 if kind in ("HARD_SWISH", "LEAKY_RELU") else 0)


@pytest.mark.parametrize("first", [True, False], ids=["gate times x", "x times gate"])
@pytest.mark.parametrize("activation", [NONE, RELU, RELU6], ids=["none", "relu", "relu6"])
def test_products_of_one_shape_and_by_channel_are_litert_s_to_the_lsb(activation, first, rng, tmp_path):
    """Squeeze-and-excitation as Keras writes it, and what it makes times something else."""
    file, shape = File(rng), (6, 7, 5)
    x = file.activation(*shape, scale=rng.uniform(0.02, 0.09), zero_point=int(rng.integers(-40, 40)))
    gate = file.reshape(file.mean(x, 5), 1, 1, 5)
    gate = file.function("LOGISTIC", file.conv(gate, (1, 1, 5), (1, 1), out=5), (1, 1, 5), 1 / 256, -128)
    y = file.multiply(*((gate, x) if first else (x, gate)), shape, activation)
    file.multiply(y, file.conv(x, shape, out=5), shape)
    read, found = agreement(file.write(tmp_path / "net.tflite"), 16)
    kinds = [layer.kind for layer in read.network.layers]
    assert kinds == ["average_pool", "conv", "table", "multiply", "conv", "multiply"]
    for layer in read.network.layers:
        assert layer.kind != "multiply" or (found.layer_lsb[layer.name] <= 1 and found.layer_share[layer.name] <= 0.01)


@pytest.mark.parametrize("sizes", [(), (1,), (4,), (1, 1, 1, 4)], ids=str)
def test_a_product_by_a_constant_is_a_depthwise_convolution(sizes, rng, tmp_path):
    """Of any zero point; one factor may be 0. No weight follows from the file's architecture."""
    file, shape = File(rng), (6, 7, 4)
    factor = rng.integers(-128, 128, sizes, np.int8)
    if factor.ndim:
        factor.flat[0] = 9
    x = file.activation(*shape)
    file.multiply(x, file.constant(factor, rng.uniform(0.01, 0.1), zero_point=9), shape, RELU)
    read, found = agreement(file.write(tmp_path / "net.tflite"))
    (layer,) = read.network.layers
    assert isinstance(layer, Depthwise) and layer.kernel == (1, 1) and found.layer_lsb[layer.name] <= 1
    assert all(weight == 0 or 64 <= abs(weight) <= 127 for weight in layer.weight.ravel().tolist())


def test_same_with_stride_two_pads_at_the_bottom_right(rng, tmp_path):
    file = File(rng)
    file.conv(file.activation(8, 8, 2), (8, 8, 2), (3, 3), 2, SAME)
    assert read_network(file.write(tmp_path / "net.tflite")).network.layers[0].padding == (0, 0, 1, 1)
    file = File(rng)
    file.conv(file.activation(7, 8, 2), (7, 8, 2), (3, 3), 2, SAME)
    assert read_network(file.write(tmp_path / "net.tflite")).network.layers[0].padding == (1, 0, 1, 1)


def test_a_padding_adds_to_the_convolutions_own(rng, tmp_path):
    file = File(rng)
    file.conv(file.pad(file.activation(4, 5, 2), (4, 5, 2), 0, 1, 3, 0), (7, 6, 2), (3, 3), 2, SAME)
    read, found = agreement(file.write(tmp_path / "net.tflite"))
    assert read.network.layers[0].padding == (1, 1, 4, 1) and max(found.layer_lsb.values()) <= 1


def residual(rng):
    """A network of every operator."""
    file, shape = File(rng), (12, 8, 3)
    x = file.activation(*shape)
    x = file.conv(file.pad(x, shape, 1, 0, 2, 1), (15, 9, 3), (3, 3), 1, VALID, 6, RELU)
    y = file.conv(x, (13, 7, 6), (3, 3), 1, SAME, 6)
    x = file.add(x, y, (13, 7, 6), RELU)
    x = file.pool("MAX_POOL_2D", x, (13, 7, 6))
    y = file.conv(x, (6, 3, 6), (1, 1), 1, VALID, 6)
    x = file.pool("AVERAGE_POOL_2D", file.add(y, x, (6, 3, 6), RELU6), (6, 3, 6), (2, 3), (2, 3))
    x = file.dense(file.reshape(x, 18), 18, 12, RELU)
    x = file.function("LOGISTIC", file.dense(x, 12, 5, axis=0, bias=False), (5,), scale=1 / 256, zero_point=-128)
    file.softmax(x, 5)
    return file


def test_a_network_of_every_operator_agrees_layer_by_layer(rng, tmp_path):
    path = residual(rng).write(tmp_path / "net.tflite")
    network, found = read_int8(path)
    kinds = [layer.kind for layer in network.layers]
    assert kinds == ["conv", "conv", "add", "max_pool", "conv", "add", "average_pool", "conv", "conv", "table"]
    assert network.layers[0].padding == (1, 0, 2, 1)
    assert found.notes == ("SOFTMAX at node 12 is left out: the largest output stays the same",)
    assert set(found.layer_lsb.values()) <= {0, 1} and found.inputs == 32 and found.engine.startswith("LiteRT 2.")
    for layer in network.layers:
        # an output or two may tie, and does so for every ifmap where a ReLU made a layer's inputs all alike
        share = 2 / np.prod(output_shapes(network)[layer.name]) + FEW_BYTES
        assert layer.kind in ("average_pool", "add") or found.layer_share[layer.name] <= share
    ifmaps = rng.integers(-128, 128, (4, 12, 8, 3), np.int8)
    expected = golden.run(network, ifmaps)
    assert all(np.array_equal(expected[name], tensor) for name, tensor in reference.run(network, ifmaps).items())


@pytest.mark.parametrize("keeps", [True, False], ids=["[1, 1, 1, c]", "[1, c]"])
def test_a_mean_over_height_and_width_may_requantise(keeps, rng, tmp_path):
    file = File(rng)
    x = file.mean(file.activation(6, 5, 4), 4, (2, 1), keeps)
    read, found = agreement(file.write(tmp_path / "net.tflite"))
    (layer,) = read.network.layers
    assert isinstance(layer, AveragePool) and layer.kernel == (6, 5) and found.layer_lsb[layer.name] <= 1
    file.dense(x, 4)
    assert len(read_network(file.write(tmp_path / "net.tflite")).network.layers) == 2


@pytest.mark.parametrize("kernel", [(2, 2), (3, 3), (4, 15)], ids=str)
def test_average_pools_differ_at_exact_ties_only(kernel, rng, tmp_path):
    file, shape = File(rng), (12, 15, 4)
    file.pool("AVERAGE_POOL_2D", file.activation(*shape, zero_point=-128), shape, kernel, kernel)
    path = file.write(tmp_path / "net.tflite")
    read = read_network(path)
    _, run = engine(path, read)
    (layer,) = read.network.layers
    for ifmap in rng.integers(-128, 128, (20, *shape), np.int8):
        tensors = run(ifmap)
        differs = layer.run(tensors["input"][np.newaxis])[0] != tensors[layer.name]
        windows = np.lib.stride_tricks.sliding_window_view(ifmap, kernel, (0, 1))[:: kernel[0], :: kernel[1]]
        sums = windows.sum((-1, -2), dtype=int)
        assert (2 * sums[differs] % (2 * np.prod(kernel)) == np.prod(kernel)).all()


def test_dense_layers_behind_a_flatten_take_the_files_order(rng, tmp_path):
    file = File(rng)
    file.dense(file.reshape(file.activation(3, 4, 5), 60), 60, 7)
    read, found = agreement(file.write(tmp_path / "net.tflite"))
    assert read.network.layers[0].weight.shape == (7, 3, 4, 5)
    assert found.layer_lsb[read.network.layers[0].name] <= 1


@pytest.mark.parametrize("features", [1, 640])
def test_an_input_of_features_is_one_pixel(features, rng, tmp_path):
    file = File(rng)
    file.dense(file.dense(file.activation(features), features, 9, RELU), 9, features)
    read, found = agreement(file.write(tmp_path / "net.tflite"))
    assert read.network.input_shape == (1, 1, features)
    assert max(found.layer_lsb.values()) <= 1


def test_biases_of_thirty_bits_stay_integers(rng, tmp_path):
    """In float32 they would lose their last bits, and here each of these is worth an LSB."""
    file, bias = File(rng), np.array([2**30 - 77, -(2**30) + 5, 2**29 + 1], np.int32)
    x = file.activation(2, 2, 1, scale=1.0, zero_point=0)
    weight = file.constant(np.array([1, -1, 2], np.int8).reshape(3, 1, 1, 1), [1.0] * 3)
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
    y = file.activation(2, 2, 3, scale=float(2**23), zero_point=0)
    file.operator("CONV_2D", [x, weight, file.constant(bias, [1.0] * 3)], y, options)
    read, found = agreement(file.write(tmp_path / "net.tflite"))
    (layer,) = read.network.layers
    assert np.array_equal(layer.bias, bias) and layer.bias.dtype == np.int32
    assert found.layer_lsb[layer.name] == 0


def test_channels_of_tiny_factors_are_dead(rng, tmp_path):
    """Their sums round to nothing in LiteRT too."""
    file, shape = File(rng), (4, 4, 2)
    file.conv(file.activation(*shape), shape, out=3)
    file.tensors[1].quantization.scale[1] = 1e-14
    read, found = agreement(file.write(tmp_path / "net.tflite"))
    (layer,) = read.network.layers
    assert not layer.weight[1].any() and layer.bias[1] == 0 and layer.weight[0].any()
    assert (golden.run(read.network, np.zeros((1, *shape), np.int8))[layer.name][..., 1] == layer.zero_point).all()
    assert found.layer_lsb[layer.name] <= 1


def clamped(rng, kind="RELU", scale=1.0, zero_point=-128):
    file, shape = File(rng), (6, 6, 3)
    x = file.conv(file.activation(*shape), shape, out=5)
    y = file.activation(6, 6, 5, scale=scale * file.scale_of(x), zero_point=zero_point)
    file.operator(kind, [x], y)
    return file, x


def test_a_clamp_of_its_own_becomes_part_of_the_layer_before(rng, tmp_path):
    file, _ = clamped(rng, zero_point=-5)
    read, found = agreement(file.write(tmp_path / "net.tflite"))
    (layer,) = read.network.layers
    assert (layer.lo, layer.hi, read.slack) == (-5, 127, {}) and found.layer_share[layer.name] <= FEW_BYTES
    file, _ = clamped(rng, scale=0.5)
    read, found = agreement(file.write(tmp_path / "net.tflite"))
    (layer,) = read.network.layers
    assert (layer.lo, layer.zero_point) == (-128, -128)
    assert read.slack == pytest.approx({layer.name: 1.0}, abs=1e-5) and found.layer_lsb[layer.name] in (1, 2)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_inputs_and_outputs_of_other_types_are_those_of_their_int8_tensors(dtype, rng, tmp_path):
    file, shape = File(rng), (5, 5, 3)
    given = file.activation(*shape, dtype=dtype, zero_point=131)
    x = file.operator("QUANTIZE", [given], file.activation(*shape))
    x = file.conv(x, shape)
    kind = "DEQUANTIZE" if dtype == "float32" else "QUANTIZE"
    file.operator(kind, [x], file.activation(5, 5, 4, dtype=dtype, scale=file.scale_of(x), zero_point=123))
    read, found = agreement(file.write(tmp_path / "net.tflite"))
    assert [layer.kind for layer in read.network.layers] == ["conv"]
    assert (read.network.input.zero_point, read.network.input.scale) == (3, np.float32(0.05))
    assert found.layer_lsb[read.network.layers[0].name] <= 1


def test_names_are_those_of_keras_or_of_operator_and_node(rng, tmp_path):
    file = residual(rng)
    weights = [node.inputs[1] for node in file.operators if len(node.inputs) == 3]
    for number, name in zip(
        weights,
        (
            "model/conv2d/Conv2D",
            "model/conv2d/Conv2D",
            "8f14e45fceea167a5a36dedd4bea2543",
            "a/activation/Relu;a/ü x/Conv2D",
        ),
        strict=False,
    ):
        file.tensors[number].name = name
    network = read_network(file.write(tmp_path / "net.tflite")).network
    assert [layer.name for layer in network.layers if layer.kind == "conv"] == [
        "conv2d",
        "conv_2d_2",
        "conv_2d_5",
        "x",
        "fully_connected_10",
    ]


def edited(kind, **values):
    """The network of every operator, with other options for the first operator of that kind."""

    def build(rng):
        file = residual(rng)
        code = getattr(schema.BuiltinOperator, kind)
        node = next(node for node in file.operators if file.codes[node.opcodeIndex].builtinCode == code)
        vars(node.builtinOptions).update(values)
        return file

    return build


def edited_weights(**values):
    """The network of every operator, with another quantisation of the first convolution's weights."""

    def build(rng):
        file = residual(rng)
        vars(file.tensors[file.operators[1].inputs[1]].quantization).update(values)
        return file

    return build


def other(kind, options=None, custom="", dtype="int8"):
    """A file whose second operator is another one."""

    def build(rng):
        file, shape = File(rng), (6, 6, 4)
        x = file.conv(file.activation(*shape), shape)
        file.operator(kind, [x], file.activation(*shape, dtype=dtype), options, custom)
        return file

    return build


def in_float(rng):
    file = File(rng)
    x, weight = file.activation(4, 4, 1, dtype="float32"), file.constant(np.zeros((2, 3, 3, 1), np.float32))
    options = schema.Conv2DOptionsT()
    file.operator(
        "CONV_2D",
        [x, weight, file.constant(np.zeros(2, np.float32))],
        file.activation(4, 4, 2, dtype="float32"),
        options,
    )
    return file


def dynamic(rng):
    """Weights in int8, activations in float: what the converter writes without images."""
    file = File(rng)
    x = file.activation(8, dtype="float32")
    weight = file.constant(np.ones((2, 8), np.int8), [0.1])
    file.operator("FULLY_CONNECTED", [x, weight], file.activation(2, dtype="float32"), schema.FullyConnectedOptionsT())
    return file


def of_sixteen_bits(rng):
    file = File(rng)
    x, y = (file.activation(4, dtype="int16") for _ in range(2))
    file.operator("RELU", [x], y)
    return file


def added_constant(rng):
    file = File(rng)
    x, shape = file.activation(4, 4, 2), (4, 4, 2)
    file.operator(
        "ADD", [x, file.constant(np.ones((1, 4, 4, 2), np.int8), [0.1])], file.activation(*shape), schema.AddOptionsT()
    )
    return file


def multiplied_constant(rng):
    file = File(rng)
    x = file.activation(4, 4, 2)
    file.multiply(x, file.constant(np.ones((1, 4, 4, 2), np.int8), 0.1), (4, 4, 2))
    return file


def multiplied_by_a_row(rng):
    file = File(rng)
    x = file.activation(4, 4, 2)
    file.multiply(x, file.pool("MAX_POOL_2D", x, (4, 4, 2), (4, 1), (4, 1)), (4, 4, 2))
    return file


def broadcast(rng):
    file, shape = File(rng), (4, 4, 2)
    x = file.activation(*shape)
    file.add(x, file.mean(x, 2, keeps=True), shape)
    return file


def weights_that_are_an_activation(rng):
    file, shape = File(rng), (4, 4, 4)
    x = file.conv(file.activation(*shape), shape)
    file.conv(x, shape)
    file.operators[1].inputs[1] = x
    return file


def grouped(rng):
    file, shape = File(rng), (4, 4, 4)
    file.conv(file.activation(*shape), (4, 4, 3))
    return file


def multiplied(rng):
    file, shape = File(rng), (4, 4, 3)
    file.depthwise(file.activation(*shape), (4, 4, 4))
    return file


def clamp_of_two_users(rng):
    file, x = clamped(rng)
    file.add(x, file.operators[-1].outputs[0], (6, 6, 5))
    return file


def clamp_of_the_input(rng):
    file = File(rng)
    file.operator("RELU6", [file.activation(4, 4, 2)], file.activation(4, 4, 2))
    return file


def pad_before_a_pool(rng):
    file, shape = File(rng), (4, 4, 2)
    file.pool("MAX_POOL_2D", file.pad(file.activation(*shape), shape, 1, 1, 1, 1), (6, 6, 2))
    return file


def softmax_in_the_middle(rng):
    file = File(rng)
    file.dense(file.softmax(file.activation(8), 8), 8)
    return file


def transposing_reshape(rng):
    file = File(rng)
    file.reshape(file.conv(file.activation(4, 6, 2), (4, 6, 2)), 6, 4, 4)
    return file


def flattened_output(rng):
    file = File(rng)
    file.reshape(file.conv(file.activation(4, 6, 2), (4, 6, 2)), 96)
    return file


def pool_that_requantises(rng):
    file = File(rng)
    x = file.pool("MAX_POOL_2D", file.activation(4, 4, 2), (4, 4, 2))
    file.tensors[x].quantization.scale = [0.1]
    return file


def padded_average(rng):
    file = File(rng)
    file.pool("AVERAGE_POOL_2D", file.activation(5, 4, 2), (5, 4, 2), padding=SAME)
    return file


def window_beyond_the_input(rng):
    file = File(rng)
    file.conv(file.activation(2, 6, 2), (2, 6, 2), (3, 3), padding=VALID)
    return file


def batch_of_two(rng):
    file = File(rng)
    file.conv(file.activation(4, 4, 2), (4, 4, 2))
    file.tensors[0].shape = [2, 4, 4, 2]
    return file


def wrong_shape(rng):
    file = File(rng)
    x = file.conv(file.activation(4, 4, 2), (4, 4, 2))
    file.tensors[x].shape = [1, 2, 8, 4]
    return file


@pytest.mark.parametrize(
    "build, fault",
    [
        (other("COS"), r"unsupported operator COS at node 1 \(tensor_4\): supported: CONV_2D, DEPTHWISE_CONV_2D, "),
        (other("CUSTOM", custom="MyOp"), r"unsupported operator CUSTOM MyOp at node 1 \(tensor_4\): supported"),
        (weights_that_are_an_activation, "CONV_2D at node 1 .*only its first input may be an activation"),
        (multiplied, r"DEPTHWISE_CONV_2D at node 0 .*its weights are \[1, 3, 3, 4\], its input \[4, 4, 3\]: no groups"),
        (other("MAX_POOL_2D"), r"MAX_POOL_2D at node 1 \(tensor_4\): its options are missing"),
        (in_float, r"CONV_2D at node 0 .*its input must be an int8 activation, not float32: convert with full integer"),
        (dynamic, "FULLY_CONNECTED at node 0 .*its input must be an int8 activation, not float32"),
        (of_sixteen_bits, "RELU at node 0 .*must be an int8 activation, not int16"),
        (added_constant, "ADD at node 0 .*both of its inputs must be activations"),
        (multiplied_constant, r"MUL at node 0 .*must be one number, or one for each channel, not \[1, 4, 4, 2\]"),
        (multiplied_by_a_row, r"MUL at node 1 .*or one of them one pixel, not \[4, 4, 2\] and \[1, 4, 2\]"),
        (broadcast, r"ADD at node 1 .*must have one shape, not \[4, 4, 2\] and \[1, 1, 2\]"),
        (grouped, r"CONV_2D at node 0 .*its weights are \[4, 3, 3, 3\], its input \[4, 4, 4\]: no groups"),
        (clamp_of_two_users, "layer conv_2d_0: a clamp behind it must be the only user of its result"),
        (clamp_of_the_input, "RELU6 at node 0 .*must follow a layer that requantises"),
        (pad_before_a_pool, "MAX_POOL_2D at node 1 .*a PAD must be followed by convolutions"),
        (softmax_in_the_middle, "SOFTMAX at node 0 .*must be at the network's end"),
        (transposing_reshape, r"RESHAPE at node 1 .*must flatten \[4, 6, 4\] to \[96\], or undo that, not make it \[6, 4, 4\]"),
        (flattened_output, "the network's output must not be flattened, unless it has one pixel"),
        (pool_that_requantises, "MAX_POOL_2D at node 0 .*its output must have its input's scale and zero point"),
        (window_beyond_the_input, r"layer conv_2d_0: its window is larger than its input \[2, 6, 2\]"),
        (batch_of_two, r"input must be \[1, height, width, channels\], .* or \[1, features\], not \[2, 4, 4, 2\]"),
        (wrong_shape, r"CONV_2D at node 0 .*was misread: its output is \[4, 4, 4\], that of the file \[2, 8, 4\]"),
        (edited("CONV_2D", dilationWFactor=0), r"dilation must be 1 or more, not \[1, 0\]"),
        (edited("CONV_2D", strideW=16, strideH=16), r"strides must be 1 to 15, not \[16, 16\]"),
        (edited("CONV_2D", padding=5), "padding must be SAME or VALID, not 5"),
        (
            edited("CONV_2D", fusedActivationFunction=TANH),
            "CONV_2D at node 1 .*its activation function must be none, ReLU or ReLU6, not TANH",
        ),
        (
            edited("MAX_POOL_2D", fusedActivationFunction=RELU),
            "a maximum must have no activation function",
        ),
        (padded_average, "AVERAGE_POOL_2D at node 0 .*an average must need no padding: LiteRT divides by the pixels inside"),
        (edited("AVERAGE_POOL_2D", strideH=0), "kernel and stride must be 1 or more"),
        (edited_weights(scale=[0.1, 0.2], zeroPoint=[0, 0]), "must have one scale, or one for each channel"),
        (edited_weights(zeroPoint=[1] * 6), "its weights must have zero point 0"),
        (edited_weights(quantizedDimension=3), "one for each channel along dimension 0"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_operator_and_node(build, fault, rng, tmp_path):
    with pytest.raises(DeeplockError, match=fault):
        read_network(build(rng).write(tmp_path / "net.tflite"))


def test_a_file_cut_short_or_changed_is_refused_in_one_line_or_read(rng, tmp_path):
    content, path = residual(rng).write(tmp_path / "net.tflite").read_bytes(), tmp_path / "bad.tflite"
    refused = 0
    for length in range(0, len(content), 41):
        path.write_bytes(content[:length])
        with pytest.raises(DeeplockError):
            read_network(path)
    for _ in range(300):
        changed = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            changed[place] = rng.integers(256)
        path.write_bytes(changed)
        try:
            read_network(path)
        except DeeplockError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 50


def test_a_sum_that_could_overflow_is_refused(rng, tmp_path):
    file, shape = File(rng), (4, 4, 2)
    file.conv(file.activation(*shape), shape)
    file.buffers[file.tensors[2].buffer].data = np.full(4, 2**31 - 1, np.int32).view(np.uint8)
    with pytest.raises(DeeplockError, match="channel 0: the accumulator may reach 214.*, must stay below"):
        read_network(file.write(tmp_path / "net.tflite"))


@pytest.mark.parametrize(
    "name, broken",
    [
        ("_bias", lambda node, out: np.zeros(out, np.int64)),
        ("_around", lambda *_: (1, 1, 0, 0)),
        ("_clamp", lambda node, function: (0.5, 1.0)),
    ],
)
def test_a_reader_that_is_broken_is_caught(name, broken, rng, monkeypatch, tmp_path):
    monkeypatch.setattr(f"deeplock.pymodel.frontends.tflite.operators.{name}", broken)
    file, shape = File(rng), (8, 8, 3)
    file.conv(file.activation(*shape), shape, (3, 3), 2, SAME, 5, RELU)
    with pytest.raises(
        DeeplockError, match="net.tflite: layer .* was misread: it differs from LiteRT 2.* by .* LSB, must be at most 1"
    ):
        read_int8(file.write(tmp_path / "net.tflite"))


def test_half_an_lsb_is_caught_too(rng, tmp_path):
    """By the share of bytes that differ, each by 1."""
    file, shape = File(rng), (8, 8, 3)
    file.conv(file.activation(*shape), shape)
    path = file.write(tmp_path / "net.tflite")
    read = read_network(path)
    (layer,) = read.network.layers
    moved = layer.bias + (2.0 ** (layer.shift - 1) / layer.multiplier).astype(np.int32)
    wrong = replace(read, network=replace(read.network, layers=(replace(layer, bias=moved),)))
    with pytest.raises(
        DeeplockError, match=r"was misread: [45].\.. % of its bytes differ from LiteRT .*, must be at most 30 %"
    ):
        against_engine(wrong, *engine(path, wrong))
