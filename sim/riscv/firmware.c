// Start-up on RISC-V: reset, stack, the job, exit. No libc.

#include "engine.h"

#define EXIT (*(volatile uint32_t *)0x80000004)

enum { FINISHED = 1, TRAPPED = 2 };

#ifdef HAS_TRAPS
#define TRAPS "la t0, trap_of_program\n csrw mtvec, t0\n li t0, 1 << 31\n csrw 0xbc0, t0\n"  // the last: CFU on
#else
#define TRAPS
#endif

__attribute__((naked, section(".start"), used)) void _start(void) {
    __asm__ volatile("li sp, %0\n" TRAPS "j main_of_program" : : "i"(ARENA));
}

__attribute__((used, noreturn)) void main_of_program(void) {
    uintptr_t arena = ARENA;
    __asm__ volatile("" : "+r"(arena));
    run_job((uint8_t *)arena);
    EXIT = FINISHED;
    for (;;) continue;
}

__attribute__((used, noreturn, aligned(4))) void trap_of_program(void) {
    EXIT = TRAPPED;
    for (;;) continue;
}

// The compiler turns loops and structure copies into calls of these.
void *memcpy(void *to, const void *from, unsigned long size) {
    uint8_t *a = to;
    const uint8_t *b = from;
    for (unsigned long i = 0; i < size; ++i) {
        a[i] = b[i];
        BARRIER();
    }
    return to;
}

void *memset(void *to, int value, unsigned long size) {
    uint8_t *a = to;
    for (unsigned long i = 0; i < size; ++i) {
        a[i] = (uint8_t)value;
        BARRIER();
    }
    return to;
}
