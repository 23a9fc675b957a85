// The accelerator's host: runs a job by deeplock.c, the exported driver. This is its port, and how a job is timed.

#include "deeplock.h"
#include "engine.h"

// What the core sees of accelerator.v.
#define REGISTERS ((volatile uint32_t *)0x90000000)
#define DMA ((volatile uint32_t *)0xa0000000)

enum { LOADABLE = 0, IFMAP = 2, OFMAP = 4, CONTROL = 6 };

static uint32_t read_register(void *context, uint32_t address) {
    (void)context;
    return REGISTERS[address / 4];
}

static void write_register(void *context, uint32_t address, uint32_t value) {
    (void)context;
    REGISTERS[address / 4] = value;
}

// The core writes through its cache, so the memory holds what it wrote.
static void begin(int stream, const uint8_t *data, size_t size) {
    BARRIER();
    DMA[stream] = (uintptr_t)data;
    DMA[stream + 1] = size;
}

static void send_loadable(void *context, const uint8_t *data, size_t size) {
    (void)context;
    begin(LOADABLE, data, size);
}

static void send_ifmap(void *context, const uint8_t *data, size_t size) {
    (void)context;
    begin(IFMAP, data, size);
}

static void receive_ofmap(void *context, uint8_t *data, size_t size) {
    (void)context;
    begin(OFMAP, data, size);
}

static int ofmap_came(void *context) {
    (void)context;
    if (!DMA[CONTROL]) return 0;
    __asm__ volatile(".word 0x500f" : : : "memory");  // VexRiscv: forget the data cache, which may hold an older ofmap
    return 1;
}

static void drop(void *context) {
    (void)context;
    DMA[CONTROL] = 0;
}

void run_job(uint8_t *arena) {
    const struct job *job = (const struct job *)arena;
    const deeplock_loadable loadable = {
        arena + job->stream, job->head_bytes, job->stream_bytes, job->ifmap_bytes, job->ofmap_bytes};
    deeplock npu = {
        .read = read_register, .write = write_register, .send_loadable = send_loadable, .send_ifmap = send_ifmap,
        .receive_ofmap = receive_ofmap, .ofmap_came = ofmap_came, .drop = drop, .patience = 1000000};
    uint32_t *results = (uint32_t *)(arena + job->results);

    uint32_t start = CYCLES();
    int error = job->key_bytes ? deeplock_load_key(&npu, (const uint8_t *)job->key, job->key_bytes) : 0;
    if (!error) error = deeplock_load_program(&npu, &loadable);
    *results++ = CYCLES() - start;
    uint32_t *const returned = results++;
    for (int32_t image = 0; image < job->images && !error; ++image, results += 3) {
        const uint8_t *ifmap = arena + job->ifmaps + image * job->ifmap_bytes;
        BARRIER();
        start = CYCLES();
        const uint32_t second = SECOND_CYCLES();
        BARRIER();
        error = deeplock_run(&npu, &loadable, ifmap, arena + job->output, 1);
        BARRIER();
        results[1] = SECOND_CYCLES() - second;
        results[0] = CYCLES() - start;
        results[2] = deeplock_read(&npu, DEEPLOCK_REG_CYCLES);
        for (int32_t i = 0; i < job->ofmap_bytes; ++i)
            arena[job->ofmaps + image * job->ofmap_bytes + i] = arena[job->output + i];
    }
    *returned = (uint32_t)error;
}
