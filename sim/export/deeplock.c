/* SPDX-License-Identifier: Apache-2.0 */

#include "deeplock.h"

uint32_t deeplock_read(const deeplock *device, uint32_t address) {
    return device->read(device->context, address);
}

static void put(const deeplock *device, uint32_t address, uint32_t value) {
    device->write(device->context, address, value);
}

static int error_code(uint32_t status) {
    return (int)((status & DEEPLOCK_STATUS_ERROR_CODE) >> DEEPLOCK_STATUS_ERROR_CODE_SHIFT);
}

/* Wait until (STATUS & mask) == value, or for an error code. */
static int wait_for(const deeplock *device, uint32_t mask, uint32_t value) {
    uint32_t tries;
    for (tries = 0; tries < device->patience; ++tries) {
        const uint32_t status = deeplock_read(device, DEEPLOCK_REG_STATUS);
        if ((status & mask) == value) return 0; /* first: an error code stays until the next LOAD or START */
        if (error_code(status)) return error_code(status);
    }
    return DEEPLOCK_TIMEOUT;
}

/* Wait until the whole ofmap has come, or for an error code. */
static int wait_for_ofmap(const deeplock *device) {
    uint32_t tries;
    for (tries = 0; tries < device->patience; ++tries) {
        const uint32_t status = deeplock_read(device, DEEPLOCK_REG_STATUS);
        if (device->ofmap_came(device->context)) return 0;
        if (error_code(status)) return error_code(status);
    }
    return DEEPLOCK_TIMEOUT;
}

/* Leave accelerator and streams idle after an error, which is returned. */
static int recovered(deeplock *device, int error) {
    const uint32_t busy = DEEPLOCK_STATUS_BUSY | DEEPLOCK_STATUS_FLUSHING;
    uint32_t tries;
    if (!error) return 0;
    if (error == DEEPLOCK_TIMEOUT) put(device, DEEPLOCK_REG_CONTROL, DEEPLOCK_CONTROL_ABORT);
    device->drop(device->context);
    for (tries = 0; tries < device->patience; ++tries)
        if (!(deeplock_read(device, DEEPLOCK_REG_STATUS) & busy)) break;
    device->loaded = NULL;
    return error;
}

int deeplock_load_key(deeplock *device, const uint8_t *key, size_t size) {
    size_t at;
    device->loaded = NULL;
    put(device, DEEPLOCK_REG_KEY_SIZE, (uint32_t)size);
    for (at = 0; at + 4 <= size; at += 4) {
        const uint32_t low = (uint32_t)key[at] | (uint32_t)key[at + 1] << 8;
        const uint32_t high = (uint32_t)key[at + 2] | (uint32_t)key[at + 3] << 8;
        put(device, DEEPLOCK_REG_KEY0 + (uint32_t)at, low | high << 16);
    }
    return wait_for(device, DEEPLOCK_STATUS_KEYED, DEEPLOCK_STATUS_KEYED);
}

int deeplock_zeroise(deeplock *device) {
    device->loaded = NULL;
    put(device, DEEPLOCK_REG_CONTROL, DEEPLOCK_CONTROL_ZEROISE);
    return wait_for(device, DEEPLOCK_STATUS_KEYED, 0);
}

int deeplock_load_program(deeplock *device, const deeplock_loadable *loadable) {
    put(device, DEEPLOCK_REG_CONTROL, DEEPLOCK_CONTROL_LOAD);
    device->send_loadable(device->context, loadable->stream, loadable->stream_bytes);
    device->loaded = loadable;
    device->offered = 1;
    return recovered(device, wait_for(device, DEEPLOCK_STATUS_LOADED, DEEPLOCK_STATUS_LOADED));
}

int deeplock_run(deeplock *device, const deeplock_loadable *loadable, const uint8_t *ifmaps, uint8_t *ofmaps, uint32_t count) {
    const uint8_t *parameters = loadable->stream + loadable->head_bytes;
    const size_t parameter_bytes = loadable->stream_bytes - loadable->head_bytes;
    uint32_t inference;
    int error = device->loaded == loadable ? 0 : deeplock_load_program(device, loadable);
    if (error) return error;
    put(device, DEEPLOCK_REG_COUNT, count);
    put(device, DEEPLOCK_REG_CONTROL, DEEPLOCK_CONTROL_START);
    for (inference = 0; inference < count && !error; ++inference) {
        device->receive_ofmap(device->context, ofmaps + inference * loadable->ofmap_bytes, loadable->ofmap_bytes);
        device->send_ifmap(device->context, ifmaps + inference * loadable->ifmap_bytes, loadable->ifmap_bytes);
        if (!device->offered) device->send_loadable(device->context, parameters, parameter_bytes);
        device->offered = 0;
        error = wait_for_ofmap(device);
    }
    return recovered(device, error ? error : wait_for(device, DEEPLOCK_STATUS_DONE, DEEPLOCK_STATUS_DONE));
}
