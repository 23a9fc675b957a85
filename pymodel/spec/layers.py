"""The layers of a loadable as the accelerator runs them."""

from typing import Any

from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.loadable import Loadable

__all__ = ["layers_of"]


def layers_of(loadable: Loadable) -> list[dict[str, Any]]:
    """One dict for each descriptor of the program, ready for JSON.

    input, output     shapes [height, width, channels]
    kernel, pool      [height, width] of the kernel and of the pooling window
    parameter_bytes   bytes of the parameter stream that it takes
    lower_bound       least cycles that it can take: the larger of MACs / (rows * cols) and weight bytes /
                      bytes_per_beat. Only MACs of computed pixels count; diagonal layers count as 0
    """
    rows, cols, beat = loadable.header.rows, loadable.header.cols, loadable.header.bytes_per_beat

    def layer(descriptor: Descriptor) -> dict[str, Any]:
        channels = descriptor.channels(cols)
        depth, lower_bound = channels, 0
        if not descriptor.diagonal:
            depth = (descriptor.cblocks - 1) * rows + descriptor.rows_last
            weights = descriptor.kernel_h * descriptor.kernel_w * depth * channels
            lower_bound = max(-(-descriptor.pixels * weights // (rows * cols)), -(-weights // beat))
        return {
            "input": [descriptor.in_h, descriptor.in_w, depth],
            "output": [descriptor.out_h, descriptor.out_w, channels],
            "kernel": [descriptor.kernel_h, descriptor.kernel_w],
            "stride": descriptor.stride,
            "pool": [descriptor.pool_h, descriptor.pool_w],
            "parameter_bytes": sum(descriptor.group_bytes(group, rows, cols) for group in range(descriptor.groups)),
            "lower_bound": lower_bound,
        }

    return [layer(descriptor) for descriptor in loadable.program]
