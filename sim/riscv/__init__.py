"""The software baseline on RISC-V cores, and the accelerator with such a core as its host."""
