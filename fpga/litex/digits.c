/* Digits on a LiteX SoC: a wrong key, then two inferences, one polled and one with the interrupt. Prints PASS or FAIL.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#include <generated/csr.h>
#include <generated/mem.h>
#include <generated/sdram_phy.h>
#include <generated/soc.h>
#include <irq.h>

#include "data.h"
#include "deeplock_litex.h"

#define END "\x04" /* ends the simulation */
#define CANCEL "\x18" /* ends it with an error */

/* As in string.h, which a freestanding compiler lacks; it calls them, too. */
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);

static volatile unsigned interrupts;

static void print(const char *text) {
    for (; *text; ++text) {
        while (uart_txfull_read()) {}
        uart_rxtx_write(*text);
    }
}

static void print_number(const char *name, uint32_t value) {
    char digits[11];
    int at = sizeof digits;
    digits[--at] = 0;
    do digits[--at] = '0' + value % 10;
    while (value /= 10);
    print(name);
    print(" ");
    print(digits + at);
    print("\n");
}

static void fail(const char *what, int32_t value) {
    print("FAIL: ");
    print_number(what, value);
    print(CANCEL);
    for (;;) {}
}

/* Called by the trap vector: the accelerator's level stays until its register INTERRUPT is cleared. */
void isr(void) {
    if (!(irq_pending() & irq_getmask() & (1 << DEEPLOCK_INTERRUPT))) fail("an interrupt of another, pending", irq_pending());
    *(volatile uint32_t *)(DEEPLOCK_BASE + DEEPLOCK_REG_INTERRUPT) = 0;
    deeplock_ev_pending_write(1);
    ++interrupts;
}

static void check(const uint8_t *ofmap, size_t room) {
    for (size_t at = 0; at < room; ++at) {
        const uint8_t expected = at < sizeof OFMAP ? OFMAP[at] : 0xa5; /* nothing is written behind it */
        if (ofmap[at] != expected) fail("a wrong byte of the ofmap, number", at);
    }
}

/* What the BIOS does for an SDRAM without a data rate to find. */
static void start_sdram(void) {
    sdram_dfii_control_write(DFII_CONTROL_CKE | DFII_CONTROL_ODT | DFII_CONTROL_RESET_N);
    init_sequence();
    sdram_dfii_control_write(DFII_CONTROL_SEL);
}

int main(void) {
    /* in main memory, where the DMA reads and writes; the ofmap at an address that is no word's */
    uint8_t *loadable = (uint8_t *)MAIN_RAM_BASE;
    uint8_t *ifmap = loadable + (sizeof LOADABLE + 15) / 16 * 16;
    uint8_t *ofmap = ifmap + (sizeof IFMAP + 15) / 16 * 16 + 1;
    const size_t room = sizeof OFMAP + 4;
    deeplock device = deeplock_litex();
    int error;

    start_sdram();
    memcpy(loadable, LOADABLE, sizeof LOADABLE);
    memcpy(ifmap, IFMAP, sizeof IFMAP);
    const deeplock_loadable digits = {
        .stream = loadable,
        .head_bytes = sizeof LOADABLE, /* each inference loads anew */
        .stream_bytes = sizeof LOADABLE,
        .ifmap_bytes = sizeof IFMAP,
        .ofmap_bytes = sizeof OFMAP,
    };

#if KEY_BYTES
    uint8_t wrong[KEY_BYTES];
    memset(wrong, 0x5a, sizeof wrong);
    error = deeplock_load_key(&device, wrong, sizeof wrong);
    if (error) fail("a wrong key was not taken, error", error);
    error = deeplock_run(&device, &digits, ifmap, ofmap, 1);
    if (error != DEEPLOCK_ERROR_BAD_TAG) fail("the wrong key was not refused, error", error);
#endif

    for (unsigned run = 0; run < 2; ++run) {
#if KEY_BYTES
        error = deeplock_load_key(&device, KEY, KEY_BYTES); /* the driver then loads the program anew */
        if (error) fail("the key was not taken, error", error);
#else
        device.loaded = NULL;
#endif
        if (run == 1) {
            irq_setmask(1 << DEEPLOCK_INTERRUPT);
            deeplock_ev_enable_write(1);
            irq_setie(1);
            device.write(device.context, DEEPLOCK_REG_INTERRUPT, DEEPLOCK_INTERRUPT_DONE);
        }
        memset(ofmap, 0xa5, room);
        error = deeplock_run(&device, &digits, ifmap, ofmap, 1);
        if (error) fail("a run ended with error", error);
        check(ofmap, room);
        print_number("CYCLES", deeplock_read(&device, DEEPLOCK_REG_CYCLES));
        print_number("PARAM_STARVED", deeplock_read(&device, DEEPLOCK_REG_PARAM_STARVED));
    }
    if (interrupts != 1) fail("interrupts", interrupts);
    print("PASS: both ofmaps are right\n" END);
    for (;;) {}
}

void *memcpy(void *to, const void *from, size_t size) {
    for (size_t at = 0; at < size; ++at) ((volatile uint8_t *)to)[at] = ((const uint8_t *)from)[at];
    return to;
}

void *memset(void *to, int value, size_t size) {
    for (size_t at = 0; at < size; ++at) ((volatile uint8_t *)to)[at] = value;
    return to;
}
