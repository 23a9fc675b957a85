/* SPDX-License-Identifier: Apache-2.0 */

#include "deeplock_litex.h"

#include <generated/csr.h>
#include <generated/mem.h>
#include <system.h>

static uint32_t read_register(void *context, uint32_t address) {
    (void)context;
    return *(volatile uint32_t *)(DEEPLOCK_BASE + address);
}

static void write_register(void *context, uint32_t address, uint32_t value) {
    (void)context;
    *(volatile uint32_t *)(DEEPLOCK_BASE + address) = value;
}

static void send_loadable(void *context, const uint8_t *data, size_t size) {
    (void)context;
    deeplock_loadable_base_write((uint32_t)data);
    deeplock_loadable_length_write(size);
}

static void send_ifmap(void *context, const uint8_t *data, size_t size) {
    (void)context;
    deeplock_ifmap_base_write((uint32_t)data);
    deeplock_ifmap_length_write(size);
}

static void receive_ofmap(void *context, uint8_t *data, size_t size) {
    (void)context;
    deeplock_ofmap_base_write((uint32_t)data);
    deeplock_ofmap_length_write(size);
}

static int ofmap_came(void *context) {
    (void)context;
    if (!deeplock_ofmap_done_read()) return 0;
    flush_cpu_dcache(); /* the DMA wrote behind its back */
    return 1;
}

static void drop(void *context) {
    (void)context;
    deeplock_loadable_drop_write(1);
    deeplock_ifmap_drop_write(1);
    deeplock_ofmap_drop_write(1);
}

deeplock deeplock_litex(void) {
    const deeplock device = {
        .read = read_register,
        .write = write_register,
        .send_loadable = send_loadable,
        .send_ifmap = send_ifmap,
        .receive_ofmap = receive_ofmap,
        .ofmap_came = ofmap_came,
        .drop = drop,
        .patience = 1000000,
    };
    return device;
}
