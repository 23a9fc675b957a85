// The host of an accelerator behind its memory master, with a memory: sim/memory/host.py gives commands.
//
// usage: accelerator LATENCY BYTES PAUSES SEED; commands on stdin, answers on stdout. Time passes only inside commands. Exit code 1
// and a line on stderr if a command is not understood, or the master leaves the memory.
//
// As in sim/native.cpp the device sees what is written here before an edge after it, as from any synchronous design.

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>

#include "Vtop.h"
#include "constants.h"
#include "native.h"
#include "verilated.h"

// A memory behind AXI4: answers bursts in order, each LATENCY cycles after its address, or after its last beat of data, or as soon as
// the bus is free.
class Memory {
   public:
    Memory(Vtop& top, uint64_t latency, size_t size, double pauses, uint64_t seed)
        : top(top), latency(latency), data(size), pause(pauses, seed, 0) {}

    uint8_t* at(uint64_t address, size_t size) {
        if (address > data.size() || size > data.size() - address) fail("an address is outside of the memory");
        return data.data() + address;
    }

    // Before each edge: looks at this cycle's handshakes, and sets the next one's.
    void step(uint64_t cycle) {
        read(cycle + 1);
        write(cycle + 1);
    }

   private:
    struct Burst {
        uint64_t due, address, beats;
    };

    Vtop& top;
    const uint64_t latency;
    Bytes data;
    Pauses pause;
    std::deque<Burst> reads, writes;
    std::deque<std::pair<Bytes, uint32_t>> beats;  // of writes: data and strobes
    std::deque<uint64_t> answers;                  // when they are due

    void read(uint64_t next) {
        if (top.m_axi_rvalid && top.m_axi_rready) {
            Burst& burst = reads.front();
            burst.address += MEMORY_BEAT;
            if (--burst.beats == 0) reads.pop_front();
            top.m_axi_rvalid = 0;
        }
        if (top.m_axi_arvalid && top.m_axi_arready)
            reads.push_back({next - 1 + latency, top.m_axi_araddr, top.m_axi_arlen + 1u});
        top.m_axi_arready = !pause();
        if (top.m_axi_rvalid || reads.empty() || reads.front().due > next || pause()) return;
        std::memcpy(&top.m_axi_rdata, at(reads.front().address, MEMORY_BEAT), MEMORY_BEAT);
        top.m_axi_rlast = reads.front().beats == 1;
        top.m_axi_rvalid = 1;
    }

    void write(uint64_t next) {
        if (top.m_axi_bvalid && top.m_axi_bready) {
            answers.pop_front();
            top.m_axi_bvalid = 0;
        }
        if (top.m_axi_awvalid && top.m_axi_awready) writes.push_back({0, top.m_axi_awaddr, top.m_axi_awlen + 1u});
        if (top.m_axi_wvalid && top.m_axi_wready) {
            Bytes beat(MEMORY_BEAT);
            std::memcpy(beat.data(), &top.m_axi_wdata, MEMORY_BEAT);
            beats.emplace_back(std::move(beat), top.m_axi_wstrb);
        }
        while (!writes.empty() && !beats.empty()) {
            Burst& burst = writes.front();
            const auto& [beat, strobes] = beats.front();
            uint8_t* place = at(burst.address, MEMORY_BEAT);
            for (size_t i = 0; i < MEMORY_BEAT; ++i)
                if (strobes >> i & 1) place[i] = beat[i];
            beats.pop_front();
            burst.address += MEMORY_BEAT;
            if (--burst.beats == 0) {
                writes.pop_front();
                answers.push_back(next - 1 + latency);
            }
        }
        top.m_axi_awready = !pause();
        top.m_axi_wready = !pause();
        if (!answers.empty() && answers.front() <= next && !pause()) top.m_axi_bvalid = 1;
    }
};

// The signals of an AXI4-Lite port.
struct Registers {
    SData &awaddr, &araddr;
    CData &awvalid, &wvalid, &arvalid;
    IData& wdata;
    const CData &awready, &arready, &bvalid, &bresp, &rvalid, &rresp;
    const IData& rdata;
};
#define REGISTERS(port)                                                                                             \
    Registers {                                                                                                     \
        top.port##_awaddr, top.port##_araddr, top.port##_awvalid, top.port##_wvalid, top.port##_arvalid,            \
            top.port##_wdata, top.port##_awready, top.port##_arready, top.port##_bvalid, top.port##_bresp,          \
            top.port##_rvalid, top.port##_rresp, top.port##_rdata                                                   \
    }

class Host {
   public:
    Host(uint64_t latency, size_t size, double pauses, uint64_t seed) : memory(top, latency, size, pauses, seed) {
        top.s_axil_wstrb = top.s_axil_memory_wstrb = 0xF;
        top.s_axil_bready = top.s_axil_rready = top.s_axil_memory_bready = top.s_axil_memory_rready = 1;
        top.eval();
    }
    ~Host() { top.final(); }

    void obey(char command);

   private:
    Vtop top;
    Memory memory;
    uint64_t cycle = 0;

    void tick();
    void write(Registers port, uint32_t address, uint32_t value);
    void read(Registers port, uint32_t address);
};

void Host::tick() {
    memory.step(cycle);
    top.clk = 1;
    top.eval();
    top.clk = 0;
    top.eval();
    ++cycle;
}

// Answers the response. Both ports take address and data together.
void Host::write(Registers port, uint32_t address, uint32_t value) {
    port.awaddr = address;
    port.wdata = value;
    port.awvalid = port.wvalid = 1;
    tick();
    while (!port.bvalid) {
        if (port.awready) port.awvalid = port.wvalid = 0;
        tick();
    }
    put<uint32_t>(port.bresp);
    tick();
}

// Answers the response and the value.
void Host::read(Registers port, uint32_t address) {
    port.araddr = address;
    port.arvalid = 1;
    tick();
    while (!port.rvalid) {
        if (port.arready) port.arvalid = 0;
        tick();
    }
    put<uint32_t>(port.rresp);
    put<uint32_t>(port.rdata);
    tick();
}

void Host::obey(char command) {
    switch (command) {
        case 'w': {  // writes a register of the accelerator, or of the master
            const bool of_master = number<uint8_t>();
            const uint32_t address = number<uint32_t>(), value = number<uint32_t>();
            write(of_master ? REGISTERS(s_axil_memory) : REGISTERS(s_axil), address, value);
            break;
        }
        case 'r': {  // reads one
            const bool of_master = number<uint8_t>();
            read(of_master ? REGISTERS(s_axil_memory) : REGISTERS(s_axil), number<uint32_t>());
            break;
        }
        case 'f': {  // fills the memory
            const uint64_t address = number<uint64_t>();
            const Bytes data = bytes();
            std::copy(data.begin(), data.end(), memory.at(address, data.size()));
            break;
        }
        case 'g': {  // gets what is there
            const uint64_t address = number<uint64_t>(), size = number<uint64_t>();
            std::cout.write(reinterpret_cast<const char*>(memory.at(address, size)), size);
            break;
        }
        case 'i': {  // waits for an interrupt, at most so many cycles; answers whether it came
            const uint64_t limit = number<uint64_t>();
            for (uint64_t i = 0; !top.irq && i < limit; ++i) tick();
            put<uint8_t>(top.irq);
            break;
        }
        default: fail(std::string("no command ") + command);
    }
    if (command != 'f') std::cout.flush();
}

int main(int argc, char** argv) {
    if (argc != 5) fail("usage: accelerator LATENCY BYTES PAUSES SEED");
    std::ios::sync_with_stdio(false);
    auto host = std::make_unique<Host>(
        std::strtoull(argv[1], nullptr, 10), std::strtoull(argv[2], nullptr, 10), std::atof(argv[3]),
        std::strtoull(argv[4], nullptr, 10));
    for (char command; std::cin.get(command);) host->obey(command);
    return 0;
}
