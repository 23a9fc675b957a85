from functools import partial

import numpy as np
import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F
from torchao.quantization.pt2e import move_exported_model_to_eval, qat_utils
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.pt2e import from_pt2e
from deeplock.pymodel.frontends.quantise import convert, export, quantise
from deeplock.pymodel.frontends.quantizer import (
    ADDS,
    AVERAGES,
    CLAMPS,
    FUNCTIONS,
    MACS,
    MULTIPLIES,
    POOLS,
    AcceleratorQuantizer,
)
from deeplock.pymodel.network import reference
from deeplock.pymodel.network.network import Network, output_shapes
from deeplock.pymodel.network.operators.add import Add
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.depthwise import Depthwise
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.network.operators.multiply import Multiply
from deeplock.pymodel.network.operators.table import Table
from deeplock.pymodel.zoo import preprocess, train
from tests.pymodel.frontends.networks import (
    Averages,
    LeNet,
    Products,
    Windows,
    functions,
    inputs_of,
    relu_through_a_view,
    residual,
    separable,
    strided,
    trained_norms,
)

LAYERS = MACS | AVERAGES | ADDS | MULTIPLIES | CLAMPS | POOLS | FUNCTIONS
QUANTISE = torch.ops.quantized_decomposed.quantize_per_tensor.default


class _Integers(fx.Interpreter):
    """Runs PT2E's graph and keeps the int8 tensors that its convolutions and pools give, NHWC, in order."""

    def __init__(self, converted: fx.GraphModule) -> None:
        super().__init__(converted)
        self.kept: list[np.ndarray] = []

    def run_node(self, n: fx.Node):
        result = super().run_node(n)
        made_by = n.args[0] if n.target is QUANTISE else None
        if isinstance(made_by, fx.Node) and (made_by.op == "placeholder" or made_by.target in LAYERS):
            result4d = result.reshape(*result.shape, *[1] * (4 - result.dim()))
            self.kept.append(result4d.permute(0, 2, 3, 1).numpy())
        return result


def _differences(network: Network, converted: fx.GraphModule, inputs: torch.Tensor) -> list[tuple[int, float]]:
    """Of every layer, given the integers that PT2E's float model gives it: largest difference in LSB, share of them."""
    interpreter = _Integers(converted)
    with torch.no_grad():
        interpreter.run(inputs)
    names = ["input", *(layer.name for layer in network.layers)]
    integers = dict(zip(names, interpreter.kept, strict=True))
    found = []
    for layer in network.layers:
        given = [torch.from_numpy(integers[name]).permute(0, 3, 1, 2).double() for name in layer.sources]
        ofmaps = reference.ofmaps(layer, *given).permute(0, 2, 3, 1)
        lsb = np.abs(ofmaps.numpy().astype(int) - integers[layer.name])
        found.append((int(lsb.max()), float((lsb > 0).mean())))
    return found


def _agree(network: Network, converted: fx.GraphModule, inputs: torch.Tensor) -> bool:
    """To the LSB: what is left is halves (PyTorch rounds to even), the bias in whole units, 16 bits of multiplier."""
    found = _differences(network, converted, inputs)
    return all(most <= 1 and share < 0.01 for most, share in found)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # of PyTorch, about its speed
@pytest.mark.parametrize(
    ("build", "shape", "kinds"),
    [
        (LeNet, (1, 28, 28), [Conv, MaxPool, Conv, MaxPool, Conv, Conv]),
        (strided, (3, 19, 16), [Conv, MaxPool, Conv, Conv]),
        (
            residual,
            (3, 9, 10),
            [*[Conv, Conv, Conv, Add], *[Conv, Conv, Add], *[Conv, Conv, Conv, Add], AveragePool, Conv],
        ),
        (
            Averages,
            (2, 9, 11),
            [AveragePool, Conv, AveragePool, Add, AveragePool, Add, Add, MaxPool, *[AveragePool] * 2, *[Conv] * 2, Add],
        ),
        (Windows, (2, 12, 13), [Conv, MaxPool, Conv, AveragePool, MaxPool, AveragePool, Conv]),
        (separable, (3, 21, 24), [Conv, Depthwise, Conv, Depthwise, MaxPool, AveragePool, Conv]),
        (
            functions,
            (3, 10, 13),
            [
                *[Table, Conv, Table, MaxPool, Conv, MaxPool, Table, Conv, Table, Table],
                *[Conv, Table] * 3,
                *[AveragePool, Table, Conv, Table],
            ],
        ),
        (
            Products,
            (2, 9, 11),
            [
                *[Conv, Conv, Multiply, AveragePool, Conv, Conv, Table, Multiply, Table, Depthwise, Multiply],
                *[Table, AveragePool, Depthwise, Conv, Multiply, Conv, Multiply],
            ],
        ),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(24, 7), nn.ReLU(), nn.Linear(7, 3)), (2, 3, 4), [Conv, Conv]),
    ],
)
def test_network_agrees_with_pytorchs_quantised_model(build, shape, kinds):
    torch.manual_seed(1)
    module, inputs = trained_norms(build()), inputs_of(shape)
    network, _ = quantise(module, inputs, "net")
    assert [type(layer) for layer in network.layers] == kinds
    assert _agree(network, convert(module, inputs).graph, inputs)
    with torch.no_grad():
        expected = module(inputs)
    assert output_shapes(network)[network.layers[-1].name][2] == expected.shape[1]


def test_digits_in_int8_is_within_a_point_of_float(digits):
    network, _ = quantise(digits.module, digits.calibration, "digits", classes=digits.data.classes, dataset="digits")
    assert [layer.name for layer in network.layers] == ["conv1", "pool1", "conv2", "pool2", "dense"]
    assert network.input_shape == (8, 8, 1) and network.classes == digits.data.classes
    ifmaps = preprocess.quantise_input(network, digits.data.test_images)
    guesses = reference.run(network, ifmaps)["dense"].flatten(1).argmax(1).numpy()
    accuracy = (guesses == digits.data.test_labels).mean()
    assert accuracy >= 0.97 and abs(accuracy - digits.history[-1].accuracy) <= 0.01
    assert _agree(network, convert(digits.module, digits.calibration).graph, digits.calibration)


def test_digits_agrees_with_float_to_a_few_lsb(digits):
    """Not to the arithmetic contract's bits, but to what 8 bits are worth: mean error of the outputs under 1 LSB."""
    network, _ = quantise(digits.module, digits.calibration, "digits", dataset="digits")
    ifmaps = preprocess.quantise_input(network, digits.data.test_images)
    found = network.output.dequantise(reference.run(network, ifmaps)["dense"].numpy()[:, 0, 0])
    with torch.no_grad():
        expected = digits.module(train.to_input("digits", digits.data.test_images)).numpy()
    inside = np.abs(found) < 0.99 * np.abs(found).max()  # calibration clips the largest on purpose
    assert np.abs(found - expected)[inside].mean() < network.output.scale


def test_same_calibration_gives_the_same_network_and_leaves_the_module_alone(digits):
    before = {key: value.clone() for key, value in digits.module.state_dict().items()}
    digits.module.train()
    (first, _), (second, _) = (quantise(digits.module, digits.calibration, "digits") for _ in range(2))
    assert digits.module.training
    digits.module.eval()
    assert all(torch.equal(value, before[key]) for key, value in digits.module.state_dict().items())
    assert (first.input, first.output) == (second.input, second.output)
    for a, b in zip(first.layers, second.layers, strict=True):
        assert str(a) == str(b)
        if isinstance(a, Conv) and isinstance(b, Conv):
            assert all(np.array_equal(getattr(a, k), getattr(b, k)) for k in ("weight", "bias", "multiplier", "shift"))


def test_weights_are_symmetric_and_use_the_range():
    network, _ = quantise(nn.Sequential(nn.Conv2d(2, 8, 3)), inputs_of((2, 5, 5)), "net")
    conv = network.layers[0]
    assert isinstance(conv, Conv)
    assert conv.weight.min() >= -127 and (np.abs(conv.weight).max((1, 2, 3)) == 127).all()


def test_exported_program_with_a_fixed_batch_is_taken(digits):
    program = torch.export.export(digits.module, (digits.calibration[:32],))
    network, _ = quantise(program, digits.calibration, "digits")
    ifmaps = preprocess.quantise_input(network, train.to_input("digits", digits.data.test_images).movedim(1, 3).numpy())
    guesses = reference.run(network, ifmaps)["dense"].flatten(1).argmax(1).numpy()
    assert (guesses == digits.data.test_labels).mean() >= 0.97


def test_dead_channel_gives_its_bias():
    """All weights 0: the scale has nothing to go by, yet the bias must come out."""
    conv = nn.Conv2d(1, 2, 3)
    conv.weight.data[0] = 0
    nn.init.constant_(conv.bias, 0.8)  # pyright: ignore
    inputs = inputs_of((1, 6, 6))
    network, _ = quantise(conv, inputs, "net")
    assert _agree(network, convert(conv, inputs).graph, inputs)


@pytest.fixture(params=["conv2d", pytest.param("every kind", marks=pytest.mark.slow)])
def torchaos_patterns(request, monkeypatch) -> None:
    """In training, torchao traces patterns of batch norms behind four kinds of convolution, which takes it a quarter of a
    second each. The networks here have one kind."""

    def only_of_conv2d(helper, graph: fx.GraphModule, kind, *rest, **more) -> fx.GraphModule:
        return helper(graph, kind, *rest, **more) if kind is F.conv2d else graph

    if request.param == "conv2d":
        for name in ("_fuse_conv_bn_qat_helper", "_fold_conv_bn_qat_helper"):
            monkeypatch.setattr(qat_utils, name, partial(only_of_conv2d, getattr(qat_utils, name)))


def test_quantisation_aware_training_lowers_the_loss_and_reads_back(torchaos_patterns):
    torch.manual_seed(2)
    module = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, stride=2),
        nn.BatchNorm2d(6),
        nn.Dropout(0.1),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6, 4),
    )
    inputs = inputs_of((1, 7, 7))
    labels = inputs.mean((1, 2, 3)).mul(10).long().clamp(-1, 2) + 1
    prepared = prepare_qat_pt2e(export(module.train(), (1, 7, 7)).module(), AcceleratorQuantizer(qat=True))
    optimiser = torch.optim.Adam(prepared.parameters(), lr=0.01)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = F.cross_entropy(prepared(inputs), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    move_exported_model_to_eval(prepared)
    converted = convert_pt2e(prepared)
    network = from_pt2e(converted, "qat")
    assert [type(layer) for layer in network.layers] == [Conv, Conv, MaxPool, Conv]
    assert _agree(network, converted, inputs)


def test_in_training_what_changes_a_shared_value_in_place_is_refused(torchaos_patterns):
    """There the graph stays as it is exported, because torchao's steps look for that one."""
    prepare = partial(prepare_qat_pt2e, quantizer=AcceleratorQuantizer(qat=True))
    with pytest.raises(DeeplockError, match=r"aten.relu_.default at node relu_: changes conv2d in place, which has"):
        prepare(export(relu_through_a_view().train(), (2, 8, 8)).module(check_guards=False))
    prepare(export(residual().train(), (3, 9, 10)).module(check_guards=False))


class _Applied(nn.Module):
    """A convolution, then a function of its result."""

    def __init__(self, function) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.conv(x))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (_Applied(torch.cos), "unsupported operator aten.cos.default at node cos: supported: conv2d"),
        (_Applied(lambda x: x * x.mean(1, keepdim=True)), "aten.mean.dim at node mean: must be over all pixels"),
        (_Applied(lambda x: x * F.adaptive_avg_pool2d(x, (6, 1))), "node mul: its inputs must have one shape, or one of them "),
        (_Applied(lambda x: x * torch.arange(6.0)), "unsupported operator aten.arange.default at node arange"),
        (_Applied(lambda x: x + 1.0), "operator aten.add.Tensor at node add: both of its inputs must be activations"),
        (_Applied(lambda x: torch.add(x, x, alpha=2)), "aten.add.Tensor at node add: alpha must be 1, not 2"),
        (_Applied(lambda x: x + F.avg_pool2d(x, 6)), "node add: its inputs must have one shape, not "),
        (_Applied(lambda x: F.relu(x) + x), "operator aten.relu.default at node relu: must follow conv2d, linear, "),
        (_Applied(lambda x: F.log_softmax(x, 1)), "unsupported operator aten.log_softmax.int at node log_softmax: "),
        (_Applied(lambda x: F.avg_pool2d(x, 2, padding=1, count_include_pad=False)), "padding must count: count_include_"),
        (_Applied(lambda x: F.avg_pool2d(x, 4, ceil_mode=True)), "node avg_pool2d: ceil_mode must be False where a window"),
        (_Applied(lambda x: F.avg_pool2d(x, 2, divisor_override=3)), "divisor_override must be None, not 3"),
        (_Applied(nn.AdaptiveAvgPool2d(4)), r"its input \[6, 6\] must be a multiple of its output \[4, 4\]"),
        (_Applied(lambda x: x.mean(1, keepdim=True)), r"node mean: must be over all pixels.*, not \[1\]"),
        (nn.Conv2d(2, 4, 1, stride=16), "node conv2d: stride must be at most 15, not 16"),
        (nn.PixelUnshuffle(2), "unsupported operator aten.pixel_unshuffle.default at node pixel_unshuffle: "),
        (_Applied(lambda x: F.max_pool2d(x, 2, dilation=2)), r"node max_pool2d: dilation must be 1, not \[2, 2\]"),
        (_Applied(nn.Linear(6, 3)), "aten.linear.default at node linear: its input must be flattened first"),
        (_Applied(lambda x: x.view(x.shape[0], 4, 36)), r"node view: must flatten to \[n, channels \* height"),
        (nn.Sequential(nn.ReLU(), nn.Conv2d(2, 4, 3)), "aten.relu.default at node relu: must follow conv2d, linear,"),
        (nn.Identity(), "output must be its last layer, not input"),
        (_Applied(nn.Flatten()), "output must not be flattened"),
        (_Applied(lambda x: (F.relu(x), 3)), "the network's outputs must be tensors, not "),
        (_Applied(lambda x: (x, F.max_pool2d(x, 2).flatten(1))), "output must not be flattened"),
        (nn.Bilinear(2, 2, 2), r"torch.export does not take the network with one input \[2, 2, 8, 8\]: "),
        (
            nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
            "aten.batch_norm.default at node batch_norm: acts as in training: export in evaluation mode, batch norms",
        ),
    ],
)  # fmt: skip
def test_unsupported_network_is_refused_by_operator_and_node(module, message):
    with pytest.raises(DeeplockError, match=message) as error:
        quantise(module, inputs_of((2, 8, 8)), "net")
    assert "\n" not in str(error.value)


def test_nothing_to_quantise_is_told():
    with pytest.raises(DeeplockError, match=r"calibration must be \[n, channels, height, width\], .*, not \[8\]"):
        quantise(nn.Linear(8, 2), torch.zeros(8), "net")
    with pytest.raises(DeeplockError, match=r"not \[0, 1, 8, 8\]"):
        quantise(nn.Conv2d(1, 1, 3), torch.zeros(0, 1, 8, 8), "net")
    conv = nn.Conv2d(1, 1, 3)
    nn.init.constant_(conv.weight, float("nan"))
    with pytest.raises(DeeplockError, match="must be finite"):
        quantise(conv, torch.zeros(1, 1, 8, 8), "net")


@pytest.mark.filterwarnings("ignore:torch.inf detected:UserWarning")  # of torchao, before the NaN
def test_calibration_that_fails_is_told_in_one_line():
    """As with a network unlocked with a wrong key, whose numbers overflow."""
    huge = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3))
    for parameter in huge.parameters():
        nn.init.constant_(parameter, 3e38)
    for inputs in (inputs_of((1, 8, 8)), inputs_of((1, 8, 8)).double()):
        with pytest.raises(DeeplockError, match="the network does not take the calibration inputs: ") as error:
            quantise(huge, inputs, "net")
        assert "\n" not in str(error.value)
