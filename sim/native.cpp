// The host of a simulation without Python in the loop: drives the accelerator's ports, one beat a cycle, on command.
//
// usage: accelerator PAUSES SEED; commands on stdin, answers on stdout, both as sim/native.py packs them; it also writes
// constants.h. Time passes only inside commands. Exit code 1 and a line on stderr if a command is not understood.
//
// The device sits behind registers on its inputs (sim/native.py:RegisteredPorts), so what is written here before an edge
// is what the device sees after it, as from any synchronous master, and Verilator evaluates the logic once a cycle.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "Vtop.h"
#include "constants.h"
#include "native.h"
#include "verilated.h"

// An AXI4-Stream transmitter: a queue of packets.
template <typename Data>
class Source {
   public:
    uint64_t beats = 0;

    Source(Data& tdata, CData& tvalid, CData& tlast, const CData& tready, size_t width, Pauses pauses)
        : tdata(tdata), tvalid(tvalid), tlast(tlast), tready(tready), width(width), pause(pauses) {}

    void send(Bytes packet) { packets.push_back(std::move(packet)); }

    // Drops the packets of which no beat was taken. A beat that is offered is taken back, as by a host that is reset: else it
    // would be the next run's.
    void clear() {
        packets.resize(std::min<size_t>(packets.size(), offset != 0));
        if (packets.empty()) tvalid = 0;
    }

    // Before each edge: records this cycle's beat and puts the next one on the port.
    void step() {
        if (tvalid) {
            if (!tready) return;
            ++beats;
            offset += width;
            if (offset >= packets.front().size()) {
                offset = 0;
                packets.pop_front();
            }
        }
        tvalid = !packets.empty() && !pause();
        if (!tvalid) return;
        const Bytes& packet = packets.front();
        const size_t size = std::min(width, packet.size() - offset);
        if (size < width) std::memset(&tdata, 0, width);
        std::memcpy(&tdata, packet.data() + offset, size);
        tlast = offset + width >= packet.size();
    }

   private:
    Data& tdata;
    CData &tvalid, &tlast;
    const CData& tready;
    const size_t width;
    Pauses pause;
    std::deque<Bytes> packets;
    size_t offset = 0;  // in the first one
};

class Host {
   public:
    Host(double pauses, uint64_t seed)
        : loadable(top.s_axis_loadable_tdata, top.s_axis_loadable_tvalid, top.s_axis_loadable_tlast, top.s_axis_loadable_tready,
                LOADABLE_BEAT, Pauses(pauses, seed, 0)),
          ifmap(top.s_axis_ifmap_tdata, top.s_axis_ifmap_tvalid, top.s_axis_ifmap_tlast, top.s_axis_ifmap_tready,
                IFMAP_BEAT, Pauses(pauses, seed, 1)),
          pause_ofmap(pauses, seed, 2) {
        top.s_axil_wstrb = 0xF;
        top.s_axil_bready = top.s_axil_rready = 1;
        top.eval();
    }
    ~Host() { top.final(); }

    void obey(char command);

   private:
    Vtop top;
    Source<decltype(Vtop::s_axis_loadable_tdata)> loadable;
    Source<decltype(Vtop::s_axis_ifmap_tdata)> ifmap;
    Pauses pause_ofmap;
    std::vector<Bytes> ofmaps{1};  // the last one is not complete
    uint64_t cycle = 0, beats = 0, reported = 0;

    void tick();
    uint32_t write(uint32_t address, uint32_t value);
    std::pair<uint32_t, uint32_t> read(uint32_t address);
    void poll(uint32_t mask, uint32_t value, bool stop_at_error, uint64_t watchdog);
    void report();
};

void Host::tick() {
    loadable.step();
    ifmap.step();
    if (top.m_axis_ofmap_tvalid && top.m_axis_ofmap_tready) {
        ++beats;
        uint8_t data[OFMAP_BEAT];
        std::memcpy(data, &top.m_axis_ofmap_tdata, sizeof data);
        for (size_t i = 0; i < sizeof data; ++i)
            if (top.m_axis_ofmap_tkeep >> i & 1) ofmaps.back().push_back(data[i]);
        if (top.m_axis_ofmap_tlast) ofmaps.emplace_back();
    }
    top.m_axis_ofmap_tready = !pause_ofmap();
    top.clk = 1;
    top.eval();
    top.clk = 0;
    top.eval();
    ++cycle;
}

// The response.
uint32_t Host::write(uint32_t address, uint32_t value) {
    top.s_axil_awaddr = address;
    top.s_axil_wdata = value;
    top.s_axil_awvalid = top.s_axil_wvalid = 1;
    tick();
    while (!top.s_axil_bvalid) {
        const bool address_taken = top.s_axil_awready, data_taken = top.s_axil_wready;
        if (address_taken) top.s_axil_awvalid = 0;
        if (data_taken) top.s_axil_wvalid = 0;
        tick();
    }
    const uint32_t response = top.s_axil_bresp;
    tick();
    return response;
}

// The response and the value.
std::pair<uint32_t, uint32_t> Host::read(uint32_t address) {
    top.s_axil_araddr = address;
    top.s_axil_arvalid = 1;
    tick();
    while (!top.s_axil_rvalid) {
        if (top.s_axil_arready) top.s_axil_arvalid = 0;
        tick();
    }
    const std::pair<uint32_t, uint32_t> found(top.s_axil_rresp, top.s_axil_rdata);
    tick();
    return found;
}

// Says how many ofmaps are complete, if there are new ones.
void Host::report() {
    if (const uint64_t done = ofmaps.size() - 1; done != reported) {
        put('n');
        put(reported = done);
        std::cout.flush();
    }
}

// Polls STATUS, on an interrupt at once and else less and less often, until (STATUS & mask) == value or, if asked, an error code
// comes: answers 's' and STATUS.
// After `watchdog` cycles without a beat on any stream it answers 'h', STATUS, these cycles, and the beats taken.
void Host::poll(uint32_t mask, uint32_t value, bool stop_at_error, uint64_t watchdog) {
    uint64_t pause = 32, seen = ~0ull, since = cycle;
    while (true) {
        const uint32_t status = read(DEEPLOCK_REG_STATUS).second;
        report();
        if ((stop_at_error && status >> DEEPLOCK_STATUS_ERROR_CODE_SHIFT) || (status & mask) == value) {
            put('s');
            put(status);
            return;
        }
        if (const uint64_t now = loadable.beats + ifmap.beats + beats; now != seen) {
            seen = now;
            since = cycle;
        } else if (cycle - since > watchdog) {
            put('h');
            put(status);
            for (const uint64_t count : {cycle - since, loadable.beats, ifmap.beats}) put(count);
            return;
        }
        for (uint64_t i = 0; i < pause && !top.irq; ++i) tick();
        pause = std::min<uint64_t>(pause * 3 / 2, 4096);
    }
}

void Host::obey(char command) {
    switch (command) {
        case 'w': {
            const uint32_t address = number<uint32_t>(), value = number<uint32_t>();
            put(write(address, value));
            break;
        }
        case 'r': {
            const auto [response, value] = read(number<uint32_t>());
            put(response);
            put(value);
            break;
        }
        case 'l': loadable.send(bytes()); break;
        case 'i': ifmap.send(bytes()); break;
        case 'd':  // drops what was not begun
            loadable.clear();
            ifmap.clear();
            break;
        case 'p': {
            const uint32_t mask = number<uint32_t>(), value = number<uint32_t>();
            const bool stop_at_error = number<uint8_t>();
            poll(mask, value, stop_at_error, number<uint64_t>());
            break;
        }
        case 'k': {  // waits for a number of ofmaps, at most so many cycles; answers how many there are
            const uint64_t wanted = number<uint64_t>(), limit = number<uint64_t>();
            for (uint64_t i = 0; ofmaps.size() <= wanted && i < limit; ++i) tick();
            put<uint64_t>(ofmaps.size() - 1);
            break;
        }
        case 'o':  // all ofmaps so far, and what there is of the next one
            put<uint64_t>(ofmaps.size());
            for (const Bytes& ofmap : ofmaps) {
                put<uint64_t>(ofmap.size());
                std::cout.write(reinterpret_cast<const char*>(ofmap.data()), ofmap.size());
            }
            ofmaps.assign(1, {});
            reported = 0;
            break;
        case 'c': put(cycle); break;
        default: fail(std::string("no command ") + command);
    }
    if (command != 'l' && command != 'i' && command != 'd') std::cout.flush();
}

int main(int argc, char** argv) {
    if (argc != 3) fail("usage: accelerator PAUSES SEED");
    std::ios::sync_with_stdio(false);
    auto host = std::make_unique<Host>(std::atof(argv[1]), std::strtoull(argv[2], nullptr, 10));
    for (char command; std::cin.get(command);) host->obey(command);
    return 0;
}
