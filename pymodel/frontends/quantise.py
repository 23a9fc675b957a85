"""From a float PyTorch network to the int8 `Network`: export, calibrate, convert (PT2E), read.

Quantisation-aware training is the same with torchao's own steps in the middle:

    prepared = prepare_qat_pt2e(export(module.train(), shape), AcceleratorQuantizer(qat=True))
    ...  # train `prepared`
    move_exported_model_to_eval(prepared)
    network = from_pt2e(convert_pt2e(prepared), name)
"""

from copy import deepcopy

import torch
from torch import fx, nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.pt2e import from_pt2e
from deeplock.pymodel.frontends.quantizer import AcceleratorQuantizer
from deeplock.pymodel.network.network import Network

__all__ = ["export", "convert", "quantise"]

_BATCH = 64


def export(module: nn.Module, shape: tuple[int, int, int]) -> fx.GraphModule:
    """The module's graph for any batch size, in the mode (training or evaluation) that the module is in.

    shape  (channels, height, width) of one input
    """
    dynamic = ({0: torch.export.Dim.AUTO},)
    program = torch.export.export(module, (torch.zeros(2, *shape),), dynamic_shapes=dynamic)
    return program.module(check_guards=False)  # pyright: ignore


def convert(model: nn.Module | torch.export.ExportedProgram, calibration: torch.Tensor) -> fx.GraphModule:
    """PT2E's converted graph: float operators between quantise and dequantise, which PyTorch can run.

    model        in float; a module is taken in evaluation mode and left as it is
    calibration  float32 [n, channels, height, width], inputs like those that the network will see: the range that
                 each activation has on them sets its scale. n is a multiple of a program's batch, if that is fixed
    """
    if calibration.dim() != 4 or not len(calibration):
        raise DeeplockError(f"calibration must be [n, channels, height, width], not {list(calibration.shape)}")
    if isinstance(model, torch.export.ExportedProgram):
        graph = model.module(check_guards=False)
    else:
        _, channels, height, width = calibration.shape
        graph = export(deepcopy(model).eval(), (channels, height, width))
    if not all(torch.isfinite(tensor).all() for tensor in (calibration, *graph.state_dict().values())):
        raise DeeplockError("parameters and calibration inputs must be finite numbers")
    batch = next(node for node in graph.graph.nodes if node.op == "placeholder").meta["val"].shape[0]
    prepared = prepare_pt2e(graph, AcceleratorQuantizer())
    try:
        with torch.no_grad():
            for images in calibration.split(batch if isinstance(batch, int) else _BATCH):
                prepared(images)
    except RuntimeError as error:  # of an observer, at a NaN; of an operator, at inputs of another shape or type
        raise DeeplockError(
            f"the network does not take the calibration inputs: {str(error).splitlines()[0]}"
        ) from error
    return convert_pt2e(prepared)


def quantise(
    model: nn.Module | torch.export.ExportedProgram,
    calibration: torch.Tensor,
    name: str,
    *,
    classes: tuple[str, ...] = (),
    dataset: str = "",
) -> Network:
    """The int8 `Network` of a float network, by post-training quantisation. Arguments as of `convert` and `from_pt2e`.

    `DeeplockError` if it has an operator that the accelerator lacks, or a layer that does not fit the arithmetic.
    """
    return from_pt2e(convert(model, calibration), name, classes=classes, dataset=dataset)
