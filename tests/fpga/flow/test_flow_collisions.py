"""No component depends on what a read gives in the cycle in which its word is written: synthesis makes it anything."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.back import rtlil

import deeplock.sim.verilog
from deeplock.fpga.flow.toolchain import run_program
from deeplock.fpga.flow.yosys import ANY_ON_COLLISION
from deeplock.pymodel.spec.config import Config
from deeplock.sim.run import simulate
from tests.sim import tiny

CONFIG = Config(rows=4, cols=4, bytes_per_beat=4, lanes=2, accumulators=32, activation_words=512, sbox="rom")


SINGLE_PORT = replace(CONFIG, suite="plain", single_port=True, dense=False, lanes=1)


@pytest.mark.parametrize("config", [CONFIG, pytest.param(SINGLE_PORT, marks=pytest.mark.slow)], ids=["locked", "plain"])
def test_an_accelerator_whose_collisions_read_x_is_right(config, tmp_path, monkeypatch):
    """Icarus carries an X on to whatever is computed with it."""
    texts = []

    def convert(top, name: str, ports: dict, **_) -> str:
        (tmp_path / "top.il").write_text(rtlil.convert(top, name=name, ports=ports, emit_src=False))
        commands = ("read_rtlil top.il", ANY_ON_COLLISION, "proc -nomux -norom", "memory_collect")
        run_program("yosys", ["-q", "-p", "; ".join((*commands, "write_verilog -norename top.v"))], tmp_path)
        texts.append((tmp_path / "top.v").read_text())
        return texts[-1]

    monkeypatch.setenv("DEEPLOCK_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(deeplock.sim.verilog.verilog, "convert", convert)
    loadable, ifmaps = tiny.tiny_loadable(config), tiny.ifmaps(3)
    key = tiny.KEY if config.suite != "plain" else b""
    found = simulate(loadable, config, key, list(ifmaps), "icarus", pauses=0.2, seed=7).ofmaps
    assert np.array_equal(np.stack(found), tiny.expected(loadable, config, ifmaps, key))
    (text,) = texts
    assert text.count("'hx") >= 8, "of accumulators, activations, program, entries, ifmap buffers, results"
