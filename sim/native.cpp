// The host of a simulation without Python: drives the accelerator's ports, one beat a cycle, and collects the ofmaps.
//
// usage: accelerator JOB RESULT, the key's bytes (none for suite plain) on stdin; prints the number of inferences done.
// sim/native.py writes JOB and constants.h and reads RESULT. Exit code 1 and a line on stderr: watchdog, or a refusal.
//
// The device sits behind registers on its inputs (sim/native.py:RegisteredPorts), so what is written here before an edge
// is what the device sees after it, as from any synchronous master, and Verilator evaluates the logic once a cycle.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "Vtop.h"
#include "constants.h"
#include "verilated.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "signals and files are copied as bytes");

using Bytes = std::vector<uint8_t>;

[[noreturn]] static void fail(const std::string& text) {
    std::cerr << text << std::endl;
    std::exit(1);
}

struct Job {
    uint64_t watchdog, seed, profile, inferences;
    double pauses;  // probability of a pause in each cycle of each stream
    Bytes head, parameters;
    std::vector<Bytes> ifmaps;

    explicit Job(const char* path) : file(path, std::ios::binary) {
        watchdog = number();
        seed = number();
        profile = number();
        read(&pauses, sizeof pauses);
        head = bytes();
        parameters = bytes();
        inferences = number();
        ifmaps.resize(number());
        for (Bytes& ifmap : ifmaps) ifmap = bytes();
    }

   private:
    std::ifstream file;

    void read(void* data, size_t size) {
        if (!file.read(static_cast<char*>(data), size)) fail("the job file is cut short");
    }
    uint64_t number() {
        uint64_t value;
        read(&value, sizeof value);
        return value;
    }
    Bytes bytes() {
        Bytes data(number());
        read(data.data(), data.size());
        return data;
    }
};

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

// An AXI4-Stream transmitter: a queue of packets, whose bytes it does not own.
template <typename Data>
class Source {
   public:
    uint64_t beats = 0;

    Source(Data& tdata, CData& tvalid, CData& tlast, const CData& tready, size_t width, Pauses pauses)
        : tdata(tdata), tvalid(tvalid), tlast(tlast), tready(tready), width(width), pause(pauses) {}

    void send(const Bytes& packet) { packets.push_back(&packet); }

    // Drops the packets that were not begun.
    void clear() { packets.resize(std::min(packets.size(), next + (offset != 0 || tvalid))); }

    // Before each edge: records this cycle's beat and puts the next one on the port.
    void step() {
        if (tvalid) {
            if (!tready) return;
            ++beats;
            offset += width;
            if (offset >= packets[next]->size()) {
                offset = 0;
                ++next;
            }
        }
        tvalid = next < packets.size() && !pause();
        if (!tvalid) return;
        const Bytes& packet = *packets[next];
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
    std::vector<const Bytes*> packets;
    size_t next = 0, offset = 0;
};

class Host {
   public:
    explicit Host(const Job& job)
        : job(job),
          loadable(top.s_axis_loadable_tdata, top.s_axis_loadable_tvalid, top.s_axis_loadable_tlast, top.s_axis_loadable_tready,
                constants::LOADABLE_BEAT, Pauses(job.pauses, job.seed, 0)),
          ifmap(top.s_axis_ifmap_tdata, top.s_axis_ifmap_tvalid, top.s_axis_ifmap_tlast, top.s_axis_ifmap_tready,
                constants::IFMAP_BEAT, Pauses(job.pauses, job.seed, 1)),
          pause_ofmap(job.pauses, job.seed, 2) {
        top.s_axil_wstrb = 0xF;
        top.s_axil_bready = top.s_axil_rready = 1;
        top.eval();
    }
    ~Host() { top.final(); }

    void run(Bytes& key, std::ofstream& result);

   private:
    const Job& job;
    Vtop top;
    Source<decltype(Vtop::s_axis_loadable_tdata)> loadable;
    Source<decltype(Vtop::s_axis_ifmap_tdata)> ifmap;
    Pauses pause_ofmap;
    std::vector<Bytes> ofmaps{1};  // the last one is not complete
    uint64_t cycle = 0, beats = 0, reported = 0;

    void tick();
    void write(uint32_t address, uint32_t value);
    uint32_t read(uint32_t address);
    uint32_t poll_until(uint32_t mask, uint32_t value, bool stop_at_error, const char* what);
    bool ofmaps_missing() const { return ofmaps.size() <= job.inferences; }
};

void Host::tick() {
    loadable.step();
    ifmap.step();
    if (top.m_axis_ofmap_tvalid && top.m_axis_ofmap_tready) {
        ++beats;
        uint8_t data[constants::OFMAP_BEAT];
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

void Host::write(uint32_t address, uint32_t value) {
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
    if (top.s_axil_bresp != 0) fail("the device refuses a write of register " + std::to_string(address));
    tick();
}

uint32_t Host::read(uint32_t address) {
    top.s_axil_araddr = address;
    top.s_axil_arvalid = 1;
    tick();
    while (!top.s_axil_rvalid) {
        if (top.s_axil_arready) top.s_axil_arvalid = 0;
        tick();
    }
    if (top.s_axil_rresp != 0) fail("the device refuses a read of register " + std::to_string(address));
    const uint32_t value = top.s_axil_rdata;
    tick();
    return value;
}

// Polls STATUS, less and less often, until (STATUS & mask) == value or, if asked, an error code comes.
uint32_t Host::poll_until(uint32_t mask, uint32_t value, bool stop_at_error, const char* what) {
    uint64_t pause = 32, seen = ~0ull, since = cycle;
    while (true) {
        const uint32_t status = read(constants::STATUS);
        if (const uint64_t done = ofmaps.size() - 1; done != reported) std::cout << (reported = done) << std::endl;
        if ((stop_at_error && status >> constants::ERROR_SHIFT) || (status & mask) == value) return status;
        if (const uint64_t now = loadable.beats + ifmap.beats + beats; now != seen) {
            seen = now;
            since = cycle;
        } else if (cycle - since > job.watchdog) {
            char text[32];
            std::snprintf(text, sizeof text, "0x%04x", status);
            fail("watchdog: no beat on any stream for " + std::to_string(cycle - since) + " cycles, waiting for " + what +
                 ": STATUS " + text + ", " + std::to_string(loadable.beats) + " loadable beats and " +
                 std::to_string(ifmap.beats) + " ifmap beats taken, " + std::to_string(ofmaps.size() - 1) + " of " +
                 std::to_string(job.inferences) + " ofmap packets came");
        }
        for (uint64_t i = 0; i < pause; ++i) tick();
        pause = std::min<uint64_t>(pause * 3 / 2, 4096);
    }
}

void Host::run(Bytes& key, std::ofstream& result) {
    uint64_t cycles = 0;
    for (size_t at = 0; at < key.size(); at += 4) {
        uint32_t word;
        std::memcpy(&word, key.data() + at, 4);
        write(constants::KEY0 + at, word);
    }
    if (!key.empty()) write(constants::KEY_SIZE, key.size());
    std::fill(key.begin(), key.end(), 0);

    write(constants::CONTROL, constants::LOAD);
    Bytes first(job.head);
    first.insert(first.end(), job.parameters.begin(), job.parameters.end());
    loadable.send(first);
    uint32_t status = poll_until(constants::LOADED, constants::LOADED, true, "the loadable's header and program");
    if (!(status >> constants::ERROR_SHIFT)) {
        write(constants::COUNT, job.inferences);
        write(constants::PROFILE, job.profile);
        for (const Bytes& packet : job.ifmaps) ifmap.send(packet);
        for (size_t i = 1; i < job.inferences; ++i) loadable.send(job.parameters);
        const uint64_t begin = cycle;
        write(constants::CONTROL, constants::START);
        status = poll_until(constants::DONE, constants::DONE, true, "DONE");
        cycles = cycle - begin;
    }
    if (status >> constants::ERROR_SHIFT) {
        loadable.clear();
        ifmap.clear();
        poll_until(constants::BUSY | constants::FLUSHING, 0, false, "an idle device after an error");
    } else {
        for (uint64_t i = 0; ofmaps_missing(); ++i) {  // the last beats may still be on their way
            if (i > job.watchdog) fail("watchdog: DONE, but ofmaps are missing");
            tick();
        }
        if (reported != job.inferences) std::cout << job.inferences << std::endl;
    }

    const auto put = [&result](uint64_t value) { result.write(reinterpret_cast<const char*>(&value), sizeof value); };
    put(read(constants::STATUS));
    put(cycles);
    for (const uint32_t address : constants::COUNTERS) put(read(address));
    for (size_t i = 0; i + 1 < ofmaps.size(); ++i) {
        put(ofmaps[i].size());
        result.write(reinterpret_cast<const char*>(ofmaps[i].data()), ofmaps[i].size());
    }
}

int main(int argc, char** argv) {
    if (argc != 3) fail("usage: accelerator JOB RESULT, the key on stdin");
    Bytes key{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
    const Job job(argv[1]);
    std::ofstream result(argv[2], std::ios::binary);
    auto host = std::make_unique<Host>(job);
    host->run(key, result);
    result.close();
    if (!result) fail("cannot write the result");
    return 0;
}
