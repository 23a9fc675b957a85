"""The header that a loadable begins with."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from deeplock.pymodel.spec.layout import Field
from deeplock.pymodel.spec.record import Record

__all__ = ["MAGIC", "VERSION", "Header"]

MAGIC = 0x4B4C_4E4E  # "NNLK"
VERSION = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Header(Record):
    """What an accelerator checks before it runs a program, and how the ifmap becomes activation words."""

    products: ClassVar = {"unfolded": ("run_bytes", "runs", "windows_x", "windows_y")}

    magic: Annotated[int, Field(0, 31, 0, '"NNLK"')] = MAGIC

    rows: Annotated[int, Field(1, 7, 0)]
    cols: Annotated[int, Field(1, 15, 8)]
    bytes_per_beat: Annotated[int, Field(1, 23, 16)]
    suite: Annotated[int, Field(1, 31, 24, "number of the lock suite; 0 is plain")]

    version: Annotated[int, Field(2, 7, 0)] = VERSION
    layers: Annotated[int, Field(2, 23, 8, "descriptors that follow")]
    batch: Annotated[int, Field(2, 31, 24, "ifmaps that an inference takes")]

    parameter_beats: Annotated[int, Field(3, 23, 0, "beats of the parameter section")]
    activation_words: Annotated[int, Field(4, 16, 0, "depth that the program needs")]
    accumulators: Annotated[int, Field(5, 15, 0, "depth that the program needs")]

    # unfolding of the ifmap
    ifmap_beats: Annotated[int, Field(5, 31, 16)]
    run_bytes: Annotated[int, Field(6, 15, 0, "bytes that lie side by side in the ifmap and in the unfolded window")]
    runs: Annotated[int, Field(6, 20, 16)]
    run_pitch: Annotated[int, Field(7, 15, 0, "ifmap bytes from one run of a window to the next")]
    x_pitch: Annotated[int, Field(7, 31, 16)]
    y_pitch: Annotated[int, Field(8, 15, 0, "ifmap bytes from one row of windows to the next")]
    windows_x: Annotated[int, Field(9, 15, 0)]
    windows_y: Annotated[int, Field(9, 31, 16)]
    destination: Annotated[int, Field(10, 15, 0, "first activation word of the unfolded ifmap")]
    dense: Annotated[
        int, Field(10, 16, 16, "pixels lie without gaps; else each, and each unfolded window, begins a word")
    ]
    alternate: Annotated[
        int, Field(10, 17, 17, "every second ifmap begins in the word behind the one before; needs `dense`")
    ] = 0

    model_low: Annotated[int, Field(11, 31, 0, "number of the model, low half; licences name it")] = 0
    model_high: Annotated[int, Field(12, 31, 0, "high half")] = 0
    model_version: Annotated[int, Field(13, 31, 0)] = 0
    ofmap_beats: Annotated[
        int, Field(14, 31, 0, "beats of `cols` bytes that an inference's ofmap takes, a beat for each pixel and group")
    ] = 0

    @property
    def model(self) -> int:
        """Number of the model."""
        return self.model_high << 32 | self.model_low

    def of_model(self, model: int, version: int) -> "Header":
        """This header with another model's number, 64 bits, and version, 32 bits."""
        return replace(self, model_low=model & 0xFFFF_FFFF, model_high=model >> 32, model_version=version)

    @property
    def unfolded(self) -> int:
        """Bytes that the unfolder writes for an ifmap."""
        return self.product("unfolded")

    def first_word(self, ifmap: int) -> int:
        """The first activation word of the batch's ifmap of that number, from 0."""
        words = -(-self.unfolded // self.rows)
        return self.destination + (words if self.dense and self.alternate and ifmap % 2 else 0)
