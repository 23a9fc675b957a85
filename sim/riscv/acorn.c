// ACORN-128 v3 (Hongjun Wu, CAESAR, 2016), opening, 32 steps at a time.
//
// The six shift registers that make the state have 37 to 61 bits each, so 32 steps move one word out of each, and one in.
// Where a register begins, its tap is the low word itself.

#include "sealed.h"

// Bit i of a register is bit `begin + i` of the specification's state: begins are 0, 61, 107, 154, 193, 230 and 289.
struct state {
    uint64_t r0, r61, r107, r154, r193, r230;
    uint32_t r289;
};

static inline uint32_t at(uint64_t bits, int place) { return (uint32_t)(bits >> place); }

static inline uint64_t shift(uint64_t bits, int length, uint32_t entering) {
    return bits >> 32 | (uint64_t)entering << (length - 32);
}

static inline uint32_t majority(uint32_t a, uint32_t b, uint32_t c) { return b ^ ((a ^ b) & (b ^ c)); }

// 32 steps; `ca`, `cb` and `opens` are all ones or 0. Takes `message`, XORed with the key stream if it `opens`, which is then
// the result; else the key stream is.
static inline __attribute__((always_inline)) uint32_t
steps(struct state *s, uint32_t message, uint32_t ca, uint32_t cb, uint32_t opens) {
    const uint32_t s0 = at(s->r0, 0), s23 = at(s->r0, 23), s61 = at(s->r61, 0), s66 = at(s->r61, 5);
    const uint32_t s107 = at(s->r107, 0), s111 = at(s->r107, 4), s154 = at(s->r154, 0), s160 = at(s->r154, 6);
    const uint32_t s193 = at(s->r193, 0), s196 = at(s->r193, 3), s230 = at(s->r230, 0), s235 = at(s->r230, 5);
    const uint32_t new_61 = s61 ^ s23 ^ s0, new_107 = s107 ^ s66 ^ s61, new_154 = s154 ^ s111 ^ s107;
    const uint32_t new_193 = s193 ^ s160 ^ s154, new_230 = s230 ^ s196 ^ s193;
    const uint32_t key_stream =
        at(s->r0, 12) ^ new_154 ^ majority(s235, new_61, new_193) ^ s66 ^ (new_230 & (s111 ^ s66));
    message ^= key_stream & opens;
    const uint32_t feedback =
        ~(s0 ^ new_107 ^ majority(at(s->r230, 14), s23, s160)) ^ message ^ (s196 & ca) ^ (key_stream & cb);
    s->r0 = shift(s->r0, 61, new_61);
    s->r61 = shift(s->r61, 46, new_107);
    s->r107 = shift(s->r107, 47, new_154);
    s->r154 = shift(s->r154, 39, new_193);
    s->r193 = shift(s->r193, 37, new_230);
    s->r230 = shift(s->r230, 59, s->r289 ^ feedback << 4 ^ s235 ^ s230);
    s->r289 = feedback >> 28;
    return opens ? message : key_stream;
}

static inline void pad(struct state *s, uint32_t cb) {
    for (int word = 0; word < 8; ++word) steps(s, word == 0, word < 4 ? ~0u : 0, cb, 0);
}

SCHEDULED uint32_t acorn_open(
    uint32_t *to, const uint32_t *from, uint32_t words, uint32_t lanes, const uint32_t *key, const uint32_t *nonce) {
    struct state s = {0};
    for (int word = 0; word < 4; ++word) steps(&s, key[word], ~0u, ~0u, 0);
    for (int word = 0; word < 4; ++word) steps(&s, nonce[word], ~0u, ~0u, 0);
    for (int word = 0; word < 48; ++word) steps(&s, key[word % 4] ^ (word == 0), ~0u, ~0u, 0);
    pad(&s, ~0u);  // there is no associated data
    for (const uint32_t *end = from + lanes * words; from != end; from += lanes, to += lanes)
        *to = steps(&s, *from, ~0u, 0, ~0u);
    pad(&s, 0);
    for (int word = 0; word < 20; ++word) steps(&s, 0, ~0u, ~0u, 0);
    uint32_t wrong = 0;
    for (int word = 0; word < TAG_WORDS; ++word) wrong |= steps(&s, 0, ~0u, ~0u, 0) ^ from[lanes * word];
    return wrong;
}
