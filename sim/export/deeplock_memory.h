/*
 * The driver's port for an accelerator behind its memory master, which moves the data: `deeplock verilog --memory axi`.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Loadables, ifmaps and ofmaps begin at multiples of a beat of B bytes. So for more than one inference in a call of `deeplock_run`
 * the packets of ifmaps and of ofmaps must be whole beats.
 */

#ifndef DEEPLOCK_MEMORY_H
#define DEEPLOCK_MEMORY_H

#include "deeplock.h"
#include "deeplock_memory_regs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A memory master, and how this system reaches it. `context` is passed on. */
typedef struct {
    void *context;

    /* The 32-bit registers of the accelerator and of the master, by byte address. */
    uint32_t (*read)(void *context, uint32_t address);
    void (*write)(void *context, uint32_t address, uint32_t value);
    uint32_t (*read_master)(void *context, uint32_t address);
    void (*write_master)(void *context, uint32_t address, uint32_t value);

    /* The address at which the master sees a place; NULL if it is this program's. */
    uint32_t (*address_of)(void *context, const void *place);

    /* For a core with a data cache, else NULL: write back what the master will read; forget what it has written. */
    void (*write_back)(void *context, const void *place, size_t size);
    void (*forget)(void *context, void *place, size_t size);

    /* How often STATUS is read in vain before the accelerator counts as hung. */
    uint32_t patience;

    /* The port's: the master's error code (DEEPLOCK_MEMORY_ERROR_...) when a call failed last; and where the ofmap goes. */
    uint32_t error;
    uint8_t *ofmap;
    size_t ofmap_bytes;
} deeplock_memory;

/* Fill in a driver that uses the master. A write to memory that is refused is found by patience: the call returns
   DEEPLOCK_TIMEOUT, and `error` says why. */
void deeplock_use_memory(deeplock *device, deeplock_memory *memory);

#ifdef __cplusplus
}
#endif

#endif
