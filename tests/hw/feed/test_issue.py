import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.feed.issue import IssueStage
from deeplock.pymodel.spec.config import Config
from tests.hw.stream_tools import simulate

CONFIGS = [
    Config(rows=4, cols=4, bytes_per_beat=4),  # 1 chunk a pixel
    Config(rows=4, cols=8, bytes_per_beat=4),  # 2
    Config(rows=8, cols=16, bytes_per_beat=16, lanes=2),  # 8
    Config(rows=4, cols=4, bytes_per_beat=4, lanes=2, multiplier_cycles=4),  # 2, of 4 cycles each
    Config(rows=4, cols=4, bytes_per_beat=4, dense=False),  # 4
]
EVENTS = ("compute", "weights", "empty", "post", "output_stalled")
FLIGHT = 17  # cycles from a word's issue to its first chunk


class Bench:
    """Keeps the books of what is behind the issue stage: chunks on their way, and an ofmap buffer of `room` beats."""

    def __init__(self, ctx, dut: IssueStage, config: Config, room: int):
        self.ctx, self.dut, self.room = ctx, dut, room
        self.chunks = config.cols // config.lanes
        self.cycles, self.dense = config.multiplier_cycles, config.dense
        self.now, self.held, self.inside, self.last_finish = 0, 0, 0, -100
        self.full = False  # as of the cycle before
        self.closed = True  # the post-processor has a layer before this one
        self.arrivals: dict[int, int] = {}  # cycle: 1 for a chunk, 2 for a pixel's last one
        self.pixels: list[tuple[int, bool]] = [(-1, True)]  # words issued: cycle, whether its k-block's last

    @property
    def too_soon(self) -> bool:
        """Whether words were issued in the last two cycles, and the last whole k-block had two pixels. Without `dense` also
        whether one was, and is a k-block of one pixel."""
        ends = [number for number, (_, last) in enumerate(self.pixels) if last]
        alone = ends[-2:] == [len(self.pixels) - 2, len(self.pixels) - 1]
        if not self.dense and alone and self.pixels[-1][0] >= self.now - 2:
            return True
        pair = len(ends) > 1 and ends[-1] - ends[-2] == 2
        return pair and [at for at, _ in self.pixels[-2:]] == [self.now - 2, self.now - 1]

    def why(self, valid, swap, last, full) -> str:
        """The rules of the docstring, in their order."""
        if not valid or self.too_soon:
            return "empty"
        if swap and not full:
            return "weights"
        if last and (self.closed or self.now - self.last_finish < self.chunks * self.cycles):
            return "post"
        if last and self.full:
            return "output_stalled"
        return "compute"

    async def open(self) -> None:
        await self.step(False, opens=True)

    async def step(
        self,
        valid: bool,
        swap=False,
        last=False,
        full=True,
        drain=False,
        data=0,
        pixel_last=False,
        final=False,
        opens=False,
    ) -> str:
        ctx, dut = self.ctx, self.dut
        arrives = self.arrivals.pop(self.now, 0)
        drain = drain and self.held > 0
        ctx.set(dut.words.valid, valid)
        tag = {"last": last, "shift": 1, "pixel_last": pixel_last, "final": final}
        ctx.set(dut.words.payload, {"data": data, "swap": swap, "tag": tag})
        ctx.set(dut.opens, opens)
        ctx.set(dut.tiles.full, full)
        ctx.set(dut.held, self.held)
        ctx.set(dut.retired, arrives == 2)
        seen = [name for name in EVENTS if ctx.get(dut.report.events[name])]
        assert seen == [self.why(valid, swap, last, full)], self.now
        issue = seen == ["compute"]
        if issue:
            self.pixels.append((self.now, pixel_last))
        assert ctx.get(dut.out.valid) == ctx.get(dut.words.ready) == issue
        assert ctx.get(dut.tiles.swap) == (issue and swap)
        ends = issue and last and pixel_last and final
        assert ctx.get(dut.ends) == ends
        if issue:
            word = ctx.get(dut.out.payload)
            assert (word.data, word.swap, word.tag.last, word.tag.shift) == (data, swap, last, 1)
        await ctx.tick()
        self.closed = (self.closed or ends) and not opens
        self.full = (self.inside + (issue and last) + 1) * self.chunks + self.held > self.room
        self.held += (arrives > 0) - drain
        self.inside -= arrives == 2
        assert self.held <= self.room, "the ofmap buffer overflows"
        if issue and last:
            self.inside, self.last_finish = self.inside + 1, self.now
            first = self.now + FLIGHT
            for chunk in range(self.chunks):
                at = first + chunk * self.cycles
                assert at not in self.arrivals
                self.arrivals[at] = 2 if chunk == self.chunks - 1 else 1
        self.now += 1
        return seen[0]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name[:9])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_every_cycle_is_decided_by_the_rules_and_has_one_event(config, share, dice):
    """Random words, weights and room. A word that has to wait stays as it is."""
    room = 32
    dut = IssueStage(config, room)

    async def testbench(ctx):
        bench = Bench(ctx, dut, config, room)
        word, seen = None, set()
        drain = 0.5
        for number in range(1500):
            if number % 200 == 0:
                drain = dice.choice([0.05, 0.5, 1.0])
            if word is None and dice.random() < 0.9:
                word = {"swap": dice.random() < 0.3, "last": dice.random() < share, "data": dice.getrandbits(32)}
                word["pixel_last"] = dice.random() < 0.5
                word["final"] = dice.random() < 0.1
            event = await bench.step(
                word is not None,
                opens=bench.closed and dice.random() < 0.2,
                full=dice.random() < 0.7,
                drain=dice.random() < drain,
                **(word or {"swap": True, "last": True}),
            )
            seen.add(event)
            word = None if event == "compute" else word
        assert seen >= {"compute", "weights", "empty", "post" if bench.chunks * bench.cycles > 1 else "compute"}

    simulate(dut, testbench)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name[:9])
def test_a_word_a_cycle_and_a_finishing_word_every_cols_by_lanes_cycles(config):
    dut = IssueStage(config, 64)
    period = config.cols // config.lanes * config.multiplier_cycles

    async def testbench(ctx):
        bench = Bench(ctx, dut, config, 64)
        await bench.open()
        for number in range(20):
            assert await bench.step(True, swap=number % 4 == 0) == "compute"
        events = [await bench.step(True, last=True, drain=True) for _ in range(40 * period)]
        assert events == (["compute"] + ["post"] * (period - 1)) * 40
        # words that finish nothing pass meanwhile
        for number in range(60):
            assert await bench.step(True, last=number % period == 0, drain=True) == "compute"

    simulate(dut, testbench)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name[:9])
def test_a_stalled_ofmap_stream_fills_the_buffer_and_no_more(config):
    """All of the room is used; what finishes nothing goes on; when beats leave, so do words."""
    room = 32
    dut = IssueStage(config, room)
    chunks = config.cols // config.lanes

    async def testbench(ctx):
        bench = Bench(ctx, dut, config, room)
        finished = 0
        await bench.open()
        for _ in range(room * config.multiplier_cycles + 100):
            finished += await bench.step(True, last=True) == "compute"
        assert finished == room // chunks and bench.held == room
        assert await bench.step(True, last=True) == "output_stalled"
        assert await bench.step(True, last=False) == "compute"
        for _ in range(chunks):
            assert await bench.step(True, last=True, drain=True) == "output_stalled"
        assert await bench.step(True, last=True) == "output_stalled"  # decided a cycle ahead
        assert await bench.step(True, last=True) == "compute"

    simulate(dut, testbench)


@pytest.mark.parametrize("pixels", [1, 2, 3, 4])
@pytest.mark.parametrize("config", [CONFIGS[0], CONFIGS[-1]], ids=["dense", "not_dense"])
def test_only_k_blocks_of_few_pixels_pause(config, pixels):
    dut = IssueStage(config, 8)

    async def testbench(ctx):
        bench = Bench(ctx, dut, config, 8)
        for _ in range(5):
            for pixel in range(pixels):
                assert await bench.step(True, pixel_last=pixel == pixels - 1) == "compute"
            for _ in range({1: 0 if config.dense else 2, 2: 1}.get(pixels, 0)):
                assert await bench.step(True) == "empty"
            assert not bench.too_soon

    simulate(dut, testbench)


def test_reset_forgets_what_is_inside():
    config = CONFIGS[1]
    dut = IssueStage(config, 8)
    reset = Signal()

    async def testbench(ctx):
        bench = Bench(ctx, dut, config, 8)
        await bench.open()
        for _ in range(9):
            await bench.step(True, last=True)
        assert await bench.step(True, last=True) == "output_stalled"
        ctx.set(reset, 1)
        ctx.set(dut.words.valid, 0)
        await ctx.tick()
        ctx.set(reset, 0)
        bench = Bench(ctx, dut, config, 8)
        assert await bench.step(True, last=True) == "post"
        await bench.open()
        assert await bench.step(True, last=True) == "compute"
        assert await bench.step(True, last=True) == "post"

    simulate(ResetInserter(reset)(dut), testbench)


def test_words_finish_accumulators_only_when_their_layer_may():
    """From the cycle after `opens` to the layer's last word; others pass at any time."""
    dut = IssueStage(CONFIGS[0], 32)

    async def testbench(ctx):
        bench = Bench(ctx, dut, CONFIGS[0], 32)
        for _ in range(2):
            assert await bench.step(True) == "compute"
            assert await bench.step(True, last=True, opens=True) == "post"
            for pixel_last in (False, False, True):
                assert await bench.step(True, last=True, drain=True, pixel_last=pixel_last, final=True) == "compute"
            assert await bench.step(True, last=True) == "post"

    simulate(dut, testbench)
