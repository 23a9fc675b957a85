"""The whole accelerator with licences and permissions, natively simulated, does what the golden device does."""

from collections.abc import Sequence
from random import Random

import pytest

from deeplock.pymodel.attacks.bits import flip
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.spec.device import Outcome
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.registers import Command, Error, Status
from deeplock.sim.device import RtlDevice
from tests.pymodel.spec.test_licence import DEVICE_KEY, MODEL, NEXT, OTHER_KEY, SEALED, config_of, issued, sealed
from tests.sim import mini

SEED = 24
SHOWN = Status.LOADED | Status.KEYED | Status.DONE


class Pair:
    """The RTL beside the golden device, both powered up with a device key."""

    def __init__(self, name: str, rtl: RtlDevice):
        self.rtl, self.golden = rtl, GoldenDevice(config_of(name))
        self.loadable = sealed(name)
        self.load_key(DEVICE_KEY)

    def load_key(self, key: bytes) -> None:
        for device in (self.rtl, self.golden):
            device.zeroise()
            device.load_key(key)

    def run(self, licence: bytes, count: int = 1, loadable: Loadable | None = None) -> Outcome:
        """What came of it on both."""
        loadable = loadable or self.loadable
        packets = [loadable.pack_ifmap(ifmap) for ifmap in mini.ifmaps(loadable, count)]
        return self.same(licence + loadable.head, [loadable.parameters] * count, packets)

    def same(self, head: bytes, sections: Sequence[bytes], packets: Sequence[bytes]) -> Outcome:
        found, expected = (device.run(head, sections, packets) for device in (self.rtl, self.golden))
        assert found == expected
        assert self.rtl.status() & SHOWN == self.golden.status() & SHOWN
        return found

    def cut(self, licence: bytes, length: int) -> Error:
        """The error of a packet that ends after so many bytes."""
        packet = (licence + self.loadable.stream)[:length]
        return self.same(packet, [b""], [b""]).error


@pytest.fixture(params=[pytest.param(0.0, marks=pytest.mark.slow), 0.4], ids=["no pauses", "pauses"])
def pauses(request) -> float:
    return request.param


every_suite = pytest.mark.parametrize(
    "name", ["acorn", *(pytest.param(name, marks=pytest.mark.slow) for name in SEALED if name != "acorn")]
)


@every_suite
def test_licences_are_opened_enforced_and_refused_as_by_the_golden_device(name, pauses):
    with RtlDevice(config_of(name), pauses=pauses, seed=SEED) as rtl:
        pair = Pair(name, rtl)
        licence = issued(name).stream
        whole = pair.run(licence, 3)
        assert len(whole.ofmaps) == 3
        for refused, error in (
            (issued(name, key=OTHER_KEY), Error.BAD_LICENCE),
            (issued(name, model=MODEL ^ 1), Error.OTHER_MODEL),
            (issued(name, f"versions={NEXT + 1}-"), Error.OTHER_VERSION),
            (issued(name, f"versions=0-{NEXT - 1}"), Error.OTHER_VERSION),
        ):
            assert pair.run(refused.stream).error == error
            assert rtl.status() & SHOWN == Status.KEYED, "the device keeps its key, and has no program"
            assert pair.run(licence).ofmaps == whole.ofmaps[:1]
        assert pair.run(b"").error == Error.BAD_LICENCE
        assert pair.run(issued(name, "classes=0,2-3").stream).ofmaps[0] != whole.ofmaps[0]
        # the other device takes what this one refuses, of the same loadable
        pair.load_key(OTHER_KEY)
        assert pair.run(issued(name, key=OTHER_KEY).stream, 3) == whole
        assert pair.run(licence).error == Error.BAD_LICENCE


def test_inferences_count_through_licences_keys_and_zeroise():
    name = "acorn"
    with RtlDevice(config_of(name), seed=SEED) as rtl:
        pair = Pair(name, rtl)
        licence = issued(name, "inferences=6").stream
        assert pair.run(licence, 3).error == Error.NONE
        assert pair.run(licence, 4).error == Error.NONE_LEFT
        pair.load_key(OTHER_KEY)
        assert pair.run(issued(name, key=OTHER_KEY).stream, 2).error == Error.NONE
        pair.load_key(DEVICE_KEY)
        assert pair.run(licence, 2).error == Error.NONE_LEFT
        assert pair.run(licence, 1).error == Error.NONE
        assert pair.run(licence, 1).error == Error.NONE_LEFT


@pytest.mark.slow  # the golden device, which this compares with, is held against every bit in the fast tests
@pytest.mark.parametrize("name", SEALED)
def test_every_bit_of_a_licence_counts(name):
    """Refused with one code, no output, the device's key kept; and the licence itself still runs."""
    with RtlDevice(config_of(name), seed=SEED) as rtl:
        pair = Pair(name, rtl)
        licence = issued(name).stream
        for bit in range(8 * len(licence)):
            assert pair.run(flip(licence, bit)).error == Error.BAD_LICENCE, bit
        assert pair.run(licence).error == Error.NONE


@every_suite
def test_a_packet_may_end_anywhere(name, pauses):
    with RtlDevice(config_of(name), pauses=pauses, seed=SEED) as rtl:
        pair = Pair(name, rtl)
        licence, beat = issued(name).stream, rtl.config.bytes_per_beat
        last = len(licence) + len(pair.loadable.head)
        for length in (*range(beat, len(licence) + 3 * beat, beat), last - beat, last):
            assert pair.cut(licence, length) == Error.LOADABLE_TRUNCATED, length
        # what came of the terms is forgotten
        assert pair.cut(licence, len(pair.loadable.nonce) + 5 * beat) == Error.LOADABLE_TRUNCATED
        assert pair.run(licence).error == Error.NONE
        # an error that came before is told first
        changed = flip(licence, 9)
        assert pair.cut(changed, len(licence) - beat) == Error.BAD_LICENCE
        assert pair.run(licence).error == Error.NONE


def test_an_abort_or_zeroise_leaves_nothing_of_the_licence():
    """At any time of a run: no program afterwards. ABORT leaves the device's key, ZEROISE does not."""
    name, dice = "acorn", Random(SEED)
    with RtlDevice(config_of(name), seed=SEED) as rtl:
        pair = Pair(name, rtl)
        licence, loadable = issued(name).stream, pair.loadable
        packets = [loadable.pack_ifmap(ifmap) for ifmap in mini.ifmaps(loadable, 1)]
        whole = pair.run(licence)
        for number in range(12):
            head = licence + loadable.head
            stopped = rtl.run(head, [loadable.parameters], packets, abort_after=dice.randrange(200))
            assert stopped.error == Error.ABORTED and not stopped.ofmaps
            assert rtl.status() & SHOWN == Status.KEYED
            if number % 3 == 0:
                rtl.write("CONTROL", Command.ZEROISE)
                assert not rtl.status() & SHOWN
                rtl.load_key(DEVICE_KEY)
            rtl.write("CONTROL", Command.START)
            assert rtl.status() >> 8 == Error.NO_PROGRAM
            assert rtl.run(head, [loadable.parameters], packets) == whole
