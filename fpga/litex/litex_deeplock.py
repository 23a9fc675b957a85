"""The accelerator that `deeplock verilog` writes, in a LiteX SoC: `add_deeplock(soc, "build/deeplock/deeplock.v")`.

Registers are on the SoC's bus by AXI4-Lite. DMAs read loadables and ifmaps from memory, and write ofmaps to it. The interrupt
goes through an event manager. See README.md; software: deeplock_litex.h.
"""

import re
from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.cores.dma import WishboneDMAReader
from litex.soc.integration.soc import SoCRegion
from litex.soc.interconnect import axi, stream, wishbone
from litex.soc.interconnect.csr import CSRStatus, CSRStorage
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import FSM, Case, ClockSignal, If, Instance, NextState, NextValue, ResetInserter, ResetSignal, Signal

__all__ = ["Deeplock", "PacketReader", "PacketWriter", "add_deeplock"]

_WORD = 32
"""Bits of the buses to memory."""


class PacketReader(LiteXModule):
    """Reads packets from memory into a stream, `last` with the last beat of each: a read of the bus at a time.

    bits   of a beat: a multiple of 32

    CSRs: writing `length` (bytes, whole beats) queues the packet at byte address `base`, a multiple of 4. One packet may wait
    behind the one that is being read. Writing `drop` takes back all that the receiver has not begun to take; it gets the rest
    of what it has begun. A length is rounded up to words, and 0 to one: no write makes it read on and on.
    """

    def __init__(self, bits: int) -> None:
        if bits % _WORD:
            raise ValueError(f"a beat must be a multiple of {_WORD} bits, not {bits}: choose another array for LiteX")
        self.bus = wishbone.Interface(data_width=_WORD, address_width=32, addressing="word")
        self.source = source = stream.Endpoint([("data", bits)])
        self._base = CSRStorage(32, description="Byte address of the next packet.")
        self._length = CSRStorage(32, description="Its bytes; writing them queues it.")
        self._drop = CSRStorage(1, description="Take back what the accelerator has not begun to take.")

        # # #

        self.queue = queue = ResetInserter()(stream.SyncFIFO([("base", 32), ("length", 32)], 1))
        self.reader = reader = WishboneDMAReader(self.bus, endianness="big")  # byte 0 stays in bits 7..0
        self.converter = converter = stream.Converter(_WORD, bits)
        address, left = Signal(32), Signal(32)
        begun, discard = Signal(), Signal()
        beat = Signal()
        self.comb += [
            queue.reset.eq(self._drop.re),
            queue.sink.valid.eq(self._length.re),
            queue.sink.base.eq(self._base.storage),
            queue.sink.length.eq(self._length.storage),
            reader.sink.address.eq(address[2:]),
            reader.sink.last.eq(left <= _WORD // 8),
            reader.source.connect(converter.sink),
            source.data.eq(converter.source.data),
            source.last.eq(converter.source.last),
            source.valid.eq(converter.source.valid & ~discard),
            converter.source.ready.eq(source.ready | discard),
            beat.eq(converter.source.valid & converter.source.ready),
        ]
        # nothing of a packet is read before the one in front has left, so that it can be taken back
        self.fsm = fsm = FSM(reset_state="IDLE")
        fsm.act(
            "IDLE",
            queue.source.ready.eq(1),
            NextValue(address, queue.source.base),
            NextValue(left, queue.source.length),
            If(queue.source.valid & ~self._drop.re, NextState("READ")),
        )
        fsm.act(
            "READ",
            reader.sink.valid.eq(1),
            If(
                reader.sink.ready,
                NextValue(address, address + _WORD // 8),
                NextValue(left, left - _WORD // 8),
                If(reader.sink.last, NextState("LEAVE")),
            ),
        )
        fsm.act("LEAVE", If(beat & converter.source.last, NextState("IDLE")))
        self.sync += [
            If(beat, begun.eq(1)),
            If(self._drop.re & ~fsm.ongoing("IDLE") & ~begun & ~beat, discard.eq(1)),
            If(beat & converter.source.last, begun.eq(0), discard.eq(0)),
        ]


class PacketWriter(LiteXModule):
    """Writes a packet of a stream to memory, those bytes of its beats that `keep` marks, one behind the other.

    lanes   bytes of a beat

    CSRs: writing `length` makes it take the next packet, to byte address `base`; what is longer is cut off. `done` then is 0
    until the packet's last byte is in memory. Without that, and after `drop`, it throws packets away. Four bytes take 4 cycles
    and a write of the bus.
    """

    def __init__(self, lanes: int) -> None:
        self.bus = bus = wishbone.Interface(data_width=_WORD, address_width=32, addressing="word")
        self.sink = stream.Endpoint([("data", 8 * lanes), ("keep", lanes)])
        self._base = CSRStorage(32, description="Byte address of the packet.")
        self._length = CSRStorage(32, description="Its bytes at most; writing them takes the next packet.")
        self._drop = CSRStorage(1, description="Throw the packet away.")
        self._done = CSRStatus(1, description="The packet is in memory.")

        # # #

        self.converter = converter = stream.StrideConverter(
            [("data", 8 * lanes), ("keep", lanes)], [("data", 8), ("keep", 1)]
        )
        byte = converter.source
        address, end, word = Signal(32), Signal(32), Signal(30)
        armed, writing, come, take = Signal(), Signal(), Signal(), Signal()
        bytes_of_word = {at: [bus.dat_w[8 * at : 8 * at + 8].eq(byte.data), bus.sel[at].eq(1)] for at in range(4)}
        self.comb += [
            self.sink.connect(converter.sink),
            byte.ready.eq(~writing),
            come.eq(byte.valid & byte.ready & armed),
            take.eq(come & byte.keep & (address != end)),
            bus.adr.eq(word),
            bus.we.eq(1),
            bus.stb.eq(writing),
            bus.cyc.eq(writing),
            self._done.status.eq(~armed & ~writing),
        ]
        self.sync += [
            If(take, Case(address[:2], bytes_of_word), word.eq(address[2:]), address.eq(address + 1)),
            If(come & byte.last, armed.eq(0)),
            If((take & ((address[:2] == 3) | byte.last)) | (come & byte.last & (bus.sel != 0)), writing.eq(1)),
            If(writing & bus.ack, writing.eq(0), bus.sel.eq(0)),
            If(self._drop.re, armed.eq(0), If(~writing, bus.sel.eq(0))),
            If(
                self._length.re,
                armed.eq(1),
                bus.sel.eq(0),  # which a reset leaves as it is
                address.eq(self._base.storage),
                end.eq(self._base.storage + self._length.storage),
            ),
        ]


def _ports(verilog: Path) -> tuple[str, dict[str, int]]:
    """Name of the first module of a file, and the bits of its ports."""
    text = verilog.read_text()
    found = re.search(r"^module (\w+) \(\n(.*?)^\);", text, re.MULTILINE | re.DOTALL)
    ports = re.findall(
        r"^ *(?:input|output) +wire +(?:\[(\d+):0\])? *(\w+),?$", found[2] if found else "", re.MULTILINE
    )
    widths = {name: int(high or 0) + 1 for high, name in ports}
    if found is None or "s_axis_loadable_tdata" not in widths:
        raise ValueError(f"{verilog}: must be a file that `deeplock verilog` wrote")
    return found[1], widths


class Deeplock(LiteXModule):
    """The accelerator of a file that `deeplock verilog` wrote, with a DMA for each of its streams.

    registers                AXI4-Lite, 4 KiB: docs/registers.md
    loadable, ifmap, ofmap   the DMAs, each with a Wishbone bus to memory
    ev.raised                the accelerator's `irq`, a level
    """

    def __init__(self, platform, verilog: str | Path) -> None:
        verilog = Path(verilog).resolve()
        module, bits = _ports(verilog)
        self.registers = axil = axi.AXILiteInterface(data_width=32, address_width=32)
        self.loadable = PacketReader(bits["s_axis_loadable_tdata"])
        self.ifmap = PacketReader(bits["s_axis_ifmap_tdata"])
        self.ofmap = PacketWriter(bits["m_axis_ofmap_tkeep"])
        self.ev = EventManager()
        self.ev.raised = EventSourceLevel(description="What register INTERRUPT of the accelerator asks for.")
        self.ev.finalize()

        # # #

        ports = {"i_aclk": ClockSignal("sys"), "i_aresetn": ~ResetSignal("sys"), "o_irq": self.ev.raised.trigger}
        for channel in ("aw", "w", "b", "ar", "r"):
            endpoint, to_core = getattr(axil, channel), channel in ("aw", "w", "ar")
            for name in ("valid", *(name for name, _ in endpoint.description.payload_layout)):
                port = f"s_axil_{channel}{name}"
                ports[f"{'io'[not to_core]}_{port}"] = getattr(endpoint, name)[: bits[port]]
            ports[f"{'io'[to_core]}_s_axil_{channel}ready"] = endpoint.ready
        for port, endpoint in (("s_axis_loadable", self.loadable.source), ("s_axis_ifmap", self.ifmap.source)):
            ports |= {f"i_{port}_tdata": endpoint.data, f"i_{port}_tlast": endpoint.last}
            ports |= {f"i_{port}_tvalid": endpoint.valid, f"o_{port}_tready": endpoint.ready}
        sink = self.ofmap.sink
        ports |= {
            "o_m_axis_ofmap_tdata": sink.data,
            "o_m_axis_ofmap_tkeep": sink.keep,
            "o_m_axis_ofmap_tlast": sink.last,
        }
        ports |= {"o_m_axis_ofmap_tvalid": sink.valid, "i_m_axis_ofmap_tready": sink.ready}
        self.specials += Instance(module, **ports)
        platform.add_source(str(verilog))


def add_deeplock(soc, verilog: str | Path, name: str = "deeplock", origin: int | None = None) -> Deeplock:
    """Add the accelerator to a SoC: its registers and its DMAs to the bus, its interrupt to the CPU.

    verilog   deeplock.v of the folder that `deeplock verilog` wrote
    name      of the region of the registers, of the CSRs and of the interrupt. deeplock_litex.c expects `deeplock`
    origin    address of the registers; None: LiteX chooses

    The memory that the DMAs use must be on the SoC's bus.
    """
    core = Deeplock(soc.platform, verilog)
    soc.add_module(name=name, module=core)
    soc.bus.add_slave(name, core.registers, SoCRegion(origin=origin, size=0x1000, cached=False))
    to_memory = getattr(soc, "dma_bus", soc.bus)  # a CPU that has one sees what DMAs write
    for stream_name in ("loadable", "ifmap", "ofmap"):
        to_memory.add_master(f"{name}_{stream_name}", getattr(core, stream_name).bus)
    if soc.irq.enabled:
        soc.irq.add(name, use_loc_if_exists=True)
    return core
