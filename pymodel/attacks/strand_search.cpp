// Every state of one strand of the AES-128 key schedule (strands.py), 2^32 of them, scored against a ciphertext.
//
// A strand is a sequence of bytes y[0], y[1], ...: y[i] = y[i - 4] ^ S[y[i - 1]] ^ rcons[i] from i = 4 on; y[0..3] are free.
// Its score is the sum of tables[i][y[i]]; a state is dropped as soon as its running sum is below 0, so whoever makes the
// tables decides by how much a state may lag. Running sums saturate at 127 in the filter; the scores that come out do not.
//
// With AVX-512 VBMI 64 states go side by side, tables in registers; else one at a time. Both keep the same states.

#include <algorithm>
#include <cstdint>
#include <queue>
#include <vector>

#if defined(__AVX512VBMI__) && defined(__AVX512BW__) && !defined(PORTABLE)
#include <immintrin.h>
#define SIDE_BY_SIDE 1
#endif

namespace {

struct Found {
    int32_t score;
    uint32_t state;  // y[0] highest
    bool operator<(const Found &other) const {  // the worst on top of the queue
        return score != other.score ? score > other.score : state < other.state;
    }
};

struct Search {
    const int8_t *tables;
    const uint8_t *rcons, *sbox;
    int steps;
    size_t keep;
    uint64_t survivors = 0;
    std::priority_queue<Found> best{};

    int score_of(int i, uint8_t y) const { return tables[256 * i + y]; }

    void consider(uint32_t state) {
        uint8_t y[4] = {uint8_t(state >> 24), uint8_t(state >> 16), uint8_t(state >> 8), uint8_t(state)};
        int32_t score = 0;
        for (int i = 0; i < steps; i++) {
            if (i >= 4) y[i & 3] ^= sbox[y[(i - 1) & 3]] ^ rcons[i];
            score += score_of(i, y[i & 3]);
        }
        survivors++;
        Found found{score, state};
        if (best.size() < keep) {
            best.push(found);
        } else if (found < best.top()) {
            best.pop();
            best.push(found);
        }
    }

#ifdef SIDE_BY_SIDE
    static __m512i look_up(const __m512i *table, __m512i index) {  // table[256], in four registers
        __m512i low = _mm512_permutex2var_epi8(table[0], index, table[1]);
        __m512i high = _mm512_permutex2var_epi8(table[2], index, table[3]);
        return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
    }

    static void load(__m512i *registers, const void *table) {
        for (int part = 0; part < 4; part++) registers[part] = _mm512_loadu_si512((const char *)table + 64 * part);
    }

    void last_byte(uint32_t prefix, int sum) {
        __m512i substitute[4], table[4];
        load(substitute, sbox);
        uint8_t lanes[64];
        for (int lane = 0; lane < 64; lane++) lanes[lane] = uint8_t(lane);
        __m512i counting = _mm512_loadu_si512(lanes);
        for (int start = 0; start < 256; start += 64) {
            __m512i y[4];
            for (int i = 0; i < 3; i++) y[i] = _mm512_set1_epi8(char(prefix >> (24 - 8 * i)));
            y[3] = _mm512_or_si512(counting, _mm512_set1_epi8(char(start)));
            __m512i sums = _mm512_set1_epi8(char(sum));
            __mmask64 alive = ~__mmask64(0);
            for (int i = 3; i < steps; i++) {
                if (i > 3) {
                    __m512i fed = _mm512_xor_si512(look_up(substitute, y[(i - 1) & 3]), _mm512_set1_epi8(char(rcons[i])));
                    y[i & 3] = _mm512_xor_si512(y[i & 3], fed);
                }
                load(table, tables + 256 * i);
                sums = _mm512_adds_epi8(sums, look_up(table, y[i & 3]));
                alive &= ~_mm512_movepi8_mask(sums);
                if (!alive) break;
            }
            for (; alive; alive &= alive - 1) consider(prefix | start | __builtin_ctzll(alive));
        }
    }
#else
    void last_byte(uint32_t prefix, int sum_before) {
        for (int last = 0; last < 256; last++) {
            uint8_t y[4] = {uint8_t(prefix >> 24), uint8_t(prefix >> 16), uint8_t(prefix >> 8), uint8_t(last)};
            int sum = sum_before, i = 3;
            for (; i < steps; i++) {
                if (i > 3) y[i & 3] ^= sbox[y[(i - 1) & 3]] ^ rcons[i];
                sum = std::min(sum + score_of(i, y[i & 3]), 127);
                if (sum < 0) break;
            }
            if (i == steps) consider(prefix | last);
        }
    }
#endif

    void scan(int begin, int end) {
        for (int a = begin; a < end; a++) {
            int sum_a = score_of(0, a);
            for (int b = 0; sum_a >= 0 && b < 256; b++) {
                int sum_b = std::min(sum_a + score_of(1, b), 127);
                for (int c = 0; sum_b >= 0 && c < 256; c++) {
                    int sum_c = std::min(sum_b + score_of(2, c), 127);
                    if (sum_c >= 0) last_byte(uint32_t(a) << 24 | uint32_t(b) << 16 | uint32_t(c) << 8, sum_c);
                }
            }
        }
    }
};

}  // namespace

// tables [steps][256], rcons [steps], sbox [256]; y[0] from `begin` to `end` - 1. Gives how many states are in states and
// scores, best first and at most `keep`; survivors: how many were not dropped.
extern "C" int search(const int8_t *tables, const uint8_t *rcons, const uint8_t *sbox, int steps, int begin, int end,
                      int keep, uint32_t *states, int32_t *scores, uint64_t *survivors) {
    Search search{tables, rcons, sbox, steps, size_t(keep)};
    search.scan(begin, end);
    *survivors = search.survivors;
    int count = int(search.best.size());
    for (int i = count - 1; i >= 0; i--, search.best.pop()) {
        states[i] = search.best.top().state;
        scores[i] = search.best.top().score;
    }
    return count;
}
