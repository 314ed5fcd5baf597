// The C interface: loops over tasks, in threads. Tensors come as pointers with one stride per task (0: shared).
// ins and outs follow the order of the structs in block.h; a null pointer is "not given" or "not wanted".
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

// f(task, scratch), one scratch per thread. `summed`, if not null, gets the sum over tasks of scratch.gw.
template <class S, class F>
static void over_tasks(const Geometry& g, S* summed, F f) {
  const long size = g.taps() * g.C * g.O;
#pragma omp parallel num_threads(g.threads)
  {
    static thread_local Scratch<S> scratch;
    if (summed) scratch.gw.assign(size, S(0));
#pragma omp for schedule(dynamic, 1)
    for (long task = 0; task < g.tasks; task++) f(task, scratch);
    if (summed) {
#pragma omp critical
      for (long k = 0; k < size; k++) summed[k] += scratch.gw[k];
    }
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
  const Convolution<S> conv(g);
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
  const Convolution<S> conv(g);
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
  const Convolution<S> conv(g);
  const Block<S> block(g, conv, eps, slope);
  over_tasks<S>(g, outs[2] && !os[2] ? (S*)outs[2] : nullptr, [&](long t, Scratch<S>& scratch) {
    auto i = [&](int k) { return in<S>(ins, is, k, t); };
    auto o = [&](int k) { return out<S>(outs, os, k, t); };
    S* cw = weight_gradient(g, o(2), os[2], scratch);
    block.second({i(0), i(1), i(2), i(3), i(4), i(5), i(6), i(7), i(8), i(9), i(10), i(11), i(12),
                  o(0), o(1), cw, o(3), o(4), o(5)}, scratch);
  });
}

#define EXPORT(name)                                                                                              \
  extern "C" void name##_f32(const Geometry* g, double eps, double slope, const void* const* ins, const long* is, \
                             void* const* outs, const long* os) {                                                 \
    name<float>(*g, eps, slope, ins, is, outs, os);                                                               \
  }                                                                                                               \
  extern "C" void name##_f64(const Geometry* g, double eps, double slope, const void* const* ins, const long* is, \
                             void* const* outs, const long* os) {                                                 \
    name<double>(*g, eps, slope, ins, is, outs, os);                                                              \
  }

EXPORT(block_forward)
EXPORT(block_backward)
EXPORT(block_second)

// Pages that tensors give back stay with the process: to map and clear them anew for every tensor costs a fifth of a
// meta-step. What the process holds at its peak does not change.
extern "C" void keep_freed_memory() {
#if defined(__GLIBC__)
  if (!mallopt(M_MMAP_THRESHOLD, 1 << 30)) mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

extern "C" long vector_width(long bytes) { return BYTES / bytes; }
