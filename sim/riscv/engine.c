#include "engine.h"

#include "sealed.h"
#include "unlock.h"

enum { CHANNELS = 4 };  // output channels of a block: the four weights of a position make a word
enum { PIECE = 64 };    // positions of a dense layer whose weights are unlocked at a time

// ---------------------------------------------------------------------------------------------------------------------
// Where parameters come from: plain memory, or a locked stream of which only the piece in use is ever unlocked.

struct parameters {
    const uint32_t *next;       // of the stream
    uint32_t *scratch;          // null: the stream is plain
    uint32_t ready, spent;      // words in scratch; words of them that were taken
    struct schedule schedule;
};

static const uint32_t *take(struct parameters *parameters, uint32_t words) {
    if (!parameters->scratch) {
        const uint32_t *taken = parameters->next;
        parameters->next += words;
        return taken;
    }
    uint32_t *scratch = parameters->scratch, left = parameters->ready - parameters->spent;
    for (uint32_t i = 0; i < left; ++i) scratch[i] = scratch[parameters->spent + i];
    if (words > left) {
        const uint32_t steps = (words - left + 3) / 4;
        unlock(scratch + left, parameters->next, steps, &parameters->schedule);
        parameters->next += 4 * steps;
        left += 4 * steps;
    }
    parameters->ready = left;
    parameters->spent = words;
    return scratch;
}

// ---------------------------------------------------------------------------------------------------------------------
// Requantise (docs/architecture.md, "Arithmetic contract")

struct scale {
    int32_t bias, factor, shift;  // shift < 0: `factor` is the bare multiplier, -1 - shift the distance
};

static inline struct scale scale_of(int32_t bias, uint32_t multiplier, uint32_t shift) {
    if (shift < 18) return (struct scale){bias, (int32_t)multiplier, -(int32_t)shift};
    if (shift <= 33) return (struct scale){bias, (int32_t)(multiplier << (33 - shift)), 0};
    return (struct scale){bias, (int32_t)multiplier, (int32_t)shift - 33};
}

static NOINLINE int32_t scale_far(int32_t total, int32_t multiplier, uint32_t distance) {
    const int64_t product = (int64_t)total * multiplier;
    const uint32_t low = (uint32_t)product;
    const int32_t high = (int32_t)(product >> 32) >> distance;
    const int32_t result = (int32_t)((uint32_t)(product >> 32) << 1 << (31 - distance) | low >> distance);
    if (high != result >> 31) return high < 0 ? -(1 << 20) : 1 << 20;
    return result;
}

static INLINE int32_t clamp(int32_t value, int32_t lo, int32_t hi) {
    if (value < lo) value = lo;
    return value > hi ? hi : value;
}

static INLINE int32_t scale_near(int32_t total, struct scale scale) {
    return (((int32_t)((int64_t)total * scale.factor >> 32) >> scale.shift) + 1) >> 1;
}

static inline int32_t requantise(int32_t total, struct scale scale, const struct layer *layer) {
    const int32_t value =
        scale.shift >= 0 ? scale_near(total, scale) : (scale_far(total, scale.factor, -1 - scale.shift) + 1) >> 1;
    return clamp(value + layer->zero_point, layer->lo, layer->hi);
}

// ---------------------------------------------------------------------------------------------------------------------
// Convolution and dense layers

struct block {
    struct scale scale[CHANNELS];
    int32_t zero_point, lo, hi;
    uint32_t wrap;     // bits by which sums are moved up and down again
    int8_t *to;        // first output pixel, first channel of the block
    uint32_t count;    // channels that exist
    int usual;         // all of them do, sums do not wrap, and no scale is far
};

#define MAC2(at)                                                                            \
    do {                                                                                    \
        ORDERED();                                                                          \
        const int32_t w0 = w[4 * (at)], w1 = w[4 * (at) + 1], a0 = a[at], b0 = b[at];       \
        const int32_t w2 = w[4 * (at) + 2], w3 = w[4 * (at) + 3];                           \
        sums[0] += w0 * a0, sums[1] += w1 * a0, sums[2] += w2 * a0, sums[3] += w3 * a0;     \
        sums[4] += w0 * b0, sums[5] += w1 * b0, sums[6] += w2 * b0, sums[7] += w3 * b0;     \
    } while (0)

#define MAC1(at)                                                                            \
    do {                                                                                    \
        ORDERED();                                                                          \
        const int32_t w0 = w[4 * (at)], w1 = w[4 * (at) + 1], a0 = a[at];                   \
        const int32_t w2 = w[4 * (at) + 2], w3 = w[4 * (at) + 3];                           \
        sums[0] += w0 * a0, sums[1] += w1 * a0, sums[2] += w2 * a0, sums[3] += w3 * a0;     \
    } while (0)

// Adds a whole window of each of two pixels.
static INLINE void windows(const struct layer *layer, const int8_t *w, const int8_t *a, const int8_t *b, int32_t *sums) {
    const uint32_t run = layer->run;
    const int32_t skip = layer->row_pitch - run;
    for (int32_t rows = layer->kernel_h; rows; --rows, a += skip, b += skip) {
        for (const int8_t *end = a + (run & ~3u); a != end; a += 4, b += 4, w += 16) {
            MAC2(0);
            MAC2(1);
            MAC2(2);
            MAC2(3);
        }
        if (run & 2) {
            MAC2(0);
            MAC2(1);
            a += 2, b += 2, w += 8;
        }
        if (run & 1) {
            MAC2(0);
            a += 1, b += 1, w += 4;
        }
    }
}

static INLINE void start(const struct block *block, int32_t *sums, int pixels) {
    for (int i = 0; i < pixels * CHANNELS; ++i) sums[i] = block->scale[i % CHANNELS].bias;
}

static INLINE int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

// Wraps to 24 bits for a narrow layer, before any maximum. Requantising is monotone, so the maximum may be taken before it.
static INLINE void wrap(const struct block *block, int32_t *sums, int count) {
    if (__builtin_expect(block->wrap != 0, 0))
        for (int i = 0; i < count; ++i) sums[i] = (int32_t)((uint32_t)sums[i] << block->wrap) >> block->wrap;
}

static NOINLINE void finish_unusual(const struct layer *layer, const struct block *block, int8_t *to, const int32_t *totals) {
    for (uint32_t i = 0; i < block->count && i < CHANNELS; ++i)
        to[i] = (int8_t)requantise(totals[i], block->scale[i], layer);
}

static INLINE void finish(const struct layer *layer, const struct block *block, int8_t *to, const int32_t *totals) {
    if (__builtin_expect(!block->usual, 0)) {
        const int32_t copy[CHANNELS] = {totals[0], totals[1], totals[2], totals[3]};
        finish_unusual(layer, block, to, copy);
        return;
    }
    const int32_t zero_point = block->zero_point, lo = block->lo, hi = block->hi;
    for (int i = 0; i < CHANNELS; ++i)
        to[i] = (int8_t)clamp(scale_near(totals[i], block->scale[i]) + zero_point, lo, hi);
}

// Pixels of one block, followed by a max-pool of 2x2.
static NOINLINE void convolve_pooled(const struct layer *layer, const struct block *block, const int8_t *w, const int8_t *from) {
    int8_t *to = block->to;
    for (int32_t y = layer->out_h; y; --y, from += 2 * layer->row_step) {
        const int8_t *at = from;
        for (int32_t x = layer->out_w; x; --x, at += 2 * layer->pixel_step, to += layer->channels) {
            int32_t best[CHANNELS], sums[2 * CHANNELS];
            start(block, sums, 2);
            windows(layer, w, at, at + layer->pixel_step, sums);
            wrap(block, sums, 2 * CHANNELS);
            for (int i = 0; i < CHANNELS; ++i) best[i] = larger(sums[i], sums[i + 4]);
            start(block, sums, 2);
            windows(layer, w, at + layer->row_step, at + layer->row_step + layer->pixel_step, sums);
            wrap(block, sums, 2 * CHANNELS);
            for (int i = 0; i < CHANNELS; ++i) best[i] = larger(best[i], larger(sums[i], sums[i + 4]));
            finish(layer, block, to, best);
        }
    }
}

static NOINLINE void convolve(const struct layer *layer, const struct block *block, const int8_t *w, const int8_t *from) {
    int8_t *to = block->to;
    const int8_t *at = from;
    int32_t x = layer->out_w;
    const int32_t back = layer->row_step - layer->out_w * layer->pixel_step;
    for (int32_t pixels = layer->out_w * layer->out_h; pixels > 0; pixels -= 2) {
        const int8_t *first = at;
        at += layer->pixel_step;
        if (--x == 0) at += back, x = layer->out_w;
        const int8_t *second = pixels > 1 ? at : first;
        at += layer->pixel_step;
        if (--x == 0) at += back, x = layer->out_w;
        int32_t sums[2 * CHANNELS];
        start(block, sums, 2);
        windows(layer, w, first, second, sums);
        wrap(block, sums, 2 * CHANNELS);
        finish(layer, block, to, sums);
        to += layer->channels;
        if (pixels > 1) finish(layer, block, to, sums + CHANNELS);
        to += layer->channels;
    }
}

static INLINE const int8_t *accumulate(const int8_t *w, const int8_t *a, uint32_t count, int32_t *sums) {
    for (const int8_t *end = a + (count & ~3u); a != end; a += 4, w += 16) {
        MAC1(0);
        MAC1(1);
        MAC1(2);
        MAC1(3);
    }
    for (count &= 3; count; --count, ++a, w += 4) MAC1(0);
    return a;
}

// One output pixel: weights are used once, so they are unlocked a piece at a time.
static NOINLINE void connect(
    const struct layer *layer, const struct block *block, struct parameters *parameters, const int8_t *from) {
    int32_t sums[CHANNELS];
    start(block, sums, 1);
    const uint32_t piece = parameters->scratch ? PIECE : ~0u;
    for (int32_t rows = layer->kernel_h; rows; --rows, from += layer->row_pitch) {
        const int8_t *at = from;
        for (uint32_t left = layer->run, count; left; left -= count) {
            count = left < piece ? left : piece;
            at = accumulate((const int8_t *)take(parameters, count), at, count, sums);
        }
    }
    wrap(block, sums, CHANNELS);
    finish(layer, block, block->to, sums);
}

static void weighted(const struct layer *layer, uint8_t *arena, struct parameters *parameters) {
    const int8_t *from = (const int8_t *)arena + layer->source;
    for (int32_t channel = 0; channel < layer->channels; channel += CHANNELS) {
        struct block block = {
            .zero_point = layer->zero_point, .lo = layer->lo, .hi = layer->hi, .wrap = layer->wrap,
            .to = (int8_t *)arena + layer->destination + channel, .count = layer->channels - channel};
        block.usual = block.count >= CHANNELS && !block.wrap;
        const uint32_t *entries = take(parameters, 2 * CHANNELS);
        for (int i = 0; i < CHANNELS; ++i) {
            const uint32_t *entry = entries + 2 * i;
            block.scale[i] = scale_of(
                entry_bias(entry), entry_multiplier(entry) | ENTRY_LEADING_ONE, entry_shift_1(entry) + 1);
            block.usual &= block.scale[i].shift >= 0;
        }
        if (!layer->pool && layer->out_w * layer->out_h == 1) {
            connect(layer, &block, parameters, from);
            continue;
        }
        const int8_t *w = (const int8_t *)take(parameters, layer->kernel_h * layer->run);
        (layer->pool ? convolve_pooled : convolve)(layer, &block, w, from);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Layers without weights

static void pad(const struct layer *layer, uint8_t *arena) {
    int8_t *to = (int8_t *)arena + layer->destination;
    const int8_t *from = (const int8_t *)arena + layer->source;
    for (int32_t i = 0; i < layer->bytes; ++i) to[i] = (int8_t)layer->zero_point;
    to += layer->first;
    for (int32_t y = 0; y < layer->out_h; ++y, to += layer->row_step, from += layer->row_pitch)
        for (int32_t i = 0; i < layer->row_pitch; ++i) to[i] = from[i];
}

// A window of each output pixel, channel by channel: its maximum, or its sum requantised.
static void pool(const struct layer *layer, uint8_t *arena) {
    int8_t *to = (int8_t *)arena + layer->destination;
    const struct scale scale = scale_of(layer->bias, layer->multiplier, layer->shift);
    for (int32_t y = 0; y < layer->out_h; ++y)
        for (int32_t x = 0; x < layer->out_w; ++x)
            for (int32_t channel = 0; channel < layer->channels; ++channel) {
                const int8_t *from = (const int8_t *)arena + layer->source;
                from += y * layer->row_step + x * layer->pixel_step + channel;
                int32_t best = -128, sum = layer->bias;
                for (int32_t row = 0; row < layer->kernel_h; ++row, from += layer->row_pitch)
                    for (int32_t at = 0; at < layer->run; at += layer->channels) {
                        best = larger(best, from[at]);
                        sum += from[at];
                    }
                *to++ = (int8_t)(layer->kind == MAX_POOL ? best : requantise(sum, scale, layer));
            }
}

static void add(const struct layer *layer, uint8_t *arena) {
    const int8_t *a = (const int8_t *)arena + layer->source, *b = (const int8_t *)arena + layer->other;
    int8_t *to = (int8_t *)arena + layer->destination;
    const struct scale scale = scale_of(layer->bias, layer->multiplier, layer->shift);
    for (int32_t i = 0; i < layer->bytes; ++i)
        to[i] = (int8_t)requantise(layer->weight_a * a[i] + layer->weight_b * b[i] + layer->bias, scale, layer);
}

// ---------------------------------------------------------------------------------------------------------------------

// Opens a sealed stream, lane by lane; 0, and nothing is left of it, if a tag is wrong.
static int open_stream(const struct job *job, uint32_t *to, const uint32_t *from) {
    const uint32_t words = job->parameter_bytes / 4;
    uint32_t wrong = 0, nonce[4] = {0, job->nonce[1], job->nonce[2], job->nonce[3]};
    nonce[0] = (job->nonce[0] & ~255u) | PARAMETERS << 4;
    if (job->suite == SUITE_ASCON) wrong = ascon_open(to, from, words, job->key, nonce);
    for (uint32_t lane = 0; job->suite == SUITE_ACORN && lane < LANES; ++lane, ++nonce[0])
        wrong |= acorn_open(to + lane, from + lane, words / LANES, LANES, job->key, nonce);
    for (uint32_t i = 0; wrong && i < words; ++i) to[i] = 0;
    return !wrong;
}

// One inference; returns the cycles that unlocking took before it, or REFUSED.
NOINLINE uint32_t infer(uint8_t *arena, uint32_t *layer_cycles) {
    const struct job *job = (const struct job *)arena;
    struct parameters parameters = {.next = (const uint32_t *)(arena + job->parameters)};
    uint32_t unlocking = 0;
    if (job->suite == SUITE_DEEP_LOCK) schedule_start(&parameters.schedule, job->key);
    if (job->variant == UNLOCK_ALL) {
        unlocking = CYCLES();
        uint32_t *plain = (uint32_t *)(arena + job->unlocked);
        if (job->suite == SUITE_DEEP_LOCK)
            unlock(plain, parameters.next, job->parameter_bytes / 16, &parameters.schedule);
        else if (!open_stream(job, plain, parameters.next))
            return REFUSED;
        parameters.next = plain;
        unlocking = CYCLES() - unlocking;
    } else if (job->variant == FUSED) {
        parameters.scratch = (uint32_t *)(arena + job->scratch);
    }
    const struct layer *layer = (const struct layer *)(arena + job->table);
    for (int32_t i = 0; i < job->layers; ++i, ++layer) {
        const uint32_t begin = CYCLES();
        switch (layer->kind) {
            case WEIGHTED: weighted(layer, arena, &parameters); break;
            case PAD: pad(layer, arena); break;
            case ADD: add(layer, arena); break;
            default: pool(layer, arena);
        }
        layer_cycles[i] = CYCLES() - begin;
    }
    return unlocking;
}

void run_job(uint8_t *arena) {
    const struct job *job = (const struct job *)arena;
    uint32_t *results = (uint32_t *)(arena + job->results);
    for (int32_t image = 0; image < job->images; ++image) {
        for (int32_t i = 0; i < job->ifmap_bytes; ++i)
            arena[job->input + i] = arena[job->ifmaps + image * job->ifmap_bytes + i];
        BARRIER();
        const uint32_t begin = CYCLES(), second = SECOND_CYCLES();
        BARRIER();
        const uint32_t unlocking = infer(arena, results + 3 * job->images);
        BARRIER();
        const uint32_t second_end = SECOND_CYCLES();
        results[3 * image] = CYCLES() - begin;
        results[3 * image + 1] = second_end - second;
        results[3 * image + 2] = unlocking;
        if (unlocking == REFUSED) return;
        for (int32_t i = 0; i < job->ofmap_bytes; ++i)
            arena[job->ofmaps + image * job->ofmap_bytes + i] = arena[job->output + i];
    }
}
