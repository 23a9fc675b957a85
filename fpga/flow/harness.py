"""A harness for place and route of a component that has more ports than the FPGA has pins."""

from amaranth import Cat, Const, Instance, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Component, Flow, In, Out

__all__ = ["BUFFER", "CORE", "SHELL", "Harness"]

SHELL, CORE = "shell", "core"
"""Names of the submodules around the component."""

BUFFER = "output_buffer"
"""Type of a cell between an output (A) and its port (Y); its RTLIL is in fpga.flow.yosys."""


def _ports(component: Component) -> list[tuple[Flow, Value]]:
    """Flow and value of each port; a stream's `ready` that is always 1 is none."""
    ports = [(member.flow, Value.cast(port)) for _, member, port in component.signature.flatten(component)]
    return [(flow, port) for flow, port in ports if not isinstance(port, Const)]


class _Shell(wiring.Component):
    """The component, with a buffer after each of its outputs if `buffered`."""

    def __init__(self, component: Component, buffered: bool):
        self._component = component
        self._buffered = buffered
        super().__init__(component.signature)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules[CORE] = core = self._component
        for (flow, inner), (_, outer) in zip(_ports(core), _ports(self), strict=True):
            if flow == In:
                m.d.comb += inner.eq(outer)
            elif self._buffered:
                for a, y in zip(inner, outer, strict=True):
                    m.submodules += Instance(BUFFER, i_A=a, o_Y=y)
            else:
                m.d.comb += outer.eq(inner)
        return m


class Harness(wiring.Component):
    """The component between registers: its inputs come from a shift register, its outputs go into a signature.

    It has four pins: clock, reset and these two. All paths start and end in flip-flops, so no pin delay counts. No input is
    constant and no output unused, so nothing is optimised away.

    Arguments
    ---------
    component : Component
    buffered : bool
        Separate its outputs from the shell's ports by buffers, which disappear in the end. Cells that drive an output are
        then named after the component's own nets, not after the port. It may change ABC's result by a few LUTs.
    """

    def __init__(self, component: Component, buffered: bool):
        self._component = component
        self._buffered = buffered
        super().__init__({"scan_in": In(1), "scan_out": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules[SHELL] = shell = _Shell(self._component, self._buffered)
        inputs, outputs = [], []
        for flow, port in _ports(shell):
            (inputs if flow == In else outputs).append(port)
        scan = Signal(sum(map(len, inputs)))
        captured = Signal(sum(map(len, outputs)))
        signature = Signal.like(captured)
        m.d.sync += [
            scan.eq(Cat(self.scan_in, scan)),
            captured.eq(Cat(outputs)),
            signature.eq(captured ^ Cat(scan[-1:], signature)),
        ]
        m.d.comb += [Cat(inputs).eq(scan), self.scan_out.eq(signature[-1:])]
        return m
