/* Runs a job by deeplock.c on a simulated accelerator, over one of the ports of driver_port.h.

   usage: driver_host JOB RESULT. The job is seven numbers of 32 bits: bytes of key, head, stream, ifmap packet, ofmap packet;
   inferences; runs of them; then key, stream and ifmaps. The result is, for each call, its return value, 32 bits; then the ofmaps
   of the last run, and CYCLES. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver_port.h"

enum { KEY, HEAD, STREAM, IFMAP, OFMAP, COUNT, RUNS, NUMBERS };

void say(const void *data, size_t size) {
    if (fwrite(data, 1, size, stdout) != size) exit(2);
}

void hear(void *data, size_t size) {
    fflush(stdout);
    if (fread(data, 1, size, stdin) != size) exit(3);
}

static uint8_t *bytes(FILE *file, size_t size) {
    uint8_t *data = place(size);
    if (fread(data, 1, size, file) != size) exit(7);
    return data;
}

int main(int argc, char **argv) {
    deeplock device = {0};
    FILE *job = argc == 3 ? fopen(argv[1], "rb") : NULL, *result = argc == 3 ? fopen(argv[2], "wb") : NULL;
    uint32_t number[NUMBERS], run, cycles;
    int32_t returned = 0;
    if (!job || !result || fread(number, 4, NUMBERS, job) != NUMBERS) return 1;
    {
        uint8_t *key = bytes(job, number[KEY]), *stream = bytes(job, number[STREAM]);
        uint8_t *ifmaps = bytes(job, (size_t)number[IFMAP] * number[COUNT]);
        uint8_t *ofmaps = place((size_t)number[OFMAP] * number[COUNT]);
        const deeplock_loadable loadable = {stream, number[HEAD], number[STREAM], number[IFMAP], number[OFMAP]};
        connect_port(&device);
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
