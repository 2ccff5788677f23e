// A simulated board: the serial design, its UART pins behind a pseudo-terminal whose name is the first thing printed.
// It runs until its standard input ends: with the process that started it, however that ends. The last thing printed is
// the number of clock cycles that went by.
//
// The clock stands still while nothing is received, sent or computed, so that a board that nobody talks to takes no
// time. What a host does not read in time is lost, as on a wire.

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <deque>

#include "Vchandelier_serial.h"
#include "verilated.h"

namespace {

// Bits of a byte on the line: start, eight, stop.
constexpr int BITS = 10;

// Puts bytes on the receiver's pin.
class Sender {
    std::deque<uint8_t> m_waiting;
    unsigned m_shift = 0;
    int m_bits = 0, m_timer = 0;
    const int m_divisor;

  public:
    explicit Sender(int divisor) : m_divisor{divisor} {}
    void push(uint8_t byte) { m_waiting.push_back(byte); }
    std::size_t waiting() const { return m_waiting.size(); }
    bool idle() const { return !m_bits && m_waiting.empty(); }
    bool level() {
        if (!m_bits) {
            if (m_waiting.empty()) return true;
            m_shift = m_waiting.front() << 1 | 1u << (BITS - 1);
            m_waiting.pop_front();
            m_bits = BITS;
            m_timer = m_divisor;
        }
        const bool level = m_shift & 1;
        if (!--m_timer) {
            m_shift >>= 1;
            m_timer = m_divisor;
            --m_bits;
        }
        return level;
    }
};

// Reads bytes from the transmitter's pin.
class Listener {
    unsigned m_shift = 0;
    int m_bits = 0, m_timer = 0;
    const int m_divisor;

  public:
    explicit Listener(int divisor) : m_divisor{divisor} {}
    bool idle() const { return !m_bits; }
    // The byte that ends in this cycle, or a negative number.
    int clock(bool level) {
        if (!m_bits) {
            if (!level) {
                m_bits = BITS;
                m_timer = m_divisor / 2;
            }
            return -1;
        }
        if (m_timer--) return -1;
        m_timer = m_divisor - 1;
        m_shift = m_shift >> 1 | static_cast<unsigned>(level) << (BITS - 1);
        return --m_bits ? -1 : static_cast<int>(m_shift >> 1 & 0xff);
    }
};

// A pseudo-terminal that passes bytes as they are. Our own end of its other side stays open, so that a host may come
// and go.
int open_terminal() {
    const int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (master < 0 || grantpt(master) || unlockpt(master)) return -1;
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    termios settings;
    if (slave < 0 || tcgetattr(slave, &settings)) return -1;
    cfmakeraw(&settings);
    return tcsetattr(slave, TCSANOW, &settings) ? -1 : master;
}

}  // namespace

int main(int argc, char** argv) {
    const int divisor = argc > 1 ? atoi(argv[1]) : 0;
    if (divisor < 1) return 2;
    const int terminal = open_terminal();
    if (terminal < 0) {
        perror("pseudo-terminal");
        return 1;
    }
    Vchandelier_serial board;
    unsigned long long cycles = 0;
    const auto tick = [&board, &cycles] {
        ++cycles;
        board.clk = 0;
        board.eval();
        board.clk = 1;
        board.eval();
    };
    board.rx = 1;
    board.rst = 1;
    for (int k = 0; k < 4; ++k) tick();
    board.rst = 0;
    printf("%s\n", ptsname(terminal));
    fflush(stdout);

    Sender sender{divisor};
    Listener listener{divisor};
    const int bytes_of_silence = 4;  // more than the board takes to see the end of a frame, and to begin to answer
    for (int quiet = 0;;) {
        if (sender.waiting() < 64) {
            const bool asleep = quiet > bytes_of_silence * BITS * divisor;
            pollfd readable[]{{terminal, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
            uint8_t bytes[256];
            if (poll(readable, 2, asleep ? -1 : 0) > 0 && readable[1].revents) {
                printf("%llu\n", cycles);
                return 0;
            }
            const ssize_t count = read(terminal, bytes, sizeof bytes);
            if (count < 0 && errno != EAGAIN && errno != EINTR) return 0;
            for (ssize_t k = 0; k < count; ++k) sender.push(bytes[k]);
        }
        for (int k = 0; k < BITS * divisor; ++k) {
            board.rx = sender.level();
            tick();
            const int byte = listener.clock(board.tx);
            if (byte >= 0) {
                const uint8_t sent = static_cast<uint8_t>(byte);
                if (write(terminal, &sent, 1) < 0 && errno != EAGAIN) return 0;
            }
            const bool busy = !sender.idle() || !listener.idle() || (board.leds & 1);
            quiet = busy ? 0 : quiet + 1;
        }
    }
}
