// Small matrix products between rows that are picked by index: what a convolution is made of.
//
//   rows  : out[j] = sum over taps t of a[i + shift t] * b[t]     for pairs (i, j), a [., K], b [tap, K, O], out [., O]
//   outer : d += a[i]^T * g[j]                                    for pairs (i, j), a [., K], g [., O], d [K, O]
//
// i, j and shifts are offsets in scalars. Picking rows replaces a patch matrix and its transpose: nothing is copied,
// and rows that fall on the padding are left out. Sums stay in registers, ROWS x COLS vectors.
#pragma once
#include <vector>

#if defined(__AVX512F__)
constexpr int BYTES = 64, REGISTERS = 32;
#elif defined(__AVX__)
constexpr int BYTES = 32, REGISTERS = 16;
#else
constexpr int BYTES = 16, REGISTERS = 16;
#endif

template <class S>
struct Simd {
  static constexpr int width = BYTES / sizeof(S);
  typedef S reg __attribute__((vector_size(BYTES)));
  typedef S mem __attribute__((vector_size(BYTES), aligned(sizeof(S))));
};

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

template <class S, int COLS>
INLINE void load(typename Simd<S>::reg* to, const S* from) {
  UNROLL for (int n = 0; n < COLS; n++) to[n] = *(const typename Simd<S>::mem*)(from + n * Simd<S>::width);
}

template <class S, int COLS>
INLINE void store(S* to, const typename Simd<S>::reg* from) {
  UNROLL for (int n = 0; n < COLS; n++) *(typename Simd<S>::mem*)(to + n * Simd<S>::width) = from[n];
}

// The taps of a convolution that some rows share: which, and where their input lies seen from the first one's.
struct Taps {
  std::vector<int> index, shift;
};

template <class S, int ROWS, int COLS, bool FRESH>
INLINE void rows_block(const S* a, int K, const Taps& taps, const int* i, const S* b, S* out, int O, const int* j) {
  typename Simd<S>::reg sum[ROWS][COLS], row[COLS];
  UNROLL for (int r = 0; r < ROWS; r++) {
    if (FRESH) UNROLL for (int n = 0; n < COLS; n++) sum[r][n] = typename Simd<S>::reg{};
    else load<S, COLS>(sum[r], out + j[r]);
  }
  for (unsigned t = 0; t < taps.index.size(); t++) {
    const S *from[ROWS], *at = b + (long)taps.index[t] * K * O;
    UNROLL for (int r = 0; r < ROWS; r++) from[r] = a + i[r] + taps.shift[t];
    for (int k = 0; k < K; k++, at += O) {
      load<S, COLS>(row, at);
      UNROLL for (int r = 0; r < ROWS; r++) {
        S scale = from[r][k];
        UNROLL for (int n = 0; n < COLS; n++) sum[r][n] += scale * row[n];
      }
    }
  }
  UNROLL for (int r = 0; r < ROWS; r++) store<S, COLS>(out + j[r], sum[r]);
}

template <class S, int ROWS, int COLS>
INLINE void outer_block(const S* a, const int* i, const S* g, int O, const int* j, int pairs, S* d) {
  typename Simd<S>::reg sum[ROWS][COLS], row[COLS];
  UNROLL for (int r = 0; r < ROWS; r++) load<S, COLS>(sum[r], d + (long)r * O);
  for (int p = 0; p < pairs; p++) {
    const S* scale = a + i[p];
    load<S, COLS>(row, g + j[p]);
    UNROLL for (int r = 0; r < ROWS; r++) {
      UNROLL for (int n = 0; n < COLS; n++) sum[r][n] += scale[r] * row[n];
    }
  }
  UNROLL for (int r = 0; r < ROWS; r++) store<S, COLS>(d + (long)r * O, sum[r]);
}

// A run over `count` rows in blocks of ROWS, then of what is left.
template <int ROWS, class F>
INLINE void in_blocks(int count, F block) {
  int at = 0;
  for (; at + ROWS <= count; at += ROWS) block.template operator()<ROWS>(at);
  if constexpr (ROWS > 8) { if (at + 8 <= count) { block.template operator()<8>(at); at += 8; } }
  if constexpr (ROWS > 4) { if (at + 5 == count) { block.template operator()<5>(at); return; } }
  if constexpr (ROWS > 4) { if (at + 4 <= count) { block.template operator()<4>(at); at += 4; } }
  if constexpr (ROWS > 3) { if (at + 3 <= count) { block.template operator()<3>(at); at += 3; } }
  if constexpr (ROWS > 2) { if (at + 2 <= count) { block.template operator()<2>(at); at += 2; } }
  for (; at < count; at++) block.template operator()<1>(at);
}

// Columns in blocks as wide as the registers allow.
template <class S, class F>
INLINE void in_columns(int O, F block) {
  constexpr int W = Simd<S>::width;
  int at = 0;
  if constexpr (REGISTERS >= 32) {
    for (; at + 4 * W <= O; at += 4 * W) block.template operator()<6, 4>(at);
    for (; at + 2 * W <= O; at += 2 * W) block.template operator()<12, 2>(at);
    for (; at < O; at += W) block.template operator()<12, 1>(at);
  } else {
    for (; at + 2 * W <= O; at += 2 * W) block.template operator()<6, 2>(at);
    for (; at < O; at += W) block.template operator()<6, 1>(at);
  }
}

// FRESH: out is overwritten, not added to.
template <class S, bool FRESH>
void rows(const S* a, int K, const Taps& taps, const int* i, const S* b, S* out, int O, const int* j, int pairs) {
  in_columns<S>(O, [&]<int ROWS, int COLS>(int o) {
    in_blocks<ROWS>(pairs, [&]<int R>(int p) {
      rows_block<S, R, COLS, FRESH>(a, K, taps, i + p, b + o, out + o, O, j + p);
    });
  });
}

template <class S>
void outer(const S* a, int K, const int* i, const S* g, int O, const int* j, int pairs, S* d) {
  constexpr int CHUNK = 80;  // pairs whose rows of g stay in the first cache
  for (int from = 0; from < pairs; from += CHUNK) {
    int count = from + CHUNK < pairs ? CHUNK : pairs - from;
    in_columns<S>(O, [&]<int ROWS, int COLS>(int o) {
      in_blocks<ROWS>(K, [&]<int R>(int k) {
        outer_block<S, R, COLS>(a + k, i + from, g + o, O, j + from, count, d + (long)k * O + o);
      });
    });
  }
}

// [rows, columns] -> [columns, rows]; both counts are multiples of the vector width.
template <class S>
void transpose(const S* from, S* to, long rows, long columns) {
  using reg = typename Simd<S>::reg;
  using index = decltype(reg{} > reg{});
  constexpr int W = Simd<S>::width;
  for (long r = 0; r < rows; r += W)
    for (long c = 0; c < columns; c += W) {
      reg v[W];
      UNROLL for (int k = 0; k < W; k++) load<S, 1>(v + k, from + (r + k) * columns + c);
      UNROLL for (int step = 1; step < W; step *= 2) {  // swap the off-diagonal halves of ever larger squares
        index low, high;
        for (int k = 0; k < W; k++) {
          low[k] = k & step ? W + k - step : k;
          high[k] = k & step ? W + k : k + step;
        }
        UNROLL for (int k = 0; k < W; k++) {
          if (k & step) continue;
          reg a = v[k], b = v[k + step];
          v[k] = __builtin_shuffle(a, b, low);
          v[k + step] = __builtin_shuffle(a, b, high);
        }
      }
      UNROLL for (int k = 0; k < W; k++) store<S, 1>(to + (c + k) * rows + r, v + k);
    }
}
