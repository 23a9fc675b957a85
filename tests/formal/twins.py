"""Self-composition: what an input influences."""

from amaranth.hdl import Assert, Module, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tests.formal.prover import implies

__all__ = ["Twins"]


class Twins(wiring.Component):
    """Two copies of a component with the same free inputs, but for a secret one. Asserts that no output tells them apart.
    A subclass says which input is secret, its path joined by underscores, and which outputs may show it.

    first, second  the copies
    """

    secret: str
    hidden: frozenset[str] = frozenset()

    def __init__(self, first: wiring.Component, second: wiring.Component):
        self.first, self.second = first, second
        free = {name: In(len(port)) for name, port in _ports(first, In).items()}
        super().__init__(free | {"other": In(free[self.secret].shape)})

    def differs(self, m: Module) -> Value:
        """A mask of the bits of the secret that differ in this cycle."""
        raise NotImplementedError

    def compared(self, m: Module, output: str) -> ValueLike:
        """Whether this output must be the same in this cycle."""
        return output not in self.hidden

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules += self.first, self.second
        for twin in (self.first, self.second):
            for name, port in _ports(twin, In).items():
                m.d.comb += port.eq(getattr(self, name))
        common = getattr(self, self.secret)
        m.d.comb += _ports(self.second, In)[self.secret].eq(common ^ (self.other & self.differs(m)))
        others = _ports(self.second, Out)
        for name, port in _ports(self.first, Out).items():
            m.d.comb += Assert(implies(Value.cast(self.compared(m, name)), port == others[name]))
        return m


def _ports(component: wiring.Component, flow: wiring.Flow) -> dict[str, Value]:
    leaves = component.signature.flatten(component)
    return {"_".join(map(str, path)): Value.cast(port) for path, member, port in leaves if member.flow is flow}
