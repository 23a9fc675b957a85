// The engine on the host: host ARENA [REPEATS]. Runs the job in the file ARENA, rewrites it with the results, and prints the
// nanoseconds of the fastest of REPEATS inferences of all its images. callgrind counts the instructions of infer().

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine.h"

static double nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e9 + now.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc < 2) return fputs("usage: host ARENA [REPEATS]\n", stderr), 1;
    FILE *file = fopen(argv[1], "r+b");
    if (!file || fseek(file, 0, SEEK_END)) return perror(argv[1]), 1;
    const long size = ftell(file);
    rewind(file);
    uint8_t *arena = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    if (!arena || fread(arena, 1, size, file) != (size_t)size) return perror(argv[1]), 1;
    double best = 1e30;
    for (int repeats = argc > 2 ? atoi(argv[2]) : 1; repeats > 0; --repeats) {
        const double begin = nanoseconds();
        run_job(arena);
        const double spent = nanoseconds() - begin;
        if (spent < best) best = spent;
    }
    rewind(file);
    if (fwrite(arena, 1, size, file) != (size_t)size || fclose(file)) return perror(argv[1]), 1;
    printf("%.0f\n", best);
    return 0;
}
