/* The port of sim/memory/host.cpp: the registers of accelerator and memory master, and a memory that is filled and read. A place
   of this program is one of the memory, which counts as not coherent. */

#include <stdlib.h>

#include "deeplock_memory.h"
#include "driver_port.h"

enum { SIZE = 1 << 20, BEAT = 16 };

static uint8_t arena[SIZE];
static size_t used;

static uint32_t read_register(uint8_t of_master, uint32_t address) {
    uint32_t answer[2];
    say("r", 1);
    say(&of_master, 1);
    say(&address, 4);
    hear(answer, sizeof answer);
    if (answer[0]) exit(4);
    return answer[1];
}

static void write_register(uint8_t of_master, uint32_t address, uint32_t value) {
    uint32_t response;
    say("w", 1);
    say(&of_master, 1);
    say(&address, 4);
    say(&value, 4);
    hear(&response, sizeof response);
    if (of_master && response) exit(5);
}

static uint32_t read_accelerator(void *context, uint32_t address) {
    (void)context;
    return read_register(0, address);
}

static uint32_t read_master(void *context, uint32_t address) {
    (void)context;
    return read_register(1, address);
}

static void write_accelerator(void *context, uint32_t address, uint32_t value) {
    (void)context;
    write_register(0, address, value);
}

static void write_master(void *context, uint32_t address, uint32_t value) {
    (void)context;
    write_register(1, address, value);
}

static uint32_t address_of(void *context, const void *at) {
    (void)context;
    return (uint32_t)((const uint8_t *)at - arena);
}

static void write_back(void *context, const void *at, size_t size) {
    const uint64_t numbers[2] = {address_of(context, at), size};
    say("f", 1);
    say(numbers, sizeof numbers);
    say(at, size);
}

static void forget(void *context, void *at, size_t size) {
    const uint64_t numbers[2] = {address_of(context, at), size};
    say("g", 1);
    say(numbers, sizeof numbers);
    hear(at, size);
}

uint8_t *place(size_t size) {
    uint8_t *room = arena + used;
    used += (size + BEAT - 1) / BEAT * BEAT;
    if (used > SIZE) exit(7);
    return room;
}

void connect_port(deeplock *device) {
    static deeplock_memory memory = {.read = read_accelerator, .write = write_accelerator, .read_master = read_master,
                                     .write_master = write_master, .address_of = address_of, .write_back = write_back,
                                     .forget = forget, .patience = 10000};
    deeplock_use_memory(device, &memory);
}
