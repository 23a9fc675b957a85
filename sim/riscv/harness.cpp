// Runs a core until it ends: soc MEMORY LATENCY MOST_CYCLES. MEMORY holds its first words, before and after.
// Exit code 1 and a line on stderr if it traps or does not end in time.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

#include "Vtop.h"
#include "Vtop___024root.h"
#include "verilated.h"

int main(int argc, char** argv) {
    if (argc != 4) return std::fputs("usage: soc MEMORY LATENCY MOST_CYCLES\n", stderr), 1;
    const auto context = std::make_unique<VerilatedContext>();
    const auto soc = std::make_unique<Vtop>(context.get());
    auto& memory = soc->rootp->soc__DOT__memory;
    std::vector<char> bytes;
    {
        std::ifstream file(argv[1], std::ios::binary);
        bytes.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    if (bytes.size() > sizeof memory) return std::fputs("the job does not fit into the memory\n", stderr), 1;
    char* const first = reinterpret_cast<char*>(&memory[0]);
    std::copy(bytes.begin(), bytes.end(), first);

    const uint64_t most = std::strtoull(argv[3], nullptr, 10);
    soc->latency = std::atoi(argv[2]);
    soc->reset = 1;
    for (uint64_t cycle = 0; !soc->ended; ++cycle) {
        if (cycle == most) return std::fprintf(stderr, "no end after %llu cycles\n", (unsigned long long)most), 1;
        soc->reset = cycle < 4;
        soc->clk = 0;
        soc->eval();
        soc->clk = 1;
        soc->eval();
    }
    soc->final();
    if (soc->ended != 1) return std::fputs("the core trapped\n", stderr), 1;
    std::copy_n(first, bytes.size(), bytes.begin());
    std::ofstream file(argv[1], std::ios::binary);
    file.write(bytes.data(), bytes.size());
    return file.flush() ? 0 : 1;
}
