// Popcounts without an instruction for them. vpshufb looks up many bytes in a
// table of 16: four bits of a window, xored with four weights, have as many
// ones as a table of these bits says, in which the weights of 32 output
// channels and more are looked up at once. That takes half the instructions of
// popcounts that are looked up in one table of all half bytes. Included in the
// namespace of a kernel.

constexpr int kCodeBytes = 8;
constexpr int64_t kCodesFrom = 0;

// The code of four bits of a window is 16 times their value: where in kTables
// the table of their distances to all weights begins.
struct Tables {
  uint8_t bytes[256];
};

constexpr Tables make_tables() {
  Tables tables{};
  for (int x = 0; x < 16; ++x)
    for (int w = 0; w < 16; ++w)
      for (int bit = 0; bit < 4; ++bit)
        tables.bytes[16 * x + w] += (x ^ w) >> bit & 1;
  return tables;
}

alignas(64) constexpr Tables kTables = make_tables();

struct Encoder {
  // Each half byte becomes the upper half of a byte.
  void add(const uint32_t* run, int64_t length, uint8_t* code) {
    const __m128i high = _mm_set1_epi8(static_cast<char>(0xF0));
    int64_t i = 0;
    for (; i + 4 <= length; i += 4) {
      const __m128i x =
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(run + i));
      const __m128i first = _mm_and_si128(_mm_slli_epi16(x, 4), high);
      const __m128i second = _mm_and_si128(x, high);
      __m128i* const out = reinterpret_cast<__m128i*>(code + 8 * i);
      _mm_storeu_si128(out, _mm_unpacklo_epi8(first, second));
      _mm_storeu_si128(out + 1, _mm_unpackhi_epi8(first, second));
    }
    for (; i < length; ++i) {
      uint64_t x = run[i];
      x = (x | x << 16) & 0x0000FFFF0000FFFF;
      x = (x | x << 8) & 0x00FF00FF00FF00FF;
      x = (x << 4 | x << 8) & 0xF0F0F0F0F0F0F0F0;
      __builtin_memcpy(code + 8 * i, &x, sizeof x);
    }
  }
};

// [words][eight times four bits][kBlock], one byte each. Bytes 4 i to 4 i + 3
// are the channels i, i + 8, i + 16 and i + 24, so that sums need not be moved
// to become vectors of channels side by side.
void encode_weight(const uint32_t* weight, int64_t words, uint8_t* code) {
  for (int64_t i = 0; i < words; ++i)
    for (int bit = 0; bit < 32; bit += 4)
      for (int lane = 0; lane < 8; ++lane)
        for (int j = 0; j < kBlock; j += 8)
          *code++ = weight[i * kBlock + j + lane] >> bit & 15;
}

// As many words as bytes can sum: 7 times 8 times 4 is below 256.
constexpr int kByteWords = 7;
// And halves: so many times 32 are below 65536.
constexpr int kHalfWords = 290 * kByteWords;
