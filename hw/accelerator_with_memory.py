"""The accelerator behind a memory master: for designs whose loadables, ifmaps and ofmaps lie in a memory."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from deeplock.hw.accelerator import Accelerator
from deeplock.hw.basics.axi import Axi4, AxiLite, receive, transmit
from deeplock.hw.control.registers import ADDRESS_BITS
from deeplock.hw.memory.master import MemoryMaster
from deeplock.hw.memory.registers import REGISTER_ADDRESS_BITS
from deeplock.pymodel.spec import memory
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.memory import MemoryOptions

__all__ = ["AcceleratorWithMemory"]


class AcceleratorWithMemory(wiring.Component):
    """Accelerator and memory master, with a reset and a clock for both.

    Ports: AXI4-Lite `s_axil`, as the accelerator's, and `s_axil_memory` (pymodel/spec/memory.py); AXI4 `m_axi` with
    `config.bytes_per_beat` bytes of data; and `irq`, which either may raise.
    """

    def __init__(self, config: Config, options: MemoryOptions):
        self._config, self._options = config, options
        super().__init__(
            {
                "s_axil": In(AxiLite(ADDRESS_BITS)),
                "s_axil_memory": In(AxiLite(REGISTER_ADDRESS_BITS)),
                "m_axi": Out(Axi4(config.bytes_per_beat, memory.ADDRESS_BITS)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.accelerator = accelerator = Accelerator(self._config)
        m.submodules.master = master = MemoryMaster(self._config, self._options)
        connect(m, flipped(self.s_axil), accelerator.s_axil)
        connect(m, flipped(self.s_axil_memory), master.s_axil)
        connect(m, master.port, flipped(self.m_axi))
        transmit(m, master.loadable, accelerator.s_axis_loadable)
        transmit(m, master.ifmap, accelerator.s_axis_ifmap)
        receive(m, accelerator.m_axis_ofmap, master.ofmap)
        m.d.comb += self.irq.eq(accelerator.irq | master.irq)
        return m
