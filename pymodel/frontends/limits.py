"""Which operators each front end takes, and their limits: docs/bring-your-own-network.md and messages are made from this.

Names are those of the format: PyTorch's without "aten.", in-place variants left out. Tests hold them against the readers.
"""

__all__ = ["ONNX", "PYTORCH", "TFLITE"]

_CONVOLUTION = "any kernel, strides 1 to 15, any dilation, any groups"
_PIXELS = "over all pixels"
_MOVES = "flatten, or undo that; add or drop a height of 1"
_SLICE = "some of the channels, in steps of 1"
_FUNCTION = "anywhere; the accelerator needs `tables`"
_TURNED = "any kernel and stride that is not larger, padding up to kernel minus stride; dilation and groups 1"
_PRODUCT = "two activations of one shape, or one of them of one pixel; the accelerator needs `products`"
_NUMBERS = "one number or one for each channel"
_CHOICE = ", which `compile` takes unless `--no-{}` or `--board` says otherwise"

PYTORCH: dict[tuple[str, ...], str] = {
    ("conv2d", "conv1d"): f"{_CONVOLUTION}, zero padding, also `same` and `valid`",
    ("conv_transpose2d", "conv_transpose1d"): f"{_TURNED}; any output padding",
    ("linear",): "after flatten, a global pool or another `linear`",
    (
        "batch_norm",
    ): "with running statistics: folded into the convolution or `linear` right before it, else a layer of its own",
    (
        "relu",
        "relu6",
        "hardtanh",
    ): "after convolution, `linear`, batch norm, average pool, addition, product or `cat`, as the only user of "
    "its result; max pool, flatten and dropout may lie between",
    (
        *("sigmoid", "tanh", "silu", "hardswish", "hardsigmoid", "gelu", "leaky_relu", "elu", "mish", "softplus"),
    ): _FUNCTION + _CHOICE.format("tables"),
    ("max_pool2d", "max_pool1d"): "any window, stride and padding, `ceil_mode` too; dilation 1",
    ("adaptive_max_pool2d", "adaptive_max_pool1d", "amax"): _PIXELS,
    (
        "avg_pool2d",
        "avg_pool1d",
    ): "any kernel up to 65,535 pixels, any stride; padding that counts (`count_include_pad`)",
    ("adaptive_avg_pool2d", "adaptive_avg_pool1d"): "the output size must divide the input size",
    ("mean",): _PIXELS,
    ("add",): "two activations of one shape; their scales at most 127 to 1 apart",
    ("mul",): f"{_PRODUCT}{_CHOICE.format('products')}. By a constant, {_NUMBERS}: a depthwise convolution",
    ("cat",): "along the channels",
    ("slice", "split", "split_with_sizes"): f"{_SLICE}; or, right behind a convolution, what cuts off its end",
    (
        *("upsample_nearest2d", "upsample_nearest1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact1d"),
    ): "to whole multiples",
    ("pixel_shuffle",): "right behind a convolution that nothing else reads",
    ("pad",): "with 0, of height and width, in front of convolutions",
    ("flatten", "view", "reshape", "squeeze", "unsqueeze"): f"{_MOVES}; not as the last layer, unless it has one pixel",
    ("dropout", "feature_dropout", "clone"): "dropped",
}

TFLITE: dict[tuple[str, ...], str] = {
    ("CONV_2D",): f"{_CONVOLUTION}, padding SAME or VALID",
    ("DEPTHWISE_CONV_2D",): "the same, any channel multiplier",
    ("TRANSPOSE_CONV",): "any kernel and stride that is not larger, padding SAME or VALID",
    ("FULLY_CONNECTED",): "one scale for all weights, or one for each output",
    ("ADD",): "two activations of one shape",
    ("MUL",): f"{_PRODUCT}. By a constant, {_NUMBERS}: a depthwise convolution",
    ("AVERAGE_POOL_2D",): "any window and stride, no padding",
    ("MAX_POOL_2D",): "any window, stride and padding",
    ("MEAN", "REDUCE_MAX"): _PIXELS,
    ("CONCATENATION",): "along the channels",
    ("SLICE", "STRIDED_SLICE"): _SLICE,
    ("SPLIT", "SPLIT_V"): "along the channels",
    ("RESIZE_NEAREST_NEIGHBOR",): "to whole multiples, corners not aligned",
    ("DEPTH_TO_SPACE",): "any block",
    ("RELU", "RELU6", "RELU_N1_TO_1"): "of their own or as activation functions; become part of the layer before",
    ("LOGISTIC", "TANH", "HARD_SWISH", "GELU", "LEAKY_RELU", "ELU"): _FUNCTION,
    ("PAD",): "height and width, in front of convolutions; becomes part of them",
    ("RESHAPE", "EXPAND_DIMS", "SQUEEZE"): _MOVES,
    ("SOFTMAX",): "at the end: left out with a note, since it does not change which output is largest",
    ("QUANTIZE", "DEQUANTIZE"): "at the ends of a network that takes or gives float32 or uint8: left out",
}

ONNX: dict[tuple[str, ...], str] = {
    ("Conv",): f"{_CONVOLUTION}, any padding; one dimension or two",
    ("ConvTranspose",): _TURNED,
    ("Gemm", "MatMul"): "weights constant, input flat",
    ("Add",): "two activations of one shape",
    ("Mul",): f"{_PRODUCT}. In float also by a constant, {_NUMBERS}",
    ("MaxPool", "AveragePool"): "any window, stride and padding; an average's padding must count (`count_include_pad`)",
    ("GlobalAveragePool", "ReduceMean", "GlobalMaxPool", "ReduceMax"): f"{_PIXELS}; `ReduceMax` with `keepdims`",
    ("Concat",): "along the channels; what has another scale than the result is requantised",
    ("Slice",): _SLICE,
    ("Split",): "along the channels",
    ("Resize",): "to whole multiples, of the nearest pixel: asymmetric with floor, or half_pixel",
    ("DepthToSpace",): "DCR; CRD right behind a convolution that nothing else reads. In float, CRD alone",
    ("Relu", "Clip"): "become part of the layer before",
    (
        *("Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Gelu", "LeakyRelu", "Elu"),
    ): f"{_FUNCTION}. In float, `HardSigmoid` must be PyTorch's: alpha 1/6, beta 0.5",
    ("Pad",): "with 0, of height and width, in front of convolutions; becomes part of them",
    ("Flatten", "Reshape", "Squeeze", "Unsqueeze"): _MOVES,
    ("Identity", "Dropout"): "dropped",
    ("Softmax",): "at the end: left out with a note",
}
