"""The layers of a loadable as the accelerator runs them."""

from typing import Any

from deeplock.pymodel.compiler.parameters import ENTRY_BYTES, tile_rows
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.program import pixels_of

__all__ = ["layers_of"]


def layers_of(loadable: Loadable) -> list[dict[str, Any]]:
    """For each descriptor of the program, as JSON has it: shapes [height, width, channels] of what it reads and writes,
    kernel, stride, pooling window, and

    parameter_bytes   what it takes of the stream
    lower_bound       least cycles that it can take: the larger of MACs / (rows * cols) and weight bytes /
                      bytes_per_beat. The MACs are those of the pixels that it computes; diagonal weights count as none
    """
    rows, cols, beat = (loadable.header[name] for name in ("rows", "cols", "bytes_per_beat"))

    def layer(fields: dict[str, int]) -> dict[str, Any]:
        channels = (fields["groups"] - 1) * cols + fields["last_columns"]
        depth = channels if fields["diagonal"] else (fields["cblocks"] - 1) * rows + fields["rows_last"]
        parameter_bytes = lower_bound = 0
        if not fields["diagonal"]:
            weights = fields["kernel_h"] * fields["kernel_w"] * depth * channels
            lower_bound = max(-(-pixels_of(fields) * weights // (rows * cols)), -(-weights // beat))
            folds = [0] * (fields["groups"] - 1) + [fields["fold"]]
            parameter_bytes = cols * sum(ENTRY_BYTES + sum(tile_rows(fields, rows, fold)) for fold in folds)
        return {
            "input": [fields["in_h"], fields["in_w"], depth],
            "output": [fields["out_h"], fields["out_w"], channels],
            "kernel": [fields["kernel_h"], fields["kernel_w"]],
            "stride": fields["stride"],
            "pool": [fields["pool_h"], fields["pool_w"]],
            "parameter_bytes": parameter_bytes,
            "lower_bound": lower_bound,
        }

    return [layer(fields) for fields in loadable.program]
