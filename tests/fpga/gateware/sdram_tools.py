"""The pins of a SDRAM controller in Amaranth's simulator, with a model of the chip on them."""

from collections import deque

from deeplock.fpga.gateware.sdram import SdramPins
from deeplock.sim.sdram_model import SdramChip

__all__ = ["SdramBoard"]


class SdramBoard:
    """Pins that take `out` cycles to the chip and `back` from it, and the chip, whose clock rises in the middle of a cycle. The
    data pins show what either side drives, and what it was when neither does."""

    def __init__(self, chip: SdramChip, pins: SdramPins, clock_hz: int, out: int = 1, back: int = 1) -> None:
        self.pins, self.period, self.out, self.back = pins, 1e9 / clock_hz, out, back
        self.power_up(chip)

    def power_up(self, chip: SdramChip) -> None:
        """Before the first cycle, or in that of a reset: nothing of before goes to the chip."""
        self.chip, self.now, self.fresh = chip, 0.0, True
        self.going = deque([None] * self.out)

    async def run(self, ctx) -> None:
        pins, level = self.pins, 0
        # sampled in the middle of the cycle after the edge, shown in the one after that
        coming = deque([0] * (self.back + 1))
        async for *_, command, bank, a, o, oe in ctx.tick().sample(pins.command, pins.bank, pins.a, pins.o, pins.oe):
            self.going.append(None if self.fresh else (command, bank, a, o if oe else None))
            arrived, self.fresh = self.going.popleft(), False
            self.now += self.period
            coming.append(level)
            if arrived is not None:
                command, bank, a, dq = arrived
                ras, cas, we = (1 - (int(command) >> bit & 1) for bit in range(3))
                word = self.chip.rise(self.now, ras, cas, we, bank, a, dq)
                level = next((each for each in (word, dq) if each is not None), level)
            ctx.set(pins.i, coming.popleft())
