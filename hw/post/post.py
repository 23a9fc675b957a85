"""Post-processing: requantises the accumulators that leave the array, looks them up, max-pools and addresses the results."""

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect
from amaranth.utils import ceil_log2

from deeplock.hw.array.accumulator import totals_layout
from deeplock.hw.basics.bundles import Layer
from deeplock.hw.basics.layouts import entry_layout, post_fields
from deeplock.hw.families import blocks_of
from deeplock.hw.families.placement import IN_BLOCKS, SPAN, kept_if_large
from deeplock.hw.post.look_up import LookUp, TableWrite
from deeplock.hw.post.requantise import Requantiser, steps_of
from deeplock.pymodel.spec.config import Config

__all__ = ["EntryWrite", "PostProcessor", "result_layout"]


def EntryWrite(config: Config) -> wiring.Signature:
    """Writes requantise entries of a column group. `biases` selects the lanes whose bias is written, `scales` those whose
    multiplier and shift are. `address`: chunk, and bank in the highest bit. `done`: pulse, a group's entries are free. With
    `config.products`, `multiplies`: the entries that are written are of a layer that multiplies."""
    return wiring.Signature(
        {
            "biases": Out(config.lanes),
            "scales": Out(config.lanes),
            "address": Out(range(2 * config.cols // config.lanes)),
            "entries": Out(data.ArrayLayout(entry_layout(config.sum_bits), config.lanes)),
            "done": In(1),
        }
        | ({"multiplies": Out(1)} if config.products else {})
    )


def result_layout(config: Config) -> data.StructLayout:
    """One chunk of results: `data`; `address` of its first byte in the activation memory; `keep` marks the valid bytes, `last`
    the layer's last chunk."""
    return data.StructLayout(
        {
            "data": data.ArrayLayout(signed(8), config.lanes),
            "address": range(config.activation_words * config.rows),
            "keep": config.lanes,
            "last": 1,
        }
    )


class PostProcessor(wiring.Component):
    """Requantises and max-pools the totals of one pixel, a chunk of `lanes` channels at a time. With `config.tables`, what a
    layer requantises may be looked up before it is pooled. With `config.products`, totals may stand for two factors each.

    Pooling keeps the running maximum of a window, whose pixels come one after another. Column groups use two banks of entries
    in turn: the next group's entries arrive while this group's are in use.

    Throughput: one chunk a step of `multiplier_cycles` cycles, so cols / lanes * multiplier_cycles cycles a pixel; pixels must
    not come closer. Latency: `latency` cycles from a window's last pixel to its first result, plus up to
    multiplier_cycles - 1, because steps begin at multiples of multiplier_cycles after reset.

    Members:
        entries   written by the weight loader, with `config.pipeline_registers` one cycle later; a group's first pixel must
                  not come in the cycle after its last entry
        table     with `config.tables`: written by the weight loader before the layer's entries
        layer     `start` in the first cycle of its fields
        totals    finished accumulators of one pixel
        results   chunk by chunk
        retired   pulse: a pixel has left
    """

    def __init__(self, config: Config):
        self._config = config
        self._chunks = config.cols // config.lanes
        self._steps = steps_of(config.multiplier_cycles, config.products)
        self._look_up = LookUp(config) if config.tables else None
        self.latency = 2 + config.multiplier_cycles * self._steps + (self._look_up.latency if self._look_up else 0)
        self.longest = self.latency + self._chunks * config.multiplier_cycles - 1
        """Most cycles from a window's last pixel to its last result."""
        super().__init__(
            {
                "entries": In(EntryWrite(config)),
                "layer": In(Layer(post_fields(config))),
                "totals": In(stream.Signature(totals_layout(config), always_ready=True)),
                "results": Out(stream.Signature(result_layout(config), always_ready=True)),
                "retired": Out(1),
            }
            | ({"table": In(TableWrite())} if config.tables else {})
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, chunks = self._config, self._chunks
        cols, lanes, cycles = config.cols, config.lanes, config.multiplier_cycles

        advance = Signal()  # a step ends
        cycle = Signal(range(cycles))
        m.d.sync += cycle.eq(cycle + 1)
        m.d.comb += advance.eq(cycle == cycles - 1)

        # one pixel's totals move past the lanes, a chunk a step
        hold = Signal(data.ArrayLayout(signed(config.sum_bits), cols), reset_less=True)
        tag = Signal.like(self.totals.payload.tag, reset_less=True)
        busy = Signal()
        chunk = Signal(range(chunks))
        bank = Signal()
        next_tag, next_busy = Signal.like(tag), Signal()
        take, ends = Signal(), Signal()
        m.d.comb += [take.eq(busy & advance), ends.eq(take & (chunk == chunks - 1))]
        comes = self.totals.valid
        m.d.comb += [next_tag.eq(Mux(comes, self.totals.payload.tag, tag)), next_busy.eq(comes | (busy & ~ends))]
        m.d.sync += [tag.eq(next_tag), busy.eq(next_busy)]

        # A chunk's entry is read in the cycle before the lanes take it. The bank in use is not written, and an entry that was
        # read before it was written is read again. Each lane has its own address register.
        next_chunk, next_bank = Signal.like(chunk), Signal()
        m.d.comb += [next_chunk.eq(chunk + take), next_bank.eq(bank ^ (ends & tag.pixel_last))]
        m.d.sync += [chunk.eq(next_chunk), bank.eq(next_bank)]
        # in the last chunk, and while not `busy`, it takes the next pixel's totals; without a next pixel nothing uses them
        for first in range(0, cols, SPAN):
            span, totals = range(first, min(first + SPAN, cols)), self.totals.payload.columns
            with m.If(~busy | advance):
                m.d.sync += [hold[col].eq(totals[col]) for col in span]
            if first < cols - lanes:
                moves = Signal(name=f"moves_{first}", attrs=kept_if_large(config), reset_less=True)
                m.d.sync += moves.eq(next_busy & (next_chunk != chunks - 1))
                with m.If(moves & advance):
                    m.d.sync += [hold[col].eq(hold[col + lanes]) for col in span if col < cols - lanes]
        will_take = next_busy & (cycle == (cycles - 2) % cycles)
        will_end = will_take & (next_chunk == chunks - 1) & next_tag.pixel_last
        next_address = Cat((next_chunk + will_take)[: len(chunk)], next_bank ^ will_end)
        entry = entry_layout(config.sum_bits)
        in_blocks = blocks_of(platform).multiply_for(config)
        # registered twice, because the lanes may be far away; it still arrives before the layer's first word
        is_narrow = Signal(reset_less=True)
        m.d.sync += is_narrow.eq(self.layer.fields.narrow)
        multiplies = self._of_entries(m, self.entries.multiplies, take, bank) if config.products else None
        requantisers = [Requantiser(cycles, config.sum_bits, in_blocks, config.products) for _ in range(lanes)]
        for lane, requantiser in enumerate(requantisers):
            m.submodules[f"entries_{lane}"] = store = memory.Memory(
                shape=entry.size, depth=2 * chunks, init=[], attrs=IN_BLOCKS
            )
            write, read = store.write_port(granularity=config.sum_bits), store.read_port()
            m.submodules[f"lane_{lane}"] = requantiser
            narrow = Signal(name=f"narrow_{lane}", attrs=kept_if_large(config), reset_less=True)
            address = Signal(len(next_address), name=f"address_{lane}", attrs=kept_if_large(config), reset_less=True)
            m.d.sync += [narrow.eq(is_narrow), address.eq(next_address)]
            for port, value in (
                (write.addr, self.entries.address),
                (write.data, self.entries.entries[lane].as_value()),
                (write.en, Cat(self.entries.biases[lane], self.entries.scales[lane])),
            ):
                if config.pipeline_registers:  # the lanes may be far away from the loader
                    written = Signal.like(
                        port, name=f"written_{lane}", attrs=kept_if_large(config), reset_less=port is not write.en
                    )
                    m.d.comb += port.eq(written)
                    m.d.sync += written.eq(value)
                else:
                    m.d.comb += port.eq(value)
            m.d.comb += [
                read.addr.eq(address),
                requantiser.advance.eq(advance),
                requantiser.accumulator.eq(hold[lane]),
                requantiser.entry.eq(read.data),
                requantiser.narrow.eq(narrow),
                requantiser.zero_point.eq(self.layer.fields.zero_point),
                requantiser.lo.eq(self.layer.fields.lo),
                requantiser.hi.eq(self.layer.fields.hi),
            ]
            if multiplies is not None:
                zeros = Cat(self.layer.fields.zero_a, self.layer.fields.zero_b)
                m.d.comb += [requantiser.multiplies.eq(multiplies), requantiser.zeros.eq(zeros)]

        done, inside = tag, busy  # beside the lanes
        for step in range(self._steps):
            later, still = Signal.like(tag, name=f"tag_{step}"), Signal(name=f"busy_{step}")
            with m.If(advance):
                m.d.sync += [later.eq(done), still.eq(inside)]
            done, inside = later, still
        valid = Signal()
        m.d.comb += valid.eq(advance & inside)
        values: list[Value] = [requantiser.out for requantiser in requantisers]
        if self._look_up:
            values, valid, done = self._mapped(m, self._look_up, take, bank, values, valid, done)
        self._pool_and_write(m, values, valid, done)
        return m

    def _of_entries(self, m: Module, written: Value, take: Signal, entry_bank: Signal) -> Signal:
        """What `written` is of the layer whose values are inside. It comes with the entries of a layer; the lanes `take` values
        with those of `entry_bank`."""
        banks, inside = Signal(2), Signal()
        with m.If(self.entries.scales.any()):
            m.d.sync += banks.bit_select(self.entries.address[-1], 1).eq(written)
        with m.If(take):
            m.d.sync += inside.eq(banks.bit_select(entry_bank, 1))
        return inside

    def _mapped(
        self, m: Module, look_up: LookUp, take: Signal, entry_bank: Signal, values: list[Value], valid: Signal, tag
    ) -> tuple[list[Value], Signal, Signal]:
        """What the chunk that the lanes deliver with `valid` becomes, `look_up.latency` cycles later, and its tag. `take`: the
        lanes take one, with entries of `entry_bank`."""
        m.submodules.look_up = look_up
        connect(m, wiring.flipped(self.table), look_up.write)
        mapped, bank = self._of_entries(m, self.table.used, take, entry_bank), Signal()
        with m.If(self.layer.done & mapped):
            m.d.sync += bank.eq(~bank)
        m.d.comb += [look_up.mapped.eq(mapped), look_up.bank.eq(bank)]
        m.d.comb += [look_up.values[lane].eq(value) for lane, value in enumerate(values)]
        for step in range(look_up.latency):
            later, still = Signal.like(tag, name=f"mapped_tag_{step}"), Signal(name=f"mapped_{step}")
            m.d.sync += [later.eq(tag), still.eq(valid)]
            tag, valid = later, still
        return [look_up.out[lane] for lane in range(len(values))], valid, tag

    def _pool_and_write(self, m: Module, values: list[Value], valid: Signal, tag) -> None:
        """Pool and address the chunk of `values` that comes with `valid`, of the pixel with `tag`."""
        config, chunks = self._config, self._chunks
        cols, lanes = config.cols, config.lanes

        result = Signal.like(self.results.payload, reset_less=True)
        # maxima of the last `chunks` chunks, newest first, from which those of the next pixel go on
        maxima = Signal(data.ArrayLayout(data.ArrayLayout(signed(8), lanes), chunks), reset_less=True)
        inside = Signal()  # not the first pixel of its window
        for lane, value in enumerate(values):
            before = maxima[chunks - 1][lane]
            largest = Signal(signed(8), name=f"largest_{lane}")
            m.d.comb += largest.eq(Mux(inside & (before > value), before, value))
            with m.If(valid):
                m.d.sync += [result.data[lane].eq(largest), maxima[0][lane].eq(Mux(tag.slides, value, largest))]
        with m.If(valid):
            m.d.sync += [later.eq(earlier) for earlier, later in pairwise(maxima)]

        position = Signal(range(chunks), init=chunks - 1)  # of the chunk in `results`
        chunk = Signal.like(position)
        ends = valid & (chunk == chunks - 1)
        leaves = ends & tag.pixel_last
        emitted = Signal(reset_less=True)
        m.d.comb += chunk.eq(position + 1)
        with m.If(valid):
            m.d.sync += [position.eq(chunk), emitted.eq(tag.emits)]
        with m.If(ends):
            m.d.sync += inside.eq(~tag.pixel_last & (~tag.emits | tag.slides))

        # addresses move on one cycle later, when the results have used them
        low = 0 if config.dense else ceil_log2(config.rows)  # pixels begin words: these bits of the addresses are zero
        fields = self.layer.fields
        pixel = Signal(len(result.address) - low, reset_less=True)
        group = Signal(8)  # there are less than 256
        group_bytes = group << ceil_log2(cols)
        restart = self.layer.start | self.entries.done
        with m.If(leaves):  # counts from the layer's destination on
            m.d.sync += group.eq(Mux(tag.final, 0, group + 1))
        with m.If(restart | (self.retired & emitted)):
            base = Mux(restart, fields.destination[low:], pixel)
            m.d.sync += pixel.eq(base + Mux(restart, group_bytes[low:], fields.pixel_bytes[low:]))

        first_column = chunk * lanes
        last_columns = self.layer.fields.last_columns[: cols.bit_length()]
        keep = Cat(~tag.final | (first_column + lane < last_columns) for lane in range(lanes))
        chunk_bytes = position << ceil_log2(lanes)
        m.d.comb += [
            self.results.payload.eq(result),
            self.results.payload.address.eq(Cat(chunk_bytes[:low], pixel + chunk_bytes[low:])),
        ]
        m.d.sync += [
            self.results.valid.eq(valid & tag.emits & keep.any()),
            result.keep.eq(keep),
            result.last.eq(tag.final & tag.pixel_last & (first_column + lanes >= last_columns)),
            self.entries.done.eq(leaves),
            self.layer.done.eq(leaves & tag.final),
            self.retired.eq(ends),
        ]
