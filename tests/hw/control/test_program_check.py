"""The program check against the rules of the golden device, and the time that it takes."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.bench.fuzz_jobs import spoiled
from deeplock.hw.control.program_check import ProgramCheck, factors_of, steps_of
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor, Opcode
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.record import WORDS
from deeplock.pymodel.spec.registers import Error
from deeplock.pymodel.spec.rules import broken_header, broken_program, descriptor_rules, header_rules, ofmap_beats
from tests.hw.layer_tools import descriptor
from tests.hw.loadable_tools import header_of
from tests.hw.stream_tools import simulate

LARGE = Config(activation_words=256, accumulators=32, program_words=128, ifmap_bytes=128)
SEALED = replace(LARGE.with_suite("acorn"), ofmap_bytes=256)
SEALED_BEATS = 16  # half of the buffer, which cannot be smaller
WIDE = replace(LARGE, rows=4, cols=16, bytes_per_beat=4, lanes=4, tables=True, products=True)
SMALL = Config(
    rows=4,
    cols=4,
    bytes_per_beat=4,
    lanes=1,
    activation_words=64,
    sum_bits=24,
    single_port=True,
    dense=False,
    padding=False,
    folding=False,
    diagonal=False,
    pipeline_registers=False,
)


def program_of(dice: Random, config: Config, count: int) -> list[Descriptor]:
    """Descriptors that no rule forbids, but perhaps the one on a sealed ofmap."""
    layers, streams = [], dice.randint(1, count)
    for number in range(count):
        kind = dice.choice(("streamed", "folded", "diagonal", "depthwise", "alike", "sliding"))
        kernel_h, kernel_w, cblocks = dice.randint(1, 5), dice.randint(1, 5), dice.randint(1, 4)
        fold = dice.randint(0, 2) if kind == "folded" and config.folding else 0
        diagonal = int(kind in ("diagonal", "depthwise", "alike", "sliding") and config.diagonal)
        if diagonal:
            cblocks = config.cols // config.rows
        sliding = dice.randint(1, 2) if kind == "sliding" and config.diagonal else 0
        window = (1, 1) if sliding else (dice.randint(1, 2), dice.randint(1, 2))
        alike = diagonal & (kind == "alike")
        layers.append(
            descriptor(
                kernel_h=kernel_h,
                kernel_w=kernel_w,
                cblocks=cblocks,
                kblocks=1 if alike else kernel_h * kernel_w * cblocks,
                fold=fold,
                diagonal=diagonal,
                alike=alike,
                streamed=diagonal & (kind == "depthwise"),
                opcode=dice.choice(
                    [Opcode.LAYER] + [Opcode.TABLE] * config.tables + [Opcode.PRODUCT] * config.products
                ),
                groups=dice.randint(1, 3),
                rows_last=config.rows if kind == "depthwise" else dice.randint(1, config.rows),
                last_columns=dice.randint(1, config.cols >> fold),
                sliding=sliding,
                pool_w=window[0],
                pool_h=window[1],
                out_w=1 + sliding * dice.randint(1, 2) if sliding else dice.randint(1, 2),
                out_h=dice.randint(1, 4),
                narrow=1,
                wait_input=1,
                release_input=1,
                to_stream=int(number >= count - streams),
            )
        )
    return layers


def expected(header: Header, program: list[Descriptor], config: Config) -> Error:
    return broken_header(header, config)[0] or broken_program(header, program, config)[0]


async def check(ctx, dut: ProgramCheck, header: Header, program: list[Descriptor], pauses: float, dice: Random) -> int:
    """Pass a head through the check; returns the cycles that words were offered."""
    ctx.set(dut.begin, 1)
    await ctx.tick()
    ctx.set(dut.begin, 0)
    cycles, seals = 0, suite(dut.config.suite).seals
    for index, record in enumerate((header, *program)):
        for number, word in enumerate(np.frombuffer(record.pack(), "<u4").tolist()):
            while dice.random() < pauses:
                await ctx.tick()
            factors = len(factors_of(type(record), number, seals))
            payload = {"data": word, "number": number, "of_header": int(index == 0), "factors": factors}
            ctx.set(dut.words.payload, payload)
            ctx.set(dut.words.valid, 1)
            taken = False
            while not taken:
                taken = ctx.get(dut.words.ready)
                await ctx.tick()
                cycles += 1
            ctx.set(dut.words.valid, 0)
            if index == 0:  # the stored header, which the loadable port holds
                ctx.set(dut.header.as_value()[32 * number : 32 * number + 32], word)
    while ctx.get(dut.settling):
        await ctx.tick()
    return cycles


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@pytest.mark.parametrize(
    "config",
    [LARGE, WIDE, SMALL, SEALED],
    ids=["8x8", "4x16 with tables and products", "4x4 without features", "sealed"],
)
def test_what_the_golden_rules_refuse_is_refused_with_the_same_error(config, pauses, dice):
    """Random programs, most of them spoiled in a field or two, one after the other. A word a cycle, but for products."""
    dut, refused, count = ProgramCheck(config), 0, 100

    async def testbench(ctx):
        nonlocal refused
        for _ in range(count):
            program = program_of(dice, config, dice.randint(1, 4))
            header = header_of(config, layers=len(program), batch=len(program))
            for _ in range(dice.choice((0, 1, 1, 2))):
                at = dice.randrange(len(program) + 1)
                if at:
                    program[at - 1] = spoiled(dice, program[at - 1])
                else:
                    header = spoiled(dice, header)
            cycles = await check(ctx, dut, header, program, pauses, Random(dice.random()))
            found = Error(ctx.get(dut.error)) or (Error.BAD_DESCRIPTOR if ctx.get(dut.incomplete) else Error.NONE)
            wanted = expected(header, program, config)
            assert found == wanted, f"{header} {program}: {broken_program(header, program, config)}"
            if not wanted:
                assert cycles == sum(steps_of(record, suite(config.suite).seals) for record in (header, *program))
            refused += wanted != Error.NONE

    simulate(dut, testbench, cycles=100_000)
    assert count // 10 < refused < 9 * count // 10


ONE_RULE = [
    *((Header, {"magic": 1}), (Header, {"version": 9}), (Header, {"rows": 4}), (Header, {"cols": 4}), (Header, {"suite": 9})),
    *((Header, {"bytes_per_beat": 4}), (Header, {"dense": 0}), (Header, {"layers": 9}), (Header, {"layers": 0})),
    *((Header, {"ofmap_beats": SEALED_BEATS + 1}),),
    *((Header, {"activation_words": 257}), (Header, {"accumulators": 33}), (Header, {"ifmap_beats": 17})),
    *((Header, {name: 0}) for name in ("batch", "parameter_beats", "ifmap_beats", "run_bytes", "runs", "windows_x")),
    *((Header, dict.fromkeys(("runs", "run_bytes", "windows_x", "windows_y"), 1) | {name: 129})
      for name in ("run_bytes", "windows_x", "windows_y")),
    *((Header, {"windows_y": 0}), (Header, {"windows_y": 46}), (Header, {"alternate": 1})),
    *((Descriptor, {"opcode": 2}), (Descriptor, {"fold": 4}), (Descriptor, {"alike": 1}), (Descriptor, {"kblocks": 2})),
    *((Descriptor, {name: 0}) for name in ("groups", "rows_last", "pool_w", "pool_h", "out_w", "out_h", "last_columns")),
    *((Descriptor, {name: 0, "kblocks": 0}) for name in ("cblocks", "kernel_w", "kernel_h")),
    *((Descriptor, {"rows_last": 9}), (Descriptor, {"sliding": 3, "out_w": 4}), (Descriptor, {"sliding": 1})),
    *((Descriptor, {"sliding": 2, "out_w": 4}), (Descriptor, {"diagonal": 1, "cblocks": 2, "kblocks": 2})),
    *((Descriptor, {"diagonal": 1, "fold": 1}), (Descriptor, {"diagonal": 1, "alike": 1, "kblocks": 2, "kernel_h": 2})),
    *((Descriptor, {"streamed": 1}), (Descriptor, {"streamed": 1, "diagonal": 1, "alike": 1, "rows_last": 8})),
    (Descriptor, {"streamed": 1, "diagonal": 1, "rows_last": 7}),
    *((Descriptor, {"sliding": 1, "out_w": 2, "pool_w": 2}), (Descriptor, {"sliding": 1, "out_w": 2, "pool_h": 2})),
    *((Descriptor, {"out_w": 33}), (Descriptor, {"lo": 5, "hi": 4}), (Descriptor, {"last_columns": 9})),
    *((Descriptor, {"last_columns": 5, "fold": 1}),),
]  # fmt: skip


def test_no_rule_is_there_for_nothing():
    """For each there are fields that break it alone."""
    found, wanted = set(), set()
    deep = replace(SEALED, program_words=4096)
    others = [(deep, [(Header, {"layers": 256})])]
    for opcode, options in ((3, ["tables"]), (2, ["products"]), (4, ["tables", "products"])):
        others.append((replace(SEALED, **dict.fromkeys(options, True)), [(Descriptor, {"opcode": opcode})]))
    for config, cases in ((SEALED, ONE_RULE), *others):
        rules = {Header: header_rules(config), Descriptor: descriptor_rules(config)}
        for record, fields in cases:
            value = header_of(config, **fields) if record is Header else descriptor(**fields)
            broken = [rule.field + rule.text for rule in rules[record] if rule.breaks(value)]
            assert len(broken) == 1, f"{fields}: {broken}"
            found.add((record, *broken))
        if config is SEALED:
            wanted = {(record, rule.field + rule.text) for record in rules for rule in rules[record]}
    # of the largest program memory, and of tables and products
    opcodes = {(Descriptor, f"opcode{text}") for text in ("1 or 2", "1 or 3", "1 or 2 or 3")}
    assert found == wanted | {(Header, "layersat most 255")} | opcodes


@pytest.mark.parametrize(
    "field, factors",
    [("pixels", ("out_w", "out_h", "pool_w", "pool_h")), ("kblocks_read", ("cblocks", "kernel_w", "kernel_h"))],
)
def test_products_beyond_the_register_are_too_large(field, factors, dice):
    """Random factors of any size, and those whose product wraps to what the rule allows."""
    dut = ProgramCheck(LARGE)
    fields = Descriptor.layout.fields
    wrapping = {
        "pixels": {"out_w": 2048, "out_h": 2048, "pool_w": 8, "pool_h": 8},
        "kblocks_read": {"cblocks": 2048, "kernel_w": 128, "kernel_h": 128},
    }

    async def testbench(ctx):
        for number in range(60):
            values = {name: dice.randint(1, 1 << dice.randint(0, fields[name].bits)) for name in factors}
            values = wrapping[field] if number == 0 else {n: min(v, fields[n].range[1]) for n, v in values.items()}
            layer = descriptor(wait_input=1, release_input=1, to_stream=1, **values)
            if field == "kblocks_read":
                layer = replace(layer, kblocks=layer.kblocks_read % (1 << 16))
            header = header_of(LARGE, layers=1)
            await check(ctx, dut, header, [layer], 0.0, dice)
            assert Error(ctx.get(dut.error)) == expected(header, [layer], LARGE)

    simulate(dut, testbench)


DEEP = replace(SEALED, accumulators=4096, ofmap_bytes=1 << 14)
OFMAPS = {
    "all": (SEALED, [(SEALED_BEATS, 1)]),
    "one too many": (SEALED, [(SEALED_BEATS + 1, 1)]),
    "groups": (SEALED, [(4, 4)]),
    "groups, too many": (SEALED, [(4, 5)]),
    "several": (SEALED, [(6, 1), (5, 2)]),
    "several, too many": (SEALED, [(6, 1), (1, 1), (5, 2)]),
    "each as many as there may be": (SEALED, [(SEALED_BEATS, 1)] * 2),
    "groups that wrap": (SEALED, [(1, 255), (1, 1)]),
    "a sum that wraps": (SEALED, [(SEALED_BEATS, 1)] * 4),
    "deep": (DEEP, [(1000, 1), (8, 3)]),
    "deep, too many": (DEEP, [(1000, 1), (5, 5)]),
    "a product that wraps": (DEEP, [(4096, 16)]),
    "a product that wraps behind another": (DEEP, [(1, 1), (2048, 64), (1, 1)]),
}


@pytest.mark.parametrize(("config", "layers"), OFMAPS.values(), ids=OFMAPS)
def test_the_ofmap_of_a_sealed_loadable_fits_half_of_the_buffer(config, layers, dice):
    """The sum of pixels, before pooling, times groups over all layers that write to the stream. Without a seal any sum fits."""
    beats = sum(pixels * groups for pixels, groups in layers)
    common = {"wait_input": 1, "release_input": 1}
    program = [descriptor(out_w=32, groups=255, **common)]  # to memory
    for pixels, groups in layers:
        pool = 2 if pixels % 2 == 0 else 1
        program.append(descriptor(out_w=pixels // pool, pool_w=pool, groups=groups, to_stream=1, **common))
    assert ofmap_beats(program) == beats
    for accelerator in (config, config.with_suite("deep-lock")):
        dut = ProgramCheck(accelerator)
        header = header_of(accelerator, layers=len(program), batch=len(program))
        too_many = accelerator is config and beats > config.ofmap_bytes // config.cols // 2
        wanted = Error.BAD_DESCRIPTOR if too_many else Error.NONE
        assert expected(header, program, accelerator) == wanted

        async def testbench(ctx, dut=dut, header=header, wanted=wanted):
            for _ in range(2):  # the second sum begins at 0
                await check(ctx, dut, header, program, 0.0, dice)
                assert Error(ctx.get(dut.error)) == wanted and not ctx.get(dut.incomplete)

        simulate(dut, testbench)


def test_a_head_that_was_given_up_leaves_nothing_to_the_next(dice):
    """Given up at any word, also in the middle of a product: by `begin`, or by a reset."""
    reset = Signal()
    dut = ProgramCheck(LARGE)
    program = program_of(dice, LARGE, 1)
    header = header_of(LARGE, layers=1)
    bad = replace(program[0], pool_w=15, out_w=4095, rows_last=0, to_stream=0, release_input=0, kernel_w=255)

    async def testbench(ctx):
        for number in range(WORDS):
            word = int(np.frombuffer(bad.pack(), "<u4")[number])
            factors = len(factors_of(Descriptor, number, seals=False))
            ctx.set(dut.words.payload, {"data": word, "number": number, "factors": factors})
            ctx.set(dut.words.valid, 1)
            await ctx.tick().repeat(3)
            ctx.set(dut.words.valid, 0)
            ctx.set(reset, number % 2)
            await ctx.tick()
            ctx.set(reset, 0)
            await check(ctx, dut, header, program, 0.0, dice)
            assert Error(ctx.get(dut.error)) == Error.NONE and not ctx.get(dut.incomplete)

    simulate(ResetInserter(reset)(dut), testbench)
