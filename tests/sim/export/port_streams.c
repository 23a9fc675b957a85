/* The port of sim/native.cpp: registers, and a stream each for loadables, ifmaps and ofmaps. */

#include <stdlib.h>

#include "driver_port.h"

static uint8_t *wanted;
static size_t wanted_size;

static uint32_t read_register(void *context, uint32_t address) {
    uint32_t answer[2];
    (void)context;
    say("r", 1);
    say(&address, 4);
    hear(answer, sizeof answer);
    if (answer[0]) exit(4);
    return answer[1];
}

static void write_register(void *context, uint32_t address, uint32_t value) {
    uint32_t response;
    (void)context;
    say("w", 1);
    say(&address, 4);
    say(&value, 4);
    hear(&response, sizeof response);
}

static void send(const char *command, const uint8_t *data, uint64_t size) {
    say(command, 1);
    say(&size, 8);
    say(data, size);
}

static void send_loadable(void *context, const uint8_t *data, size_t size) {
    (void)context;
    send("l", data, size);
}

static void send_ifmap(void *context, const uint8_t *data, size_t size) {
    (void)context;
    send("i", data, size);
}

static void receive_ofmap(void *context, uint8_t *data, size_t size) {
    (void)context;
    wanted = data;
    wanted_size = size;
}

static int ofmap_came(void *context) {
    const uint64_t one = 1, cycles = 1000;
    uint64_t packets, size;
    (void)context;
    say("k", 1);
    say(&one, 8);
    say(&cycles, 8);
    hear(&packets, 8);
    if (!packets) return 0;
    say("o", 1);
    hear(&packets, 8);
    hear(&size, 8);
    if (packets != 2 || size != wanted_size) exit(5);
    hear(wanted, size);
    hear(&size, 8);
    if (size) exit(6);
    return 1;
}

static void drop(void *context) {
    (void)context;
    say("d", 1);
}

uint8_t *place(size_t size) {
    uint8_t *room = malloc(size + 1);
    if (!room) exit(7);
    return room;
}

void connect_port(deeplock *device) {
    const deeplock port = {.read = read_register, .write = write_register, .send_loadable = send_loadable,
                           .send_ifmap = send_ifmap, .receive_ofmap = receive_ofmap, .ofmap_came = ofmap_came,
                           .drop = drop, .patience = 100000};
    *device = port;
}
