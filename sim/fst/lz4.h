// What Verilator's FST writer needs of LZ4, without the library: a valid block that holds all bytes as literals.
//
// (LZ4 block format: a token whose upper half is the number of literals, 15 meaning "and the bytes that follow",
// then the literals; the last sequence of a block ends there.) Where the writer has the choice, it takes the
// uncompressed bytes, which are shorter; only the names of the signals are stored in this form.
#pragma once
#include <cstring>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

inline int LZ4_compress_default(const char* source, char* target, int size, int) {
    char* out = target;
    *out++ = static_cast<char>((size < 15 ? size : 15) << 4);
    if (size >= 15) {
        int rest = size - 15;
        for (; rest >= 255; rest -= 255) *out++ = static_cast<char>(255);
        *out++ = static_cast<char>(rest);
    }
    std::memcpy(out, source, size);
    return static_cast<int>(out + size - target);
}
