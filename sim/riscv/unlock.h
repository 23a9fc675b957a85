// Unlocking: the endless AES-128 key expansion and the inverse S-box, 16 bytes a step (pymodel/lock/key_schedule.py, suites.py).

#pragma once

#include "engine.h"

#ifdef CFU
// custom-0: function 1 shifts a key word in, the fourth starts the key stream; function 0 unlocks the next word of it.
static inline uint32_t cfu_unlock(uint32_t locked) {
    uint32_t plain;
    __asm__ volatile(".insn r 0x0b, 0, 0, %0, %1, x0" : "=r"(plain) : "r"(locked));
    return plain;
}

static inline void cfu_key(uint32_t word) {
    uint32_t ignored;
    __asm__ volatile(".insn r 0x0b, 1, 0, %0, %1, x0" : "=r"(ignored) : "r"(word));
}

struct schedule {
    uint32_t unused;
};

static inline void schedule_start(struct schedule *schedule, const uint32_t *key) {
    (void)schedule;
    for (int i = 0; i < 4; ++i) cfu_key(key[i]);
}

static inline void unlock(uint32_t *to, const uint32_t *from, uint32_t steps, struct schedule *schedule) {
    (void)schedule;
    // loads, then instructions, then stores: the unit waits while the memory is in the pipeline
    for (const uint32_t *end = from + 4 * steps; from != end; from += 4, to += 4) {
        uint32_t a = from[0], b = from[1], c = from[2], d = from[3];
        BARRIER();
        a = cfu_unlock(a), b = cfu_unlock(b), c = cfu_unlock(c), d = cfu_unlock(d);
        BARRIER();
        to[0] = a, to[1] = b, to[2] = c, to[3] = d;
    }
}
#else
struct schedule {
    uint32_t word[4], rcon;
};

static inline void schedule_start(struct schedule *schedule, const uint32_t *key) {
    for (int i = 0; i < 4; ++i) schedule->word[i] = key[i];
    schedule->rcon = 1;
}

static inline uint32_t inverse(const uint8_t *from) {
    const uint32_t a = INV_SBOX[from[0]], b = INV_SBOX[from[1]], c = INV_SBOX[from[2]], d = INV_SBOX[from[3]];
    return (a | b << 8) | (c << 16 | d << 24);
}

static NOINLINE void unlock(uint32_t *restrict to, const uint32_t *restrict from, uint32_t steps, struct schedule *schedule) {
    uint32_t w0 = schedule->word[0], w1 = schedule->word[1], w2 = schedule->word[2], w3 = schedule->word[3];
    uint32_t rcon = schedule->rcon;
    for (const uint32_t *end = from + 4 * steps; from != end; from += 4, to += 4) {
        const uint8_t *bytes = (const uint8_t *)from;
        to[0] = inverse(bytes) ^ w0;
        to[1] = inverse(bytes + 4) ^ w1;
        to[2] = inverse(bytes + 8) ^ w2;
        to[3] = inverse(bytes + 12) ^ w3;
        const uint32_t a = SBOX[w3 >> 8 & 255], b = SBOX[w3 >> 16 & 255], c = SBOX[w3 >> 24], d = SBOX[w3 & 255];
        w0 ^= (a | b << 8) ^ (c << 16 | d << 24) ^ rcon;
        w1 ^= w0;
        w2 ^= w1;
        w3 ^= w2;
        rcon <<= 1;
        if (rcon & 0x100) rcon ^= 0x11b;
    }
    schedule->word[0] = w0;
    schedule->word[1] = w1;
    schedule->word[2] = w2;
    schedule->word[3] = w3;
    schedule->rcon = rcon;
}
#endif
