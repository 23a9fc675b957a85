"""Looking at every register of a design at once, to show that it is zeroised."""

from amaranth.hdl import Fragment, Signal

__all__ = ["registers_of"]


def registers_of(fragment: Fragment) -> list[Signal]:
    """Every signal that some statement clocks, in an elaborated design (`Fragment.get(dut, None)`), memories apart."""
    found = {id(s): s for d, body in fragment.statements.items() if d != "comb" for s in body._lhs_signals()}
    for inner, *_ in fragment.subfragments:
        found |= {id(signal): signal for signal in registers_of(inner)}
    return list(found.values())
