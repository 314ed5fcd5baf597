// The C interface for one type, SCALAR: loops over tasks, in threads. Tensors come as pointers with one stride per task (0: shared).
// ins and outs follow the order of the structs in block.h; a null pointer is "not given" or "not wanted".
#include <mutex>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "block.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

template <class S>
static const S* in(const void* const* tensors, const long* strides, int k, long task) {
  return tensors[k] ? (const S*)tensors[k] + strides[k] * task : nullptr;
}

template <class S>
static S* out(void* const* tensors, const long* strides, int k, long task) {
  return tensors[k] ? (S*)tensors[k] + strides[k] * task : nullptr;
}

// The lists of a convolution depend on its shape alone; they are made once.
template <class S>
static const Convolution<S>& convolution(const Geometry& g) {
  static std::mutex lock;
  static std::map<std::vector<long>, Convolution<S>> known;
  std::vector<long> key(&g.n, &g.pool);
  std::lock_guard<std::mutex> guard(lock);
  auto found = known.find(key);
  return found == known.end() ? known.emplace(key, Convolution<S>(g)).first->second : found->second;
}

template <class S>
static Scratch<S>& scratch_of_thread() {
  static thread_local Scratch<S> scratch;
  return scratch;
}

static long thread_number() {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}

// f(task, scratch), one scratch per thread. `summed`, if not null, gets the sum over tasks of scratch.gw; then which thread takes which
// tasks and the order of adding up are fixed, since a busy machine must not change the digits of a run.
template <class S, class F>
static void over_tasks(const Geometry& g, S* summed, F f) {
  if (!summed) {
#pragma omp parallel for num_threads(g.threads) schedule(dynamic, 1)
    for (long task = 0; task < g.tasks; task++) f(task, scratch_of_thread<S>());
    return;
  }
  const long size = g.taps() * g.C * g.O;
  std::vector<const S*> parts(g.threads, nullptr);
#pragma omp parallel num_threads(g.threads)
  {
    Scratch<S>& scratch = scratch_of_thread<S>();
    scratch.gw.assign(size, S(0));
    parts[thread_number()] = scratch.gw.data();
#pragma omp for schedule(static)
    for (long task = 0; task < g.tasks; task++) f(task, scratch);
    for (const S* part : parts) {
      if (!part) continue;
#pragma omp for schedule(static) nowait
      for (long k = 0; k < size; k++) summed[k] += part[k];
    }
#pragma omp barrier
  }
}

// The weight gradient of a task: its own (stride), or this thread's share of the sum over tasks (stride 0).
template <class S>
static S* weight_gradient(const Geometry& g, S* gw, long stride, Scratch<S>& scratch) {
  if (!gw) return nullptr;
  if (!stride) return scratch.gw.data();
  std::fill_n(gw, g.taps() * g.C * g.O, S(0));
  return gw;
}

template <class S>
static void block_forward(const Geometry& g, double eps, double slope, const void* const* ins, const long* is,
                          void* const* outs, const long* os) {
  const Convolution<S>& conv = convolution<S>(g);
  const Block<S> block(g, conv, eps, slope);
  over_tasks<S>(g, nullptr, [&](long t, Scratch<S>& scratch) {
    auto i = [&](int k) { return in<S>(ins, is, k, t); };
    auto o = [&](int k) { return out<S>(outs, os, k, t); };
    block.forward({i(0), i(1), i(2), i(3), o(0), o(1), o(2)}, scratch);
  });
}

template <class S>
static void block_backward(const Geometry& g, double eps, double slope, const void* const* ins, const long* is,
                           void* const* outs, const long* os) {
  const Convolution<S>& conv = convolution<S>(g);
  const Block<S> block(g, conv, eps, slope);
  over_tasks<S>(g, outs[1] && !os[1] ? (S*)outs[1] : nullptr, [&](long t, Scratch<S>& scratch) {
    auto i = [&](int k) { return in<S>(ins, is, k, t); };
    auto o = [&](int k) { return out<S>(outs, os, k, t); };
    S* gw = weight_gradient(g, o(1), os[1], scratch);
    block.backward({i(0), i(1), i(2), i(3), i(4), i(5), i(6), i(7), i(8), o(0), gw, o(2), o(3)}, scratch);
  });
}

template <class S>
static void block_second(const Geometry& g, double eps, double slope, const void* const* ins, const long* is,
                         void* const* outs, const long* os) {
  const Convolution<S>& conv = convolution<S>(g);
  const Block<S> block(g, conv, eps, slope);
  over_tasks<S>(g, outs[2] && !os[2] ? (S*)outs[2] : nullptr, [&](long t, Scratch<S>& scratch) {
    auto i = [&](int k) { return in<S>(ins, is, k, t); };
    auto o = [&](int k) { return out<S>(outs, os, k, t); };
    S* cw = weight_gradient(g, o(2), os[2], scratch);
    block.second({i(0), i(1), i(2), i(3), i(4), i(5), i(6), i(7), i(8), i(9), i(10), i(11), i(12),
                  o(0), o(1), cw, o(3), o(4), o(5)}, scratch);
  });
}

// A plain convolution: ins (x, w), outs (z).
template <class S>
static void conv_forward(const Geometry& g, double, double, const void* const* ins, const long* is,
                         void* const* outs, const long* os) {
  const Convolution<S>& conv = convolution<S>(g);
  over_tasks<S>(g, nullptr, [&](long t, Scratch<S>& scratch) {
    const S *x = in<S>(ins, is, 0, t), *w = in<S>(ins, is, 1, t);
    S* z = out<S>(outs, os, 0, t);
    conv.parts([&](const Part& part) {
      conv.template forward<true>(x, w, z + part.start(g) * g.O, part, scratch.patches);
    });
  });
}

// by_x and by_w of one task; gx and gw may be null.
template <class S>
static void conv_gradients(const Geometry& g, const Convolution<S>& conv, const S* gz, const S* x, const S* w, S* gx,
                           S* gw, Scratch<S>& scratch) {
  const S* transposed = gx ? conv.transpose(w, scratch.transposed) : nullptr;
  conv.parts([&](const Part& part) {
    const S* at = gz + part.start(g) * g.O;
    if (gw) conv.by_w(x, at, gw, part, scratch.patches);
    if (gx) conv.by_x(at, transposed, gx, part);
  });
}

// ins (g, x, w), outs (gx, gw).
template <class S>
static void conv_backward(const Geometry& g, double, double, const void* const* ins, const long* is,
                          void* const* outs, const long* os) {
  const Convolution<S>& conv = convolution<S>(g);
  over_tasks<S>(g, outs[1] && !os[1] ? (S*)outs[1] : nullptr, [&](long t, Scratch<S>& scratch) {
    S* gw = weight_gradient(g, out<S>(outs, os, 1, t), os[1], scratch);
    conv_gradients<S>(g, conv, in<S>(ins, is, 0, t), in<S>(ins, is, 1, t), in<S>(ins, is, 2, t),
                      out<S>(outs, os, 0, t), gw, scratch);
  });
}

// ins (g, x, w, vx, vw), outs: the cotangents of g, x and w.
template <class S>
static void conv_second(const Geometry& g, double, double, const void* const* ins, const long* is,
                        void* const* outs, const long* os) {
  const Convolution<S>& conv = convolution<S>(g);
  over_tasks<S>(g, outs[2] && !os[2] ? (S*)outs[2] : nullptr, [&](long t, Scratch<S>& scratch) {
    auto i = [&](int k) { return in<S>(ins, is, k, t); };
    S *cg = out<S>(outs, os, 0, t), *cw = weight_gradient(g, out<S>(outs, os, 2, t), os[2], scratch);
    const S *vx = i(3), *vw = i(4);
    if (cg) conv.parts([&](const Part& part) {
      S* z = cg + part.start(g) * g.O;
      if (vx) conv.template forward<true>(vx, i(2), z, part, scratch.patches);
      if (vw && vx) conv.template forward<false>(i(1), vw, z, part, scratch.patches);
      if (vw && !vx) conv.template forward<true>(i(1), vw, z, part, scratch.patches);
    });
    conv_gradients<S>(g, conv, i(0), vx, vw, out<S>(outs, os, 1, t), cw, scratch);
  });
}

#define EXPORT(name)                                                                                               \
  extern "C" void metatl_##name(const Geometry* g, double eps, double slope, const void* const* ins, const long* is, \
                                void* const* outs, const long* os) {                                               \
    name<SCALAR>(*g, eps, slope, ins, is, outs, os);                                                               \
  }

EXPORT(conv_forward)
EXPORT(conv_backward)
EXPORT(conv_second)
EXPORT(block_forward)
EXPORT(block_backward)
EXPORT(block_second)

// Pages that tensors give back stay with the process: to map and clear them anew for every tensor costs a fifth of a
// meta-step. What the process holds at its peak does not change.
extern "C" void metatl_keep_freed_memory() {
#if defined(__GLIBC__)
  if (!mallopt(M_MMAP_THRESHOLD, 1 << 30)) mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

extern "C" long metatl_vector_width() { return Simd<SCALAR>::width; }
