// The three products of a convolution for one task. Memory: x [n, H, W, C], z [n, h, w, O], w [kh kw, C, O].
#pragma once
#include <algorithm>
#include <cstring>
#include <vector>

#include "products.h"

struct Geometry {
  long tasks, threads, n, C, H, W, O, h, w, kh, kw, sh, sw, ph, pw, dh, dw, pool, first;
  long inputs() const { return H * W; }
  long outputs() const { return h * w; }
  long taps() const { return kh * kw; }
};

// Which input row meets which output row at every tap, as offsets, for a group of images that share one list. Thin
// inputs (channels that do not fill a vector) are gathered into patches first and have one tap.
template <class S>
class Convolution {
 public:
  explicit Convolution(const Geometry& geometry) : g(geometry) {
    thin = g.C % Simd<S>::width != 0;
    K = thin ? g.taps() * g.C : g.C;
    group = std::max(1L, std::min(g.n, (thin ? 256 : 1024) / std::max(1L, g.outputs())));
    in.resize(thin ? 1 : g.taps());
    out.resize(in.size());
    for (long tap = 0; tap < (long)in.size(); tap++)
      for (long n = 0; n < group; n++)
        for (long y = 0; y < g.h; y++)
          for (long x = 0; x < g.w; x++) pair(tap, n, y, x);
  }

  // z (+)= conv(x, w), images from..to; z points at the first of them and is added to unless `fresh`.
  void forward(const S* x, const S* w, S* z, long from, long to, bool fresh, std::vector<S>& scratch) const {
    if (fresh && !thin) std::fill_n(z, (to - from) * g.outputs() * g.O, S(0));
    each(x, from, to, scratch, [&](const S* a, long at, long tap, int pairs) {
      const auto run = fresh && thin ? rows<S, true> : rows<S, false>;
      run(a, K, in[tap].data(), w + tap * K * g.O, z + (at - from) * g.outputs() * g.O, g.O, out[tap].data(), pairs);
    });
  }

  // gw += patches(x)^T gz, images from..to; gz points at the first of them.
  void by_w(const S* x, const S* gz, S* gw, long from, long to, std::vector<S>& scratch) const {
    each(x, from, to, scratch, [&](const S* a, long at, long tap, int pairs) {
      outer<S>(a, K, in[tap].data(), gz + (at - from) * g.outputs() * g.O, g.O, out[tap].data(), pairs, gw + tap * K * g.O);
    });
  }

  // gx += conv^T(gz, w), images from..to; gz points at the first of them; never for thin inputs.
  void by_x(const S* gz, const S* w, S* gx, long from, long to, std::vector<S>& scratch) const {
    scratch.resize(g.O * g.C);
    for (long at = from; at < to; at += group)
      for (long tap = 0; tap < g.taps(); tap++) {
        transpose<S>(w + tap * g.C * g.O, scratch.data(), g.C, g.O);
        rows<S, false>(gz + (at - from) * g.outputs() * g.O, g.O, out[tap].data(), scratch.data(),
                       gx + at * g.inputs() * g.C, g.C, in[tap].data(), pairs_of(tap, std::min(group, to - at)));
      }
  }

  long group;
  bool thin;

 private:
  const Geometry g;
  long K;
  std::vector<std::vector<int>> in, out;  // by tap

  int pairs_of(long tap, long images) const { return in[tap].size() / group * images; }

  void pair(long tap, long n, long y, long x) {
    long row = y * g.sh - g.ph + tap / g.kw * g.dh, column = x * g.sw - g.pw + tap % g.kw * g.dw;
    long to = (n * g.h + y) * g.w + x;
    bool inside = row >= 0 && row < g.H && column >= 0 && column < g.W;
    if (!thin && !inside) return;
    in[tap].push_back(K * (thin ? to : (n * g.H + row) * g.W + column));
    out[tap].push_back(g.O * to);
  }

  template <class F>
  void each(const S* x, long from, long to, std::vector<S>& scratch, F product) const {
    for (long at = from; at < to; at += group) {
      long images = std::min(group, to - at);
      const S* a = x + at * g.inputs() * g.C;
      if (thin) a = gather(a, images, scratch);
      for (long tap = 0; tap < (long)in.size(); tap++) product(a, at, tap, pairs_of(tap, images));
    }
  }

  // Patches of some images, through a copy with the padding around it, in which the taps of a filter row are adjacent.
  // Runs are copied a whole vector at a time: what is written too far is overwritten, or lies in the margin.
  const S* gather(const S* x, long images, std::vector<S>& scratch) const {
    const long high = g.H + 2 * g.ph, wide = (g.W + 2 * g.pw) * g.C, margin = Simd<S>::width;
    const long run = g.dw == 1 ? g.kw * g.C : g.C, runs = g.dw == 1 ? 1 : g.kw;
    scratch.resize(high * wide + images * g.outputs() * K + 2 * margin);
    S *padded = scratch.data(), *to = padded + high * wide + margin, *start = to;
    std::fill_n(padded, high * wide, S(0));
    for (long n = 0; n < images; n++) {
      for (long y = 0; y < g.H; y++, x += g.W * g.C)
        std::copy_n(x, g.W * g.C, padded + (y + g.ph) * wide + g.pw * g.C);
      for (long y = 0; y < g.h; y++)
        for (long c = 0; c < g.w; c++)
          for (long i = 0; i < g.kh; i++)
            for (long j = 0; j < runs; j++, to += run) {
              const S* from = padded + (y * g.sh + i * g.dh) * wide + (c * g.sw + j * g.dw) * g.C;
              for (long k = 0; k < run; k += Simd<S>::width) {
                typename Simd<S>::reg part;
                load<S, 1>(&part, from + k);
                store<S, 1>(to + k, &part);
              }
            }
    }
    return start;
  }
};
