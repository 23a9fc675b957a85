"""Keys of a device that takes licences, in block RAM: its own, and the model key of the licence that it has taken."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.families.placement import IN_BLOCKS
from deeplock.pymodel.lock.ciphers.sizes import KEY_BYTES
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.provisioning import MARK, PLACES, Place, key_rows

__all__ = ["KeyMemory", "KeyWrites"]

_WORDS = KEY_BYTES // 4


class KeyWrites(wiring.Signature):
    """The device's key on its way from the register file to the key memory.

    Members:
        write        pulse: word `index` of the key, bytes 4 * index on, is `data`
        erase        pulse: no word of it may stay; not in a cycle with `write`
        provisioned  pulse, soon after a reset: the key that came with the bitstream is in place
    """

    def __init__(self):
        super().__init__(
            {
                "write": Out(1),
                "index": Out(range(_WORDS)),
                "data": Out(32),
                "erase": Out(1),
                "provisioned": In(1),
            }
        )


class KeyMemory(wiring.Component):
    """Holds both keys in one block RAM as wide as a key, and shows one of them.

    In flip-flops they would take 256, and a multiplexer as wide as a key. The bitstream says what is in the memory at power-up:
    nothing, or the device's key and a mark (pymodel.spec.provisioning). A reset erases the model key, and the device's key
    unless it has the mark. Whatever else erases the device's key erases the mark too.

    Latency: `key` follows `of_device` by 1 cycle; with `config.pipeline_registers` by 2, and a beat of the model key is
    written a cycle later. What is to be erased is in no word of the memory 4 cycles later, if none is written meanwhile, and
    shows no more after 2 cycles more. `provisioned` comes in the second cycle after a reset. Throughput: a write a cycle.

    Members:
        device     from the register file
        model      pulse: `beat` is the next one of a model key
        begins     the next one is its first
        forget     the model key goes, and none comes while this is high
        of_device  `key` is the device's, else the model key
        key        byte 0 in bits 7..0
    """

    def __init__(self, config: Config):
        self._size, self._registered = config.bytes_per_beat, config.pipeline_registers
        rows = data.ArrayLayout(32, _WORDS)
        self.rows = memory.MemoryData(shape=rows, depth=PLACES, init=[_words(row) for row in key_rows(None)])
        super().__init__(
            {
                "device": In(KeyWrites()),
                "model": In(1),
                "beat": In(8 * self._size),
                "begins": In(1),
                "forget": In(1),
                "of_device": In(1),
                "key": Out(8 * KEY_BYTES),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        device, per_beat = self.device, self._size // 4
        m.submodules.memory = store = memory.Memory(self.rows, attrs=IN_BLOCKS)
        read, write = store.read_port(), store.write_port(granularity=1)

        # the first cycle after a reset looks for the mark
        asks, asked, marked = Signal(init=1), Signal(), Signal()
        m.d.sync += [asks.eq(0), asked.eq(asks)]
        m.d.comb += [
            read.addr.eq(Mux(asks, Place.MARK, Mux(self.of_device, Place.DEVICE, Place.MODEL))),
            marked.eq(read.data[0][:8] == MARK[0]),
            device.provisioned.eq(asked & marked),
        ]
        domain = m.d.sync if self._registered else m.d.comb  # a block RAM is slow, and the beat comes out of a cipher
        comes, beat = Signal(), Signal.like(self.beat)
        domain += [
            self.key.eq(read.data),
            comes.eq(self.model & ~self.forget),
            beat.eq(_if(self.model & ~self.forget, self.beat)),  # other beats leave nothing here
        ]

        number = Signal(range(max(2, _WORDS // per_beat)))  # of the model key's next beat
        takes = comes & ~self.forget
        m.d.sync += number.eq(Mux(self.begins, 0, number + comes))

        # to be erased, in this order, when nothing else is written
        waits = {Place.DEVICE: Signal(), Place.MARK: Signal(), Place.MODEL: Signal(init=1)}
        with m.If(device.write):
            m.d.comb += [write.addr.eq(Place.DEVICE), write.en.eq(1 << device.index)]
        with m.Elif(takes):
            m.d.comb += [write.addr.eq(Place.MODEL), write.en.eq(((1 << per_beat) - 1) << number * per_beat)]
        for place, waiting in waits.items():
            with m.Elif(waiting):
                m.d.comb += [write.addr.eq(place), write.en.eq(-1)]
                m.d.sync += waiting.eq(0)
        with m.If(device.erase | (asked & ~marked)):
            m.d.sync += [waits[Place.DEVICE].eq(1), waits[Place.MARK].eq(1)]
        with m.If(self.forget):
            m.d.sync += waits[Place.MODEL].eq(1)

        for word in range(_WORDS):
            of_beat = beat.word_select(word % per_beat, 32)
            m.d.comb += write.data[word].eq(_if(device.write, device.data) | _if(takes & ~device.write, of_beat))
        return m


def _words(row: bytes) -> list[int]:
    return [int.from_bytes(row[at : at + 4], "little") for at in range(0, KEY_BYTES, 4)]


def _if(condition: Value, value: Value) -> Value:
    return value & condition.replicate(len(value))
