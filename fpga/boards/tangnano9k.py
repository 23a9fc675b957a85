"""Tang Nano 9K: GW1NR-9, 27 MHz; 4 MB of flash with two data lines on ordinary pins, beside the one for the bitstream."""

from amaranth_boards.tang_nano_9k import TangNano9kPlatform

from deeplock.fpga.boards.board import Board
from deeplock.pymodel.spec.config import Config

__all__ = ["BOARDS"]


class _TangNano9k(TangNano9kPlatform):
    device = TangNano9kPlatform.family  # as other platforms name it


BOARDS = [
    Board(
        name="tangnano9k",
        device="gw1nr-9c",
        platform=_TangNano9k,
        config=Config(
            rows=4,
            cols=4,
            bytes_per_beat=4,
            lanes=2,
            activation_words=4096,
            accumulators=512,
            program_words=256,
            ifmap_bytes=1024,
            key_sizes=(16,),
            sbox="composite",
        ),
        clock_hz=54_000_000,
        baud=1_000_000,
        divider=2,
        loadable_address=1 << 20,
        suite="tinyjambu",
        licensed=(("activation_words", 2048), ("sum_bits", 24)),  # the key memory takes four of 26 block RAMs
        program="openFPGALoader -b tangnano9k -f {file}",
        program_loadable="openFPGALoader -b tangnano9k --external-flash -o {address} {file}",
        flash_lines=2,
    )
]
