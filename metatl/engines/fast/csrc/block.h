// Convolution, batch norm, affine part, leaky ReLU and 2x2 max-pooling of one task, and their two derivatives.
//
//   z = conv(x, w); xhat = (z - mean) r, moments from the rows S of the first images; y = pool(act(gamma xhat + beta))
//
// With m the derivative of pool and act, h = m gy gamma + gxhat, s = sum h, t = sum h xhat, N rows in S, 1_S their mask:
//   gz = r h - 1_S (r s / N + xhat (r t / N + gr r^2 / N)); ggamma = sum m gy xhat; gbeta = sum m gy
// and with vz = conv(vx, w) + conv(x, vw) the cotangent of gz, a = mean_S vz, c = mean_S vz xhat:
//   by h: e = r (vz - a - c xhat)         by gy: m (gamma e + vgamma xhat + vbeta)      by gamma: sum m gy e
//   by xhat: m gy vgamma - r (c h + 1_S vz t / N)          by r: sum vz h - a s - c t
//   by x: conv^T(gz, vw)                  by w: patches(vx)^T gz
// y, xhat and r are outputs of the forward pass, so the last four reach z once, together with what the loss sends.
#pragma once
#include <cmath>

#include "convolution.h"

template <class S>
struct Scratch {
  std::vector<S> patches, gz, transposed, gw;
};

template <class S>
struct Forward {
  const S *x, *w, *gamma, *beta;
  S *y, *xhat, *r;
};

// gxhat, gr, gx and gw may be null: nothing sent, nothing wanted.
template <class S>
struct Backward {
  const S *gy, *gxhat, *gr, *x, *w, *gamma, *beta, *xhat, *r;
  S *gx, *gw, *ggamma, *gbeta;
};

// vx, vw, vgamma, vbeta, cx and cw may be null.
template <class S>
struct Second {
  const S *gy, *x, *w, *gamma, *beta, *xhat, *r, *ggamma, *gbeta, *vx, *vw, *vgamma, *vbeta;
  S *cgy, *cx, *cw, *cgamma, *cxhat, *cr;
};

template <class S>
class Block {
 public:
  using reg = typename Simd<S>::reg;
  static constexpr int WIDTH = Simd<S>::width;

  Block(const Geometry& geometry, const Convolution<S>& conv, double eps, double slope)
      : g(geometry), conv(conv), eps(eps), slope(slope) {}

  void forward(const Forward<S>& t, Scratch<S>& scratch) const {
    std::vector<S> means(g.O), squares(g.O);
    conv.parts([&](const Part& part) {
      conv.template forward<true>(t.x, t.w, t.xhat + part.start(g) * g.O, part, scratch.patches);
      channels([&]<int COLS>(int o) { moments<COLS>(t.xhat + o, means.data() + o, squares.data() + o, part); });
    });
    channels([&]<int COLS>(int o) {
      reg mean[COLS], r[COLS];
      load<S, COLS>(mean, means.data() + o);
      load<S, COLS>(r, squares.data() + o);
      UNROLL for (int n = 0; n < COLS; n++)
        for (int k = 0; k < WIDTH; k++) r[n][k] = 1 / std::sqrt(r[n][k] / S(moment_rows()) + eps);
      store<S, COLS>(t.r + o, r);
      auto normalise = [&](S* at, reg* z) {
        UNROLL for (int n = 0; n < COLS; n++) z[n] = (z[n] - mean[n]) * r[n];
        store<S, COLS>(at, z);
      };
      auto output = [&](auto& at) {
        if (at.pooled_row >= 0) store<S, COLS>(t.y + at.pooled_row * g.O + o, at.best);
      };
      windows<COLS>(t.xhat, t.gamma, t.beta, o, all(), output, normalise);
    });
  }

  void backward(const Backward<S>& t, Scratch<S>& scratch) const {
    std::vector<S> mean(g.O), slant(g.O);  // gz = r h - mean - xhat slant in the rows of S
    channels([&]<int COLS>(int o) { sums<COLS>(t, o, mean.data(), slant.data()); });
    if (!t.gx && !t.gw) return;
    const S* w = t.gx ? conv.transpose(t.w, scratch.transposed) : nullptr;
    conv.parts([&](const Part& part) {
      const S* gz = gradients(t, mean.data(), slant.data(), part, scratch);
      if (t.gw) conv.by_w(t.x, gz, t.gw, part, scratch.patches);
      if (t.gx) conv.by_x(gz, w, t.gx, part);
    });
  }

  void second(const Second<S>& t, Scratch<S>& scratch) const {
    // cxhat holds vz until it is overwritten row by row
    std::vector<S> a(g.O), c(g.O), total(g.O), mean(g.O), slant(g.O);
    conv.parts([&](const Part& part) {
      S* vz = t.cxhat + part.start(g) * g.O;
      if (t.vx) conv.template forward<true>(t.vx, t.w, vz, part, scratch.patches);
      if (t.vw && t.vx) conv.template forward<false>(t.x, t.vw, vz, part, scratch.patches);
      if (t.vw && !t.vx) conv.template forward<true>(t.x, t.vw, vz, part, scratch.patches);
      if (!t.vw && !t.vx) std::fill_n(vz, part.rows(g) * g.O, S(0));
      channels([&]<int COLS>(int o) { sums_of_second<COLS>(t, o, a.data(), c.data(), total.data(), part); });
    });
    channels([&]<int COLS>(int o) {
      apply_second<COLS>(t, o, a.data(), c.data(), total.data(), mean.data(), slant.data());
    });
    if (!t.cx && !t.cw) return;
    Backward<S> again{t.gy, nullptr, nullptr, t.x, t.w, t.gamma, t.beta, t.xhat, t.r, nullptr, nullptr, nullptr, nullptr};
    const S* w = t.cx ? conv.transpose(t.vw, scratch.transposed) : nullptr;
    conv.parts([&](const Part& part) {
      const S* gz = gradients(again, mean.data(), slant.data(), part, scratch);
      if (t.cw) conv.by_w(t.vx, gz, t.cw, part, scratch.patches);
      if (t.cx) conv.by_x(gz, w, t.cx, part);
    });
  }

 private:
  const Geometry& g;
  const Convolution<S>& conv;
  const S eps, slope;

  template <int COLS, int WINDOW>
  struct Window {
    long rows[WINDOW], pooled_row;  // pooled_row -1: a row that no pooling window covers
    reg xhat[WINDOW][COLS], factor[WINDOW][COLS], best[COLS];
    static constexpr int size = WINDOW;
  };

  long rows_of(long images) const { return images * g.outputs(); }
  long moment_rows() const { return rows_of(g.first); }
  Part all() const { return {0, g.n, 0, g.h}; }

  // f<COLS>(o): all channels, o .. o + COLS * WIDTH at a time.
  template <class F>
  INLINE void channels(F f) const {
    in_columns<S>(g.O, [&]<int ROWS, int COLS>(int o) { f.template operator()<COLS>(o); });
  }

  // Adds a part's rows in S to mean and sum of squared distances, chunk by chunk: merged so, they lose no digits.
  template <int COLS>
  void moments(const S* z, S* means, S* sums, const Part& part) const {
    constexpr long CHUNK = 64;
    const long end = std::min(moment_rows(), part.start(g) + part.rows(g));
    reg mean[COLS], squares[COLS];
    load<S, COLS>(mean, means);
    load<S, COLS>(squares, sums);
    for (long from = part.start(g); from < end; from += CHUNK) {
      long to = std::min(end, from + CHUNK);
      reg sum[COLS], spread[COLS], row[COLS];
      UNROLL for (int n = 0; n < COLS; n++) sum[n] = spread[n] = reg{};
      for (long i = from; i < to; i++) {
        load<S, COLS>(row, z + i * g.O);
        UNROLL for (int n = 0; n < COLS; n++) sum[n] += row[n];
      }
      UNROLL for (int n = 0; n < COLS; n++) sum[n] /= S(to - from);
      for (long i = from; i < to; i++) {
        load<S, COLS>(row, z + i * g.O);
        UNROLL for (int n = 0; n < COLS; n++) spread[n] += (row[n] - sum[n]) * (row[n] - sum[n]);
      }
      S share = S(to - from) / S(to);
      UNROLL for (int n = 0; n < COLS; n++) {
        reg apart = sum[n] - mean[n];
        mean[n] += apart * share;
        squares[n] += spread[n] + apart * apart * (share * S(from));
      }
    }
    store<S, COLS>(means, mean);
    store<S, COLS>(sums, squares);
  }

  static void keep(const S*, reg*) {}

  template <int COLS, int WINDOW, class R, class P>
  INLINE void fill(Window<COLS, WINDOW>& at, R* xhat, const reg* scale, const reg* shift, int o, P prepare) const {
    UNROLL for (int k = 0; k < WINDOW; k++) {
      R* place = xhat + at.rows[k] * g.O + o;
      load<S, COLS>(at.xhat[k], place);
      prepare(place, at.xhat[k]);
    }
    UNROLL for (int n = 0; n < COLS; n++) {
      const reg zero{}, one = zero + S(1), gentle = zero + slope;
      reg u[WINDOW], top;
      UNROLL for (int k = 0; k < WINDOW; k++) {
        u[k] = at.xhat[k][n] * scale[n] + shift[n];
        top = k == 0 ? u[0] : (u[k] > top ? u[k] : top);
      }
      reg left = top > zero ? one : gentle;
      at.best[n] = top * left;
      UNROLL for (int k = 0; k < WINDOW; k++) {  // the first of equal maxima takes all
        at.factor[k][n] = WINDOW == 1 || k == WINDOW - 1 ? left : (u[k] == top ? left : zero);
        if (WINDOW > 1) left = u[k] == top ? zero : left;
      }
    }
  }

  // f(window) for the windows of a part: single rows, or 2x2 where there is pooling; prepare(place, values) may
  // change what a row holds before it is seen.
  template <int COLS, class R, class F, class P = void (*)(const S*, reg*)>
  INLINE void windows(R* xhat, const S* gamma, const S* beta, int o, const Part& part, F f, P prepare = keep) const {
    reg scale[COLS], shift[COLS];
    load<S, COLS>(scale, gamma + o);
    load<S, COLS>(shift, beta + o);
    auto single = [&](long row, long pooled_row) {
      Window<COLS, 1> at;
      at.rows[0] = row;
      at.pooled_row = pooled_row;
      fill(at, xhat, scale, shift, o, prepare);
      if (pooled_row < 0) UNROLL for (int n = 0; n < COLS; n++) at.factor[0][n] = reg{};
      f(at);
    };
    if (!g.pool) {
      const long start = part.start(g), end = start + part.rows(g);
      for (long row = start; row < end; row++) single(row, row);
      return;
    }
    for (long n = part.from; n < part.to; n++)
      for (long y = part.top; y < part.bottom; y++)
        for (long x = 0; x < g.w; x++) {
          long row = (n * g.h + y) * g.w + x;
          if (y >= g.h / 2 * 2 || x >= g.w / 2 * 2) {
            single(row, -1);
          } else if (y % 2 == 0 && x % 2 == 0) {
            Window<COLS, 4> at;
            UNROLL for (int k = 0; k < 4; k++) at.rows[k] = row + k % 2 + k / 2 * g.w;
            at.pooled_row = (n * (g.h / 2) + y / 2) * (g.w / 2) + x / 2;
            fill(at, xhat, scale, shift, o, prepare);
            f(at);
          }
        }
  }

  template <int COLS>
  INLINE void pooled(reg* to, const S* from, long row, int o) const {
    if (row >= 0) load<S, COLS>(to, from + row * g.O + o);
    else UNROLL for (int n = 0; n < COLS; n++) to[n] = reg{};
  }

  template <int COLS>
  void sums(const Backward<S>& t, int o, S* mean, S* slant) const {
    reg scale[COLS], r[COLS], by_gamma[COLS], by_beta[COLS], s[COLS], st[COLS];
    load<S, COLS>(scale, t.gamma + o);
    load<S, COLS>(r, t.r + o);
    UNROLL for (int n = 0; n < COLS; n++) by_gamma[n] = by_beta[n] = s[n] = st[n] = reg{};
    windows<COLS>(t.xhat, t.gamma, t.beta, o, all(), [&](auto& at) {
      reg gy[COLS];
      pooled<COLS>(gy, t.gy, at.pooled_row, o);
      UNROLL for (int k = 0; k < at.size; k++) {
        UNROLL for (int n = 0; n < COLS; n++) {
          reg passed = gy[n] * at.factor[k][n];
          by_gamma[n] += passed * at.xhat[k][n];
          by_beta[n] += passed;
        }
        if (!t.gxhat) continue;
        reg more[COLS];
        load<S, COLS>(more, t.gxhat + at.rows[k] * g.O + o);
        UNROLL for (int n = 0; n < COLS; n++) {
          s[n] += more[n];
          st[n] += more[n] * at.xhat[k][n];
        }
      }
    });
    reg gr[COLS];
    if (t.gr) load<S, COLS>(gr, t.gr + o);
    else UNROLL for (int n = 0; n < COLS; n++) gr[n] = reg{};
    UNROLL for (int n = 0; n < COLS; n++) {
      s[n] = (s[n] + by_beta[n] * scale[n]) * r[n] / S(moment_rows());
      st[n] = ((st[n] + by_gamma[n] * scale[n]) * r[n] + gr[n] * r[n] * r[n]) / S(moment_rows());
    }
    store<S, COLS>(mean + o, s);
    store<S, COLS>(slant + o, st);
    store<S, COLS>(t.ggamma + o, by_gamma);
    store<S, COLS>(t.gbeta + o, by_beta);
  }

  // gz = r (m gy gamma + gxhat) - 1_S (mean + xhat slant) of a part, from its first row on.
  const S* gradients(const Backward<S>& t, const S* mean, const S* slant, const Part& part, Scratch<S>& scratch) const {
    scratch.gz.resize(part.rows(g) * g.O);
    S* gz = scratch.gz.data() - part.start(g) * g.O;
    channels([&]<int COLS>(int o) { gradients<COLS>(t, o, mean, slant, gz, part); });
    return scratch.gz.data();
  }

  template <int COLS>
  void gradients(const Backward<S>& t, int o, const S* mean, const S* slant, S* gz, const Part& part) const {
    reg scale[COLS], r[COLS], offset[COLS], tilt[COLS];
    load<S, COLS>(scale, t.gamma + o);
    load<S, COLS>(r, t.r + o);
    load<S, COLS>(offset, mean + o);
    load<S, COLS>(tilt, slant + o);
    windows<COLS>(t.xhat, t.gamma, t.beta, o, part, [&](auto& at) {
      reg gy[COLS];
      pooled<COLS>(gy, t.gy, at.pooled_row, o);
      UNROLL for (int k = 0; k < at.size; k++) {
        reg h[COLS];
        UNROLL for (int n = 0; n < COLS; n++) h[n] = gy[n] * at.factor[k][n] * scale[n];
        if (t.gxhat) {
          reg more[COLS];
          load<S, COLS>(more, t.gxhat + at.rows[k] * g.O + o);
          UNROLL for (int n = 0; n < COLS; n++) h[n] += more[n];
        }
        UNROLL for (int n = 0; n < COLS; n++) h[n] *= r[n];
        if (at.rows[k] < moment_rows()) UNROLL for (int n = 0; n < COLS; n++) h[n] -= offset[n] + at.xhat[k][n] * tilt[n];
        store<S, COLS>(gz + at.rows[k] * g.O + o, h);
      }
    });
  }

  // Adds a part to a = sum_S vz, c = sum_S vz xhat, total = sum vz m gy.
  template <int COLS>
  void sums_of_second(const Second<S>& t, int o, S* as, S* cs, S* totals, const Part& part) const {
    reg a[COLS], c[COLS], total[COLS];
    load<S, COLS>(a, as + o);
    load<S, COLS>(c, cs + o);
    load<S, COLS>(total, totals + o);
    windows<COLS>(t.xhat, t.gamma, t.beta, o, part, [&](auto& at) {
      reg gy[COLS], vz[COLS];
      pooled<COLS>(gy, t.gy, at.pooled_row, o);
      UNROLL for (int k = 0; k < at.size; k++) {
        load<S, COLS>(vz, t.cxhat + at.rows[k] * g.O + o);
        UNROLL for (int n = 0; n < COLS; n++) total[n] += vz[n] * gy[n] * at.factor[k][n];
        if (at.rows[k] < moment_rows()) UNROLL for (int n = 0; n < COLS; n++) {
          a[n] += vz[n];
          c[n] += vz[n] * at.xhat[k][n];
        }
      }
    });
    store<S, COLS>(as + o, a);
    store<S, COLS>(cs + o, c);
    store<S, COLS>(totals + o, total);
  }

  template <int COLS>
  void apply_second(const Second<S>& t, int o, const S* as, const S* cs, const S* totals, S* mean, S* slant) const {
    reg scale[COLS], r[COLS], s[COLS], st[COLS], vgamma[COLS], vbeta[COLS], by_gamma[COLS];
    reg a[COLS], c[COLS], total[COLS];
    load<S, COLS>(a, as + o);
    load<S, COLS>(c, cs + o);
    load<S, COLS>(total, totals + o);
    load<S, COLS>(scale, t.gamma + o);
    load<S, COLS>(r, t.r + o);
    load<S, COLS>(s, t.gbeta + o);
    load<S, COLS>(st, t.ggamma + o);
    UNROLL for (int n = 0; n < COLS; n++) vgamma[n] = vbeta[n] = by_gamma[n] = reg{};
    if (t.vgamma) load<S, COLS>(vgamma, t.vgamma + o);
    if (t.vbeta) load<S, COLS>(vbeta, t.vbeta + o);
    UNROLL for (int n = 0; n < COLS; n++) {
      a[n] /= S(moment_rows());
      c[n] /= S(moment_rows());
      s[n] *= scale[n] / S(moment_rows());
      st[n] *= scale[n] / S(moment_rows());
    }
    windows<COLS>(t.xhat, t.gamma, t.beta, o, all(), [&](auto& at) {
      reg gy[COLS], vz[COLS], by_gy[COLS];
      pooled<COLS>(gy, t.gy, at.pooled_row, o);
      UNROLL for (int n = 0; n < COLS; n++) by_gy[n] = reg{};
      UNROLL for (int k = 0; k < at.size; k++) {
        S* place = t.cxhat + at.rows[k] * g.O + o;
        load<S, COLS>(vz, place);
        UNROLL for (int n = 0; n < COLS; n++) {
          reg e = r[n] * (vz[n] - a[n] - c[n] * at.xhat[k][n]), passed = gy[n] * at.factor[k][n];
          by_gy[n] += at.factor[k][n] * (scale[n] * e + vgamma[n] * at.xhat[k][n] + vbeta[n]);
          by_gamma[n] += passed * e;
          reg slope_of_t = at.rows[k] < moment_rows() ? vz[n] * st[n] : reg{};
          vz[n] = passed * vgamma[n] - r[n] * (c[n] * scale[n] * passed + slope_of_t);
        }
        store<S, COLS>(place, vz);
      }
      if (at.pooled_row >= 0) store<S, COLS>(t.cgy + at.pooled_row * g.O + o, by_gy);
    });
    reg by_r[COLS];
    UNROLL for (int n = 0; n < COLS; n++) {
      by_r[n] = total[n] * scale[n] - (a[n] * s[n] + c[n] * st[n]) * S(moment_rows());
      s[n] *= r[n];
      st[n] *= r[n];
    }
    store<S, COLS>(t.cr + o, by_r);
    store<S, COLS>(t.cgamma + o, by_gamma);
    store<S, COLS>(mean + o, s);
    store<S, COLS>(slant + o, st);
  }
};
