"""A LiteX SoC with the accelerator for ULX3S: VexRiscv, SDRAM by LiteDRAM, UART, BIOS.

    python ulx3s.py FOLDER --build     FOLDER: what `deeplock verilog` wrote; --help lists the options of LiteX, too

The ROM holds the program of digits.c, or with --bios LiteX's BIOS, which needs a GCC for RISC-V. Without --build it writes the
SoC's Verilog. --build needs Yosys, nextpnr-ecp5 and ecppack.
"""

from litex.soc.integration.builder import Builder
from litex_boards.platforms import radiona_ulx3s
from litex_boards.targets.radiona_ulx3s import BaseSoC
from litex_deeplock import add_deeplock
from program import exported_folder, put_into_rom


def main() -> None:
    from litex.build.parser import LiteXArgumentParser  # it and litex.soc import each other, and that begins there

    parser = LiteXArgumentParser(platform=radiona_ulx3s.Platform, description="LiteX SoC with the accelerator on ULX3S")
    parser.add_target_argument(
        "exported", type=exported_folder, metavar="FOLDER", help="What `deeplock verilog` wrote."
    )
    parser.add_target_argument("--device", default="LFE5U-85F", help="FPGA device.")
    parser.add_target_argument("--revision", default="2.0", help="Board revision (2.0 or 1.7).")
    parser.add_target_argument("--sys-clk-freq", default=50e6, type=float, help="System clock frequency.")
    parser.add_target_argument("--sdram-module", default="MT48LC16M16", help="MT48LC16M16, AS4C32M16 or AS4C16M16.")
    parser.add_target_argument("--bios", action="store_true", help="LiteX's BIOS in the ROM.")
    args = parser.parse_args()
    soc = BaseSoC(
        device=args.device,
        revision=args.revision,
        sys_clk_freq=args.sys_clk_freq,
        sdram_module_cls=args.sdram_module,
        **parser.soc_argdict,
    )
    add_deeplock(soc, args.exported / "deeplock.v")
    if not args.bios:
        put_into_rom(soc, args.exported)
    builder = Builder(soc, **parser.builder_argdict | {"compile_software": args.bios})
    builder.build(**parser.toolchain_argdict, run=args.build)


if __name__ == "__main__":
    main()
