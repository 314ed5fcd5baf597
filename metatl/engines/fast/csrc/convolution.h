// The three products of a convolution for one task. Memory: x [n, H, W, C], z [n, h, w, O], w [kh kw, C, O].
#pragma once
#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "products.h"

struct Geometry {
  long tasks, threads, n, C, H, W, O, h, w, kh, kw, sh, sw, ph, pw, dh, dw, pool, first;
  long inputs() const { return H * W; }
  long outputs() const { return h * w; }
  long taps() const { return kh * kw; }
};

// A part of a task that is worked on while it is near: some images, or some lines of one image.
struct Part {
  long from, to, top, bottom;
  long start(const Geometry& g) const { return (from * g.h + top) * g.w; }
  long rows(const Geometry& g) const { return ((to - from - 1) * g.h + bottom - top) * g.w; }
};

// Which input row meets which output row, as offsets, for a group of images that share the lists. Thin inputs
// (channels that do not fill a vector) are gathered into patches first, some lines at a time, and have one tap.
template <class S>
class Convolution {
 public:
  explicit Convolution(const Geometry& geometry) : g(geometry) {
    thin = g.C % Simd<S>::width != 0;
    K = thin ? g.taps() * g.C : g.C;
    group = std::max(1L, std::min(g.n, 1024 / std::max(1L, g.outputs())));
    lines = std::max(2L, 512 / g.w / 2 * 2);
    if (thin) {
      everything.index = everything.shift = {0};
      for (int row = 0; row < lines * g.w; row++) {
        straight.push_back(row * K);
        out_thin.push_back(row * g.O);
      }
    } else {
      list_pairs();
      few = group * g.outputs() < 160;
      ahead = few ? by_tap(in, out) : by_row(in, out, g.outputs(), g.O);
      back = few ? by_tap(out, in) : by_row(out, in, g.inputs(), g.C);
    }
  }

  // f(part): groups of images, or lines of an image where inputs are thin.
  template <class F>
  void parts(F f) const {
    for (long at = 0; at < g.n; at += thin ? 1 : group)
      for (long top = 0; top < g.h; top += thin ? lines : g.h)
        f(Part{at, thin ? at + 1 : std::min(g.n, at + group), top, thin ? std::min(g.h, top + lines) : g.h});
  }

  // z (+)= conv(x, w) of a part; z points at its first row and is added to unless FRESH.
  template <bool FRESH>
  void forward(const S* x, const S* w, S* z, const Part& part, std::vector<S>& scratch) const {
    if (thin) {
      const S* patches = gather(x, part, scratch);
      rows<S, FRESH>(patches, K, everything, straight.data(), w, z, g.O, out_thin.data(), part.rows(g));
    } else {
      run<FRESH>(ahead, x + part.from * g.inputs() * g.C, g.C, w, z, g.outputs(), g.O, part.to - part.from);
    }
  }

  // gw += patches(x)^T gz of a part; gz points at its first row.
  void by_w(const S* x, const S* gz, S* gw, const Part& part, std::vector<S>& scratch) const {
    if (thin) {
      const S* patches = gather(x, part, scratch);
      outer<S>(patches, K, straight.data(), gz, g.O, out_thin.data(), part.rows(g), gw);
      return;
    }
    for (long tap = 0; tap < g.taps(); tap++)
      outer<S>(x + part.from * g.inputs() * g.C, K, in[tap].data(), gz, g.O, out[tap].data(),
               in[tap].size() / group * (part.to - part.from), gw + tap * K * g.O);
  }

  // gx = conv^T(gz, w) of a part, w transposed; gz points at its first row; never for thin inputs.
  void by_x(const S* gz, const S* transposed, S* gx, const Part& part) const {
    run<true>(back, gz, g.O, transposed, gx + part.from * g.inputs() * g.C, g.inputs(), g.C, part.to - part.from);
  }

  // [tap, C, O] -> [tap, O, C].
  const S* transpose(const S* w, std::vector<S>& scratch) const {
    scratch.resize(g.taps() * g.C * g.O);
    for (long at = 0; at < (long)scratch.size(); at += g.C * g.O) ::transpose(w + at, scratch.data() + at, g.C, g.O);
    return scratch.data();
  }

  bool thin, few = false;
  long group, lines;

 private:
  // Rows that see the same taps at the same distances.
  struct Class {
    Taps taps;
    std::vector<int> from, to;
  };

  const Geometry g;
  long K;
  std::vector<std::vector<int>> in, out;  // by tap: the pairs of rows that meet there
  std::vector<Class> ahead, back;         // by output row, by input row
  Taps everything;
  std::vector<int> straight, out_thin;

  void list_pairs() {
    in.resize(g.taps());
    out.resize(g.taps());
    for (long tap = 0; tap < g.taps(); tap++)
      for (long n = 0; n < group; n++)
        for (long y = 0; y < g.h; y++)
          for (long x = 0; x < g.w; x++) {
            long row = y * g.sh - g.ph + tap / g.kw * g.dh, column = x * g.sw - g.pw + tap % g.kw * g.dw;
            if (row < 0 || row >= g.H || column < 0 || column >= g.W) continue;
            in[tap].push_back(((n * g.H + row) * g.W + column) * g.C);
            out[tap].push_back(((n * g.h + y) * g.w + x) * g.O);
          }
  }

  using Pairs = std::vector<std::vector<int>>;

  // Few rows: tap by tap, added up in memory; long runs of rows share the registers' sums.
  std::vector<Class> by_tap(const Pairs& from, const Pairs& to) const {
    std::vector<Class> list;
    for (int tap = 0; tap < (int)to.size(); tap++) list.push_back({{{tap}, {0}}, from[tap], to[tap]});
    return list;
  }

  // Many rows: all taps of a row at once, summed in registers; every class has as many rows in each image.
  std::vector<Class> by_row(const Pairs& from, const Pairs& to, long rows, long width) const {
    std::vector<Class> single(rows * group);
    for (long tap = 0; tap < g.taps(); tap++)
      for (unsigned k = 0; k < to[tap].size(); k++) {
        Class& row = single[to[tap][k] / width];
        if (row.from.empty()) row.from.push_back(from[tap][k]);
        row.taps.index.push_back(tap);
        row.taps.shift.push_back(from[tap][k] - row.from[0]);
      }
    std::map<std::pair<std::vector<int>, std::vector<int>>, Class> classes;
    for (long row = 0; row < (long)single.size(); row++) {
      Class& all = classes[{single[row].taps.index, single[row].taps.shift}];
      all.taps = single[row].taps;
      all.from.push_back(single[row].from.empty() ? 0 : single[row].from[0]);
      all.to.push_back(row * width);
    }
    std::vector<Class> list;
    for (auto& entry : classes) list.push_back(std::move(entry.second));
    return list;
  }

  template <bool FRESH>
  void run(const std::vector<Class>& classes, const S* a, int inner, const S* b, S* to, long size, int outer,
           long images) const {
    if (few && FRESH) std::fill_n(to, images * size * outer, S(0));
    const auto product = FRESH && !few ? rows<S, true> : rows<S, false>;
    for (const Class& c : classes)
      product(a, inner, c.taps, c.from.data(), b, to, outer, c.to.data(), c.to.size() / group * images);
  }

  // Patches of a part, through a copy with the padding around it, in which the taps of a filter row are adjacent.
  // Runs are copied a whole vector at a time: what is written too far is overwritten, or lies in the margin.
  const S* gather(const S* x, const Part& part, std::vector<S>& scratch) const {
    const long above = part.top * g.sh, high = (part.bottom - part.top - 1) * g.sh + (g.kh - 1) * g.dh + 1;
    const long wide = (g.W + 2 * g.pw) * g.C, margin = Simd<S>::width;
    const long run = g.dw == 1 ? g.kw * g.C : g.C, runs = g.dw == 1 ? 1 : g.kw;
    scratch.resize(high * wide + part.rows(g) * K + 2 * margin);
    S *padded = scratch.data(), *to = padded + high * wide + margin, *start = to;
    std::fill_n(padded, high * wide, S(0));
    for (long y = 0; y < high; y++) {
      long row = above + y - g.ph;
      if (row < 0 || row >= g.H) continue;
      std::copy_n(x + (part.from * g.H + row) * g.W * g.C, g.W * g.C, padded + y * wide + g.pw * g.C);
    }
    for (long y = 0; y < part.bottom - part.top; y++)
      for (long c = 0; c < g.w; c++)
        for (long i = 0; i < g.kh; i++)
          for (long j = 0; j < runs; j++, to += run) {
            const S* from = padded + (y * g.sh + i * g.dh) * wide + (c * g.sw + j * g.dw) * g.C;
            for (long k = 0; k < run; k += Simd<S>::width) {
              typename Simd<S>::reg part_of_run;
              load<S, 1>(&part_of_run, from + k);
              store<S, 1>(to + k, &part_of_run);
            }
          }
    return start;
  }
};
