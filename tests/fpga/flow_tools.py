"""Small designs for the tests of the synthesis flow: a component of known cost, and what is on a board."""

from functools import partial

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from deeplock.fpga.flow.designs import Design
from deeplock.fpga.flow.sources import harness_source
from deeplock.fpga.gateware.flash import SpiPins
from deeplock.fpga.gateware.sdram import SdramPins

__all__ = ["COPIES", "COUNTER_BITS", "SYSTEM_COUNTER_BITS", "TINY", "TWINS", "TinySystem"]

TWINS = {"ulx3s-85f", "icesugarpro", "orangecrab"}
"""Boards that have another one's pins, or its device in another size or package: slow tests have them."""

COUNTER_BITS = 4
SYSTEM_COUNTER_BITS = 64


class Counter(wiring.Component):
    def __init__(self, bits: int = COUNTER_BITS):
        super().__init__({"count": Out(bits)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.sync += self.count.eq(self.count + 1)
        return m


class Multiplier(wiring.Component):
    def __init__(self):
        super().__init__({"a": In(signed(8)), "b": In(signed(8)), "product": Out(signed(16))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.sync += self.product.eq(self.a * self.b)
        return m


class Store(wiring.Component):
    """One block RAM, and nothing but that if a read may collide with a write."""

    def __init__(self):
        super().__init__({"read": In(8), "write": In(8), "data": In(8), "en": In(1), "word": Out(8)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.words = words = Memory(shape=8, depth=256, init=[])
        read, write = words.read_port(), words.write_port()
        m.d.comb += [read.addr.eq(self.read), self.word.eq(read.data)]
        m.d.comb += [write.addr.eq(self.write), write.data.eq(self.data), write.en.eq(self.en)]
        return m


class Tiny(wiring.Component):
    """A 4-bit counter, two 8x8 multipliers in a module of their own, a memory of 256 bytes, and an 8-bit register."""

    def __init__(self):
        super().__init__(
            {
                "operands": In(32),
                "products": Out(32),
                "read": In(8),
                "write": In(8),
                "data": In(8),
                "en": In(1),
                "word": Out(8),
                "count": Out(COUNTER_BITS),
                "last": Out(8),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.counter = counter = Counter()
        m.submodules.store = store = Store()
        m.submodules.array = array = Module()
        products = []
        for index in range(2):
            array.submodules[f"pe_0_{index}"] = multiplier = Multiplier()
            m.d.comb += Cat(multiplier.a, multiplier.b).eq(self.operands.word_select(index, 16))
            products.append(multiplier.product)
        m.d.comb += [self.products.eq(Cat(products)), self.count.eq(counter.count), self.word.eq(store.word)]
        m.d.comb += [
            store.read.eq(self.read),
            store.write.eq(self.write),
            store.data.eq(self.data),
            store.en.eq(self.en),
        ]
        last = Signal(8)
        with m.If(self.en):
            m.d.sync += last.eq(self.data)
        m.d.comb += self.last.eq(last)
        return m


TINY = Design("tiny", {"component": "tiny"}, partial(harness_source, Tiny, True))


class Copies(wiring.Component):
    """A bit in two registers that may be merged, and in two that are kept."""

    def __init__(self):
        super().__init__({"bit": In(1), "merged": Out(2), "kept": Out(2)})

    def elaborate(self, platform) -> Module:
        m = Module()
        for index in range(2):
            merged = Signal(name=f"merged_{index}")
            kept = Signal(name=f"kept_{index}", reset_less=True, attrs={"keep": 1})
            m.d.sync += [merged.eq(self.bit), kept.eq(self.bit)]
            m.d.comb += [self.merged[index].eq(merged), self.kept[index].eq(kept)]
        return m


COPIES = Design("copies", {"component": "copies"}, partial(harness_source, Copies, True))


class TinySystem(wiring.Component):
    """In place of `System`, with arguments and pins as there: a counter whose carry chain is too long for 96 MHz on UP5K."""

    def __init__(self, *arguments):
        self._sdram = arguments[-1]
        pins = {"rx": In(1), "tx": Out(1), "spi": Out(SpiPins())}
        super().__init__(pins | ({"sdram": Out(SdramPins())} if self._sdram else {}))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.core = core = Module()
        core.submodules.lock = lock = Module()
        lock.submodules.counter_0 = counter = Counter(SYSTEM_COUNTER_BITS)
        bits, spi = counter.count, self.spi
        heard = Signal()
        m.d.sync += heard.eq(Cat(self.rx, spi.i).xor())
        m.d.comb += [
            self.tx.eq(bits[-1] ^ heard),
            spi.o.eq(bits),
            spi.oe.eq(bits[4:]),
            Cat(spi.cs, spi.sck).eq(bits[8:]),
        ]
        if self._sdram:
            sdram, answer = self.sdram, Signal()
            m.d.sync += answer.eq(sdram.i.xor())
            m.d.comb += [
                self.tx.eq(bits[-1] ^ heard ^ answer),
                Cat(sdram.command, sdram.bank, sdram.a, sdram.o, sdram.oe).eq(bits),
            ]
        return m
