// What the hosts of simulations share: commands on stdin, answers on stdout, and pauses.

#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <vector>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "signals and files are copied as bytes");

using Bytes = std::vector<uint8_t>;

[[noreturn]] static void fail(const std::string& text) {
    std::cerr << text << std::endl;
    std::exit(1);
}

template <typename Number>
static Number number() {
    Number value;
    if (!std::cin.read(reinterpret_cast<char*>(&value), sizeof value)) fail("a command is cut short");
    return value;
}

static Bytes bytes() {
    Bytes data(number<uint64_t>());
    if (!std::cin.read(reinterpret_cast<char*>(data.data()), data.size())) fail("a command is cut short");
    return data;
}

template <typename Number>
static void put(Number value) {
    std::cout.write(reinterpret_cast<const char*>(&value), sizeof value);
}

// Pauses of one stream: true with the given probability, cycle by cycle.
class Pauses {
   public:
    Pauses(double probability, uint64_t seed, uint64_t stream)
        : limit(static_cast<uint64_t>(probability * 4294967296.0)), random(seed * 4 + stream) {}
    bool operator()() { return limit != 0 && (random() >> 32) < limit; }

   private:
    uint64_t limit;
    std::mt19937_64 random;
};
