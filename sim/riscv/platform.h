// What engine.c needs from a platform.

#pragma once

#define NOINLINE __attribute__((noinline))
#define INLINE inline __attribute__((always_inline))
#define BARRIER() __asm__ volatile("" : : : "memory")

#ifdef __riscv
// The memory-mapped counter lies where no cache is; the second one, of the core itself, checks it.
#define CYCLES() (*(volatile uint32_t *)0x80000000)
static inline uint32_t SECOND_CYCLES(void) {
    uint32_t value;
    __asm__ volatile("csrr %0, " CYCLE_CSR : "=r"(value));
    return value;
}
// Keeps the loads of one position from moving before another's: there are no registers for them.
#define ORDERED() BARRIER()
// In the first 2 KB, so that a byte is an address: `lbu` with a constant offset, no addition.
#define SBOX ((const uint8_t *)SBOX_ADDRESS)
#define INV_SBOX ((const uint8_t *)INV_SBOX_ADDRESS)
#else
#define ORDERED() (void)0  // let it vectorise
#define CYCLES() 0
#define SECOND_CYCLES() 0
#include "tables.h"  // made by sim/riscv/build.py
#endif
