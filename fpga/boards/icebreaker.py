"""iCEBreaker: UP5K, 12 MHz, 16 MB of flash on ordinary pins, clocked at the system's rate."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from deeplock.fpga.boards.board import Board
from deeplock.pymodel.spec.config import Config

__all__ = ["BOARDS"]

BOARDS = [
    Board(
        name="icebreaker",
        device="up5k",
        platform=ICEBreakerPlatform,
        config=Config(
            rows=4,
            cols=4,
            bytes_per_beat=4,
            lanes=1,
            multiplier_cycles=8,
            activation_words=8192,
            single_port=True,
            accumulators=256,
            sum_bits=24,
            padding=False,
            folding=False,
            diagonal=False,
            dense=False,
            pipeline_registers=False,
            program_words=256,
            ifmap_bytes=1024,
            key_sizes=(16,),
            sbox="rom",
        ),
        clock_hz=24_000_000,
        baud=1_000_000,
        divider=1,
        loadable_address=1 << 20,
        suite="tinyjambu",
        licensed=(("counters", False),),
        program="iceprog {file}",
        program_loadable="iceprog -o {address} {file}",
    )
]
