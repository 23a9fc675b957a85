/*
 * Bare-metal driver of the Deeplock accelerator. C99; no heap, no library, no interrupt needed.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * The calls are those of the Python driver. All but `deeplock_read` return 0, an error code of the accelerator
 * (DEEPLOCK_ERROR_...), or DEEPLOCK_TIMEOUT. After an error the accelerator has no program and, unless it has licences, no key.
 */

#ifndef DEEPLOCK_H
#define DEEPLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "deeplock_regs.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DEEPLOCK_TIMEOUT (-1)

/* What `deeplock compile` makes. Sizes in bytes; those of packets, of a batch of ifmaps if it was compiled for one. */
typedef struct {
    const uint8_t *stream; /* all that enters the accelerator: licence, head, parameters */
    size_t head_bytes;     /* of the stream: what comes before the parameters */
    size_t stream_bytes;
    size_t ifmap_bytes; /* whole beats */
    size_t ofmap_bytes;
} deeplock_loadable;

/* An accelerator, and how this system reaches it. `context` is passed on. */
typedef struct {
    void *context;

    /* The 32-bit registers, by byte address: on most systems a volatile access at a base address. */
    uint32_t (*read)(void *context, uint32_t address);
    void (*write)(void *context, uint32_t address, uint32_t value);

    /* The streams: each begins to move a packet with tlast at its end, as a DMA does, and returns. A packet that is given while
       the one before is on its way comes behind it; there is never a third. */
    void (*send_loadable)(void *context, const uint8_t *data, size_t size);
    void (*send_ifmap)(void *context, const uint8_t *data, size_t size);
    void (*receive_ofmap)(void *context, uint8_t *data, size_t size);

    /* Whether the whole ofmap has come. */
    int (*ofmap_came)(void *context);

    /* After an error: take back what the accelerator has not begun to take. It takes the rest of what it has begun. */
    void (*drop)(void *context);

    /* How often STATUS is read in vain before the accelerator counts as hung. */
    uint32_t patience;

    /* The driver's: 0 at first. */
    const deeplock_loadable *loaded;
    int offered; /* the parameters of the next inference follow the program in its packet */
} deeplock;

/* A register: DEEPLOCK_REG_.... */
uint32_t deeplock_read(const deeplock *device, uint32_t address);

/* Put a key of 16, 24 or 32 bytes in place. A key comes before the program: a device that loses its key forgets its program. */
int deeplock_load_key(deeplock *device, const uint8_t *key, size_t size);

/* Clear the key. */
int deeplock_zeroise(deeplock *device);

/* Load a program. */
int deeplock_load_program(deeplock *device, const deeplock_loadable *loadable);

/* Run 1 to 65535 inferences, after loading the program if it is not the one loaded last. The packets of ifmaps lie one behind the
   other, and so do those of ofmaps. */
int deeplock_run(deeplock *device, const deeplock_loadable *loadable, const uint8_t *ifmaps, uint8_t *ofmaps, uint32_t count);

#ifdef __cplusplus
}
#endif

#endif
