// What the files of kernels have in common. Included in the namespace of each,
// so that each has its own, for its own instruction set.

#define MMREACT_INLINE __attribute__((always_inline))

#if defined(__clang__)
#define MMREACT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define MMREACT_UNROLL _Pragma("GCC unroll 16")
#endif

template <int I>
struct Index {
  constexpr operator int() const { return I; }
};

// f(Index<0>()), f(Index<1>()), ... f(Index<N - 1>()). So loops are unrolled
// before anything else is done with them, and elements of arrays become
// registers.
template <int N, int I = 0, class F>
inline MMREACT_INLINE void unroll(const F& f) {
  if constexpr (I < N) {
    f(Index<I>());
    unroll<N, I + 1>(f);
  }
}

// The windows of P pixels: runs of words, or of their code.
template <int P>
struct Windows {
  const uint8_t* at[P];
  const int64_t* offsets;  // from there to each run, in words
  int runs, length;
};

constexpr int64_t kNoCodes = INT64_MAX;
