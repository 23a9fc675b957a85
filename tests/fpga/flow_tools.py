"""A small design of known cost for the tests of the synthesis flow."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fpga.designs import Design

__all__ = ["COUNTER_BITS", "TINY", "Tiny"]

COUNTER_BITS = 4


class Counter(wiring.Component):
    def __init__(self):
        super().__init__({"count": Out(COUNTER_BITS)})

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


TINY = Design("tiny", {"component": "tiny"}, Tiny, by_module=True)
