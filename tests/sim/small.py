"""A device that is quick to build. It imports nothing of hw/, so that edits there leave its builds alone."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from deeplock.pymodel.spec.config import Config

__all__ = ["Small"]


class Small(wiring.Component):
    """A device of one register, quick to build."""

    def __init__(self, config: Config) -> None:
        super().__init__({"d": In(config.rows), "q": Out(config.rows)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.sync += self.q.eq(self.d)
        return m
