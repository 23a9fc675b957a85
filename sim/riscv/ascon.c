// Ascon-AEAD128 (NIST SP 800-232, sections 3 and 4), opening.
//
// Words are not bit-interleaved: without a rotate instruction that would save 3 of 119 instructions a round, and a block of
// 8 rounds would pay more than 150 to change its four words there and back.

#include "sealed.h"

static const uint64_t IV = 0x00001000808c0001, SEPARATION = (uint64_t)1 << 63;

enum { OUTER = 0xf0, INNER = 0xb4, END = 0x3c };  // constants of the first of 12 and of 8 rounds, and behind the last one

struct state {
    uint64_t x0, x1, x2, x3, x4;
};

static inline uint64_t linear(uint64_t x, int a, int b) {
    return x ^ (x >> a | x << (64 - a)) ^ (x >> b | x << (64 - b));
}

static inline uint64_t load(const uint32_t *from) { return from[0] | (uint64_t)from[1] << 32; }

static inline void store(uint32_t *to, uint64_t word) { to[0] = (uint32_t)word, to[1] = (uint32_t)(word >> 32); }

// x2 and x4 are inverted throughout. So most of the S-box's terms ~a & b are a single AND or OR: there is no instruction for
// them on RV32IM.
static inline __attribute__((always_inline)) struct state permute(struct state s, uint32_t constant) {
    uint64_t x0 = s.x0, x1 = s.x1, x2 = ~s.x2, x3 = s.x3, x4 = ~s.x4;
    for (; constant != END; constant -= 15) {
        x0 ^= x4;
        x4 ^= x3;
        x2 ^= x1 ^ constant;
        const uint64_t y0 = x0 ^ (x1 | x2), y1 = x1 ^ (x2 & x3), y2 = x2 ^ (x3 | x4);
        const uint64_t y3 = x3 ^ x4 ^ (x4 & x0), y4 = x4 ^ (x0 & x1);
        x0 = linear(~(y0 ^ y4), 19, 28);
        x1 = linear(y1 ^ y0, 61, 39);
        x2 = linear(y2, 1, 6);
        x3 = linear(y3 ^ y2, 10, 17);
        x4 = linear(y4, 7, 41);
    }
    return (struct state){x0, x1, ~x2, x3, ~x4};
}

SCHEDULED uint32_t ascon_open(uint32_t *to, const uint32_t *from, uint32_t words, const uint32_t *key, const uint32_t *nonce) {
    const uint64_t k0 = load(key), k1 = load(key + 2);
    struct state s = permute((struct state){IV, k0, k1, load(nonce), load(nonce + 2)}, OUTER);
    s.x3 ^= k0;
    s.x4 ^= k1 ^ SEPARATION;
    for (const uint32_t *end = from + words; from != end; from += 4, to += 4) {
        const uint64_t c0 = load(from), c1 = load(from + 2);
        store(to, s.x0 ^ c0);
        store(to + 2, s.x1 ^ c1);
        s.x0 = c0;
        s.x1 = c1;
        s = permute(s, INNER);
    }
    s.x0 ^= 1;  // the padding is a block of its own behind whole blocks
    s.x2 ^= k0;
    s.x3 ^= k1;
    s = permute(s, OUTER);
    const uint64_t wrong = (s.x3 ^ k0 ^ load(from)) | (s.x4 ^ k1 ^ load(from + 2));
    return (uint32_t)wrong | (uint32_t)(wrong >> 32);
}
