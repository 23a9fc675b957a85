"""Builds and runs simulations; drivers; models of UART and flash."""
