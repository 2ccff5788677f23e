// What the simulated design and the cocotb test share: the beats to send and those seen, in plain buffers.
//
// The design calls the functions of harness.sv through DPI; the test, in the same process, calls those marked so
// through ctypes, a few times per thousand cycles. Buffers belong to this file and live as long as the process.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

// xorshift64*: quick, and the same on every machine.
class Random {
    uint64_t m_state = 1;

  public:
    void seed(uint64_t seed) {
        // One round of splitmix64 makes any two seeds differ in many bits; the state must not be zero.
        uint64_t z = seed + 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        m_state = (z ^ (z >> 31)) | 1;
    }
    uint32_t next() {
        m_state ^= m_state >> 12;
        m_state ^= m_state << 25;
        m_state ^= m_state >> 27;
        return static_cast<uint32_t>((m_state * 0x2545f4914f6cdd1du) >> 32);
    }
};

constexpr uint64_t FIRST_OF_SAMPLE = 1ull << 63;

struct Design {
    std::vector<uint64_t> beats;
    std::size_t words = 1;     // of a beat
    std::size_t position = 0;  // of the next beat to offer
    uint32_t source_stall = 0, sink_stall = 0;  // probability of a pause, in units of 2**-32
    Random source, sink;
    std::vector<uint64_t> started, finished;  // cycles of each sample's first input beat and of its result
};

struct Tap {
    std::vector<uint64_t> words;
    uint64_t expected = 0;  // words; more are counted, not kept
    uint64_t seen = 0;
    uint64_t waited = 0;  // beats that were not taken at once
    uint64_t violations = 0;
    uint64_t first_violation = 0;  // cycle
};

std::vector<Design> designs;
std::vector<Tap> taps;
uint64_t activity = 0;

}  // namespace

extern "C" {

// Called by harness.sv.

long long harness_next_beat(int number, unsigned char taken, unsigned long long cycle) {
    Design& design = designs[number];
    if (taken && design.beats[design.position - design.words] & FIRST_OF_SAMPLE) design.started.push_back(cycle);
    if (design.position == design.beats.size()) return -1;
    if (design.source_stall && design.source.next() < design.source_stall) return -1;
    activity++;
    design.position += design.words;
    return design.beats[design.position - design.words] & ~FIRST_OF_SAMPLE;
}

// A further word of the beat that was asked for last; nothing, if that is a pause.
long long harness_beat_word(int number, int word) {
    Design& design = designs[number];
    return design.position ? design.beats[design.position - design.words + word] : 0;
}

unsigned char harness_sink_ready(int number) {
    Design& design = designs[number];
    return !(design.sink_stall && design.sink.next() < design.sink_stall);
}

void harness_result(int number, unsigned long long cycle) { designs[number].finished.push_back(cycle); }

void harness_word(int number, unsigned long long word) {
    Tap& tap = taps[number];
    if (tap.seen++ >= tap.expected) return;
    tap.words.push_back(word);
    activity++;
}

void harness_waited(int number) { taps[number].waited++; }

void harness_violation(int number, unsigned long long cycle) {
    Tap& tap = taps[number];
    if (tap.violations++ == 0) tap.first_violation = cycle;
}

// Called by the test.

void harness_add_design(
    const uint64_t* beats, uint64_t count, uint64_t words, uint32_t source_stall, uint32_t sink_stall, uint64_t seed
) {
    Design& design = designs.emplace_back();
    design.words = words;
    design.beats.assign(beats, beats + count);
    design.source_stall = source_stall;
    design.sink_stall = sink_stall;
    design.source.seed(2 * seed);
    design.sink.seed(2 * seed + 1);
}

void harness_add_tap(uint64_t expected_words) {
    Tap& tap = taps.emplace_back();
    tap.expected = expected_words;
    tap.words.reserve(expected_words);
}

// Beats and words moved so far: as long as it grows, the designs make progress.
uint64_t harness_activity() { return activity; }

uint64_t harness_results(int design) { return designs[design].finished.size(); }
uint64_t harness_samples_started(int design) { return designs[design].started.size(); }
const uint64_t* harness_started(int design) { return designs[design].started.data(); }
const uint64_t* harness_finished(int design) { return designs[design].finished.data(); }

const uint64_t* harness_words(int tap) { return taps[tap].words.data(); }
uint64_t harness_words_seen(int tap) { return taps[tap].seen; }
uint64_t harness_beats_waited(int tap) { return taps[tap].waited; }
uint64_t harness_violations(int tap) { return taps[tap].violations; }
uint64_t harness_first_violation(int tap) { return taps[tap].first_violation; }
}
