/* SPDX-License-Identifier: Apache-2.0 */

#include "deeplock_memory.h"

static uint32_t status_of(const deeplock_memory *memory) {
    return memory->read_master(memory->context, DEEPLOCK_MEMORY_REG_STATUS);
}

static void put(const deeplock_memory *memory, uint32_t address, uint32_t value) {
    memory->write_master(memory->context, address, value);
}

/* Begin a transfer of one packet as soon as none waits. After an error the master takes none: the driver finds that out from the
   accelerator, which gets no packet. */
static void begin(const deeplock_memory *memory, uint32_t command, const uint8_t *place, size_t size) {
    uint32_t tries = 0, status = status_of(memory);
    while (status & DEEPLOCK_MEMORY_STATUS_PENDING && ++tries < memory->patience) status = status_of(memory);
    if (status & (DEEPLOCK_MEMORY_STATUS_PENDING | DEEPLOCK_MEMORY_STATUS_ERROR_CODE)) return;
    put(memory, DEEPLOCK_MEMORY_REG_ADDRESS,
        memory->address_of ? memory->address_of(memory->context, place) : (uint32_t)(uintptr_t)place);
    put(memory, DEEPLOCK_MEMORY_REG_BYTES, (uint32_t)size);
    put(memory, DEEPLOCK_MEMORY_REG_PACKETS, 1);
    put(memory, DEEPLOCK_MEMORY_REG_CONTROL, command);
}

static void send(const deeplock_memory *memory, uint32_t command, const uint8_t *data, size_t size) {
    if (memory->write_back) memory->write_back(memory->context, data, size);
    begin(memory, command, data, size);
}

static uint32_t read_register(void *context, uint32_t address) {
    const deeplock_memory *memory = context;
    return memory->read(memory->context, address);
}

static void write_register(void *context, uint32_t address, uint32_t value) {
    const deeplock_memory *memory = context;
    memory->write(memory->context, address, value);
}

static void send_loadable(void *context, const uint8_t *data, size_t size) {
    send(context, DEEPLOCK_MEMORY_CONTROL_LOADABLE, data, size);
}

static void send_ifmap(void *context, const uint8_t *data, size_t size) {
    send(context, DEEPLOCK_MEMORY_CONTROL_IFMAP, data, size);
}

static void receive_ofmap(void *context, uint8_t *data, size_t size) {
    deeplock_memory *memory = context;
    memory->ofmap = data;
    memory->ofmap_bytes = size;
    begin(memory, DEEPLOCK_MEMORY_CONTROL_OFMAP, data, size);
}

static int ofmap_came(void *context) {
    const deeplock_memory *memory = context;
    const uint32_t going_on = DEEPLOCK_MEMORY_STATUS_OFMAP | DEEPLOCK_MEMORY_STATUS_PENDING;
    if (status_of(memory) & (going_on | DEEPLOCK_MEMORY_STATUS_ERROR_CODE)) return 0;
    if (memory->forget) memory->forget(memory->context, memory->ofmap, memory->ofmap_bytes);
    return 1;
}

/* Stop; once more if the accelerator has given up the packet that the master would end. */
static void drop(void *context) {
    deeplock_memory *memory = context;
    uint32_t stops, tries;
    memory->error = (status_of(memory) & DEEPLOCK_MEMORY_STATUS_ERROR_CODE) >> DEEPLOCK_MEMORY_STATUS_ERROR_CODE_SHIFT;
    for (stops = 0; stops < 2; ++stops) {
        put(memory, DEEPLOCK_MEMORY_REG_CONTROL, DEEPLOCK_MEMORY_CONTROL_STOP);
        for (tries = 0; tries < memory->patience; ++tries)
            if (status_of(memory) & DEEPLOCK_MEMORY_STATUS_IDLE) return;
    }
}

void deeplock_use_memory(deeplock *device, deeplock_memory *memory) {
    device->context = memory;
    device->read = read_register;
    device->write = write_register;
    device->send_loadable = send_loadable;
    device->send_ifmap = send_ifmap;
    device->receive_ofmap = receive_ofmap;
    device->ofmap_came = ofmap_came;
    device->drop = drop;
    device->patience = memory->patience;
    device->loaded = NULL;
    device->offered = 0;
}
