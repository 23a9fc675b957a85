"""The accelerator's driver over the host link of a board."""

import itertools
import time
from collections.abc import Callable, Sequence

import numpy as np

from deeplock.fpga.host.client import LinkClient
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec import driver
from deeplock.pymodel.spec.driver import AcceleratorError, RunResult
from deeplock.pymodel.spec.registers import COUNTERS, Command, Status

__all__ = ["BoardDriver"]


class BoardDriver(driver.Driver):
    """Drives a board whose flash holds the loadable.

    client    connected to the board
    address   of the loadable in the flash
    now       clock in seconds; in a simulation, of simulated time
    patience  seconds without progress after which a run counts as hung
    """

    def __init__(
        self, client: LinkClient, address: int, now: Callable[[], float] = time.monotonic, patience: float = 10.0
    ) -> None:
        self._client, self._address, self._now, self._patience = client, address, now, patience

    async def read(self, name: str) -> int:
        return await self._client.read(name)

    async def write(self, name: str, value: int) -> None:
        await self._client.write(name, value)

    async def counters(self) -> dict[str, int]:
        names = [name for name, _ in COUNTERS]
        return dict(zip(names, await self._client.read_all(names), strict=True))

    async def reset(self) -> None:
        """Reset the accelerator, which forgets its key and program."""
        await self._client.reset()
        self._loaded = None

    async def load_program(self, loadable) -> None:
        """Load header and program from the flash; DeeplockError if the flash does not answer."""
        await self._client.stream_loadable(self._address, len(loadable.head) + len(loadable.parameters))
        await self.write("CONTROL", Command.LOAD)  # only now: no byte of the previous range is taken for the head
        await self._until(Status.LOADED, "the loadable in the board's flash; has it been programmed?")
        # the accelerator has taken the head; from now on only the parameters come, over and over
        await self._client.stream_loadable(self._address + len(loadable.head), len(loadable.parameters))
        self._loaded = loadable

    async def run(
        self,
        loadable,
        ifmaps: Sequence[np.ndarray],
        progress: Callable[[int, int], None] | None = None,
        profile: int = 0,
    ) -> RunResult:
        if self._loaded is not loadable:
            await self.load_program(loadable)
        count = -(-len(ifmaps) // loadable.batch)
        await self.write("COUNT", count)
        await self.write("PROFILE", profile)
        surplus = count * loadable.batch - len(ifmaps)
        left = map(loadable.pack_ifmap, itertools.chain(ifmaps, itertools.repeat(ifmaps[-1], surplus)))
        packets: list[bytes] = []
        await self.write("CONTROL", Command.START)
        ifmap, since = next(left, None), self._now()
        while len(packets) < count:
            moved = False
            if ifmap is not None and await self._client.send_ifmap(ifmap):
                ifmap, moved = next(left, None), True
            packet = await self._client.receive_ofmap()
            if packet is not None:
                packets.append(packet)
                moved = True
                if progress is not None:
                    progress(len(packets), count)
            if moved:
                since = self._now()
            else:
                await self._check(since, f"{len(packets)} of {count} results came")
        await self._until(Status.DONE, "DONE")
        ofmaps = [ofmap for packet in packets for ofmap in loadable.unpack_ofmaps(packet)]
        return RunResult(ofmaps[: len(ifmaps)], await self.counters(), 0)

    async def _until(self, bit: Status, what: str) -> None:
        since = self._now()
        while not await self._check(since, f"waiting for {what}") & bit:
            pass

    async def _check(self, since: float, what: str) -> int:
        """STATUS; AcceleratorError for an error code, DeeplockError if nothing has moved for too long."""
        status = await self.status()
        if status >> 8:
            self._loaded = None
            await self._client.reset()  # drops beats in flight; the error has already zeroised the key
            raise AcceleratorError(status >> 8)
        if self._now() - since > self._patience:
            self._loaded = None
            await self._client.reset()
            raise DeeplockError(f"the accelerator hangs, {what}: STATUS 0x{status:04x}")
        return status
