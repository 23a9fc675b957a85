/* Runs a job by deeplock.c on a simulated accelerator. Its port speaks sim/native.cpp's language on stdin and stdout.

   usage: driver_host JOB RESULT. The job is seven numbers of 32 bits: bytes of key, head, stream, ifmap packet, ofmap packet;
   inferences; runs of them; then key, stream and ifmaps. The result is, for each call, its return value, 32 bits; then the ofmaps
   of the last run, and CYCLES. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deeplock.h"

enum { KEY, HEAD, STREAM, IFMAP, OFMAP, COUNT, RUNS, NUMBERS };

static uint8_t *wanted;
static size_t wanted_size;

static void say(const void *data, size_t size) {
    if (fwrite(data, 1, size, stdout) != size) exit(2);
}

static void hear(void *data, size_t size) {
    fflush(stdout);
    if (fread(data, 1, size, stdin) != size) exit(3);
}

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

static uint8_t *bytes(FILE *file, size_t size) {
    uint8_t *data = malloc(size + 1);
    if (!data || fread(data, 1, size, file) != size) exit(7);
    return data;
}

int main(int argc, char **argv) {
    deeplock device = {.read = read_register, .write = write_register, .send_loadable = send_loadable,
                       .send_ifmap = send_ifmap, .receive_ofmap = receive_ofmap, .ofmap_came = ofmap_came,
                       .drop = drop, .patience = 100000};
    FILE *job = argc == 3 ? fopen(argv[1], "rb") : NULL, *result = argc == 3 ? fopen(argv[2], "wb") : NULL;
    uint32_t number[NUMBERS], run, cycles;
    int32_t returned = 0;
    if (!job || !result || fread(number, 4, NUMBERS, job) != NUMBERS) return 1;
    {
        uint8_t *key = bytes(job, number[KEY]), *stream = bytes(job, number[STREAM]);
        uint8_t *ifmaps = bytes(job, (size_t)number[IFMAP] * number[COUNT]);
        uint8_t *ofmaps = malloc((size_t)number[OFMAP] * number[COUNT] + 1);
        const deeplock_loadable loadable = {stream, number[HEAD], number[STREAM], number[IFMAP], number[OFMAP]};
        if (!ofmaps) return 7;
        memset(ofmaps, 0, (size_t)number[OFMAP] * number[COUNT]);
        for (run = 0; run < number[RUNS]; ++run) {
            if (number[KEY] && !device.loaded) {
                returned = deeplock_load_key(&device, key, number[KEY]);
                fwrite(&returned, 4, 1, result);
            }
            returned = deeplock_run(&device, &loadable, ifmaps, ofmaps, number[COUNT]);
            fwrite(&returned, 4, 1, result);
        }
        cycles = deeplock_read(&device, DEEPLOCK_REG_CYCLES);
        returned = deeplock_zeroise(&device);
        fwrite(&returned, 4, 1, result);
        fwrite(ofmaps, 1, (size_t)number[OFMAP] * number[COUNT], result);
        fwrite(&cycles, 4, 1, result);
    }
    return fclose(result) ? 8 : 0;
}
