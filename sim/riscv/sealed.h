// The ciphers of the sealed suites (pymodel/lock/ciphers): each opens one message without associated data.
//
// One source for RISC-V and host: on RV32 the compiler keeps a uint64_t in a pair of registers, as one would by hand.

#pragma once

#include <stdint.h>

#ifdef __riscv
// VexRiscv has the result of a shift a cycle later. So has this core, which makes the compiler put something else in between.
#define SCHEDULED __attribute__((target("tune=sifive-e76")))
#else
#define SCHEDULED
#endif

enum { TAG_WORDS = 4 };

// `words` words are opened from `from` to `to`, a multiple of 4 of them; the tag lies behind them. Key and nonce have 4 words.
// 0 if the tag is right. Nothing may use what was opened before.
uint32_t ascon_open(uint32_t *to, const uint32_t *from, uint32_t words, const uint32_t *key, const uint32_t *nonce);

// The same of a lane: any number of words, every `lanes`-th one, the tag's too.
uint32_t acorn_open(
    uint32_t *to, const uint32_t *from, uint32_t words, uint32_t lanes, const uint32_t *key, const uint32_t *nonce);
