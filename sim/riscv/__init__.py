"""The software baseline on RISC-V cores."""
