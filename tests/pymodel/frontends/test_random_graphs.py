"""Random graphs of all operators, written as PyTorch, TensorFlow Lite and ONNX: each layer against the engine that the format
comes from, and the compiled network against the golden model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.frontends.int8_file import read_int8
from deeplock.pymodel.frontends.quantise import quantise
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.spec.config import Config
from tests.pymodel.frontends.networks import Net, inputs_of
from tests.pymodel.frontends.onnx_files import Float, quantised
from tests.pymodel.frontends.tflite_files import SAME, VALID, File, schema

CONFIG = Config(rows=4, cols=4, bytes_per_beat=4, tables=True, products=True, program_words=4096)

Shape = tuple[int, int, int]
Plan = list[tuple[str, int, Shape, dict[str, Any]]]
"""Operators in order: name, which tensor it reads (0 is the input), that one's shape, and options. Each gives a tensor."""

NONE, RELU = schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """1..6 operators. "beside" is a convolution beside the tensor; "twice" what is added to or multiplied by a convolution."""
    shapes: list[Shape] = [(draw(st.integers(5, 9)), draw(st.integers(5, 9)), draw(st.integers(1, 4)))]
    plan: Plan = []
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(max(0, len(shapes) - 2), len(shapes) - 1))
        height, width, channels = shapes[at]
        kind = draw(
            st.sampled_from(["conv", "conv", "depthwise", "max", "average", "add", "mul", "beside", "up", "sigmoid"])
        )
        how: dict[str, Any] = {}
        if kind in ("max", "average", "up") and (at == 0 or min(height, width) < 2 or (kind == "up" and height > 9)):
            kind = "conv"
        match kind:
            case "conv" | "depthwise":
                kernel = draw(st.sampled_from([1, 3]))
                how = {"kernel": kernel, "stride": draw(st.sampled_from([1, 2])), "relu": draw(st.booleans())}
                if kind == "conv":
                    how["out"] = draw(st.integers(1, 6))
                made = (-(-height // how["stride"]), -(-width // how["stride"]), how.get("out", channels))
            case "max" | "average":
                made = height // 2, width // 2, channels
            case "up":
                made = 2 * height, 2 * width, channels
            case "beside":
                how = {"out": draw(st.integers(1, 4))}
                made = height, width, channels + how["out"]
            case _:
                made = shapes[at]
        plan.append((kind, at, shapes[at], how))
        shapes.append(made)
    return plan


def ends_of(plan: Plan) -> list[int]:
    """The tensors that no operator reads: the outputs."""
    return sorted({*range(1, len(plan) + 1)} - {at for _, at, _, _ in plan})


def in_tflite(plan: Plan, rng: np.random.Generator, path: Path) -> Network:
    file = File(rng)
    tensors = [file.activation(*plan[0][2])]
    for kind, at, shape, how in plan:
        x, channels = tensors[at], shape[2]
        match kind:
            case "conv" | "depthwise":
                more = {
                    "kernel": (how["kernel"],) * 2,
                    "stride": how["stride"],
                    "activation": RELU if how["relu"] else NONE,
                }
                build: Callable[..., int] = file.conv if kind == "conv" else file.depthwise
                made = build(x, shape, **more, **({"out": how["out"]} if kind == "conv" else {}))
            case "max" | "average":
                made = file.pool(f"{kind.upper()}_POOL_2D", x, shape, padding=VALID)
            case "add":
                made = file.add(x, file.conv(x, shape, out=channels), shape)
            case "mul":
                made = file.multiply(x, file.conv(x, shape, out=channels), shape)
            case "beside":
                own = file.conv(x, shape, out=channels, padding=SAME)
                made = file.concat(own, file.conv(x, shape, out=how["out"]), (*shape[:2], channels + how["out"]))
            case "up":
                made = file.resize(x, shape, 2 * shape[0], 2 * shape[1])
            case _:
                made = file.function("LOGISTIC", x, shape, 1 / 256, -128)
        tensors.append(made)
    network, found = read_int8(file.write(path, tensors[0], *(tensors[end] for end in ends_of(plan))))
    assert set(found.layer_lsb.values()) <= {0, 1, 2}
    return network


def in_onnx(plan: Plan, rng: np.random.Generator, path: Path) -> Network:
    height, width, channels = plan[0][2]
    net = Float(rng, channels, height, width)
    tensors = ["x"]
    for kind, at, (_, _, channels), how in plan:
        x = tensors[at]

        def same(out: int, x: str = x, channels: int = channels) -> str:
            return net.conv(x, channels, out, (3, 3), pads=[1] * 4)

        match kind:
            case "conv" | "depthwise":
                kernel, groups = how["kernel"], 1 if kind == "conv" else channels
                more = {"pads": [kernel // 2] * 4, "strides": [how["stride"]] * 2, "group": groups}
                made = net.conv(x, channels, how.get("out", channels), (kernel, kernel), **more)
                made = net.node("Relu", made) if how["relu"] else made
            case "max" | "average":
                made = net.node(f"{kind.title()}Pool", x, kernel_shape=[2, 2], strides=[2, 2])
            case "add" | "mul":
                made = net.node(kind.title(), x, same(channels))
            case "beside":
                made = net.node("Concat", same(channels), same(how["out"]), axis=1)
            case "up":
                scales = net.constant(np.array([1, 1, 2, 2], np.float32))
                more = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
                made = net.node("Resize", x, "", scales, **more)
            case _:
                made = net.node("Sigmoid", x)
        tensors.append(made)
    outputs = [tensors[end] for end in ends_of(plan)]
    network, found = read_int8(quantised(net, path, outputs=outputs))
    assert set(found.layer_lsb.values()) <= {0, 1, 2}
    return network


def in_pytorch(plan: Plan, rng: np.random.Generator, path: Path) -> Network:
    torch.manual_seed(int(rng.integers(1 << 30)))
    parts: dict[str, nn.Module] = {}
    for number, (kind, _, (_, _, channels), how) in enumerate(plan):
        if kind in ("conv", "depthwise"):
            kernel, groups = how["kernel"], 1 if kind == "conv" else channels
            more = {"padding": kernel // 2, "stride": how["stride"], "groups": groups}
            parts[f"p{number}"] = nn.Conv2d(channels, how.get("out", channels), kernel, **more)
        elif kind in ("add", "mul", "beside"):
            parts[f"p{number}"] = nn.Conv2d(channels, channels, 3, padding=1)
        if kind == "beside":
            parts[f"q{number}"] = nn.Conv2d(channels, how["out"], 3, padding=1)

    def forward(m: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        tensors = [x]
        for number, (kind, at, _, how) in enumerate(plan):
            x = tensors[at]
            own: Any = getattr(m, f"p{number}", None)
            match kind:
                case "conv" | "depthwise":
                    made = F.relu(own(x)) if how["relu"] else own(x)
                case "max" | "average":
                    made = F.max_pool2d(x, 2) if kind == "max" else F.avg_pool2d(x, 2)
                case "add" | "mul":
                    made = x + own(x) if kind == "add" else x * own(x)
                case "beside":
                    made = torch.cat([own(x), getattr(m, f"q{number}")(x)], 1)
                case "up":
                    made = F.interpolate(x, scale_factor=2.0)
                case _:
                    made = torch.sigmoid(x)
            tensors.append(made)
        return tuple(tensors[end] for end in ends_of(plan))

    height, width, channels = plan[0][2]
    network, found = quantise(Net(forward, **parts), inputs_of((channels, height, width)), "net")
    assert set(found.layer_lsb.values()) <= {0, 1, 2} and found.output_lsb <= 4
    return network


@pytest.mark.parametrize("build", [in_tflite, in_onnx, in_pytorch])
@settings(max_examples=12)
@given(plans(), st.integers(0, 1 << 30))
def test_random_graphs_agree_with_their_engines_and_compile(build, tmp_path_factory, plan, seed):
    """Layers differ by an LSB at most, or two where both inputs of a sum have other scales."""
    network = build(plan, np.random.default_rng(seed), tmp_path_factory.mktemp("graph") / f"net.{build.__name__[3:]}")
    if not any(layer.weight_bytes for layer in network.layers):
        return  # nothing to lock
    ifmaps = np.random.default_rng(0).integers(-128, 128, (2, *network.input_shape), np.int8)
    loadable = compile_network(network, CONFIG)
    expected = golden.run(network, ifmaps)[network.layers[-1].name]
    assert np.array_equal(interpreter.run(loadable, b"", ifmaps, CONFIG), expected)
