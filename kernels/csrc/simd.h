// One vector type per instruction set, and the few functions on it that the scans need.
//
// Compiled once per instruction set with MAMBA_ISA (a namespace) and MAMBA_LANES (4, 8 or 16) defined.
// Everything has internal linkage: an inline function shared between objects could be picked from the wrong one.
// No -ffast-math anywhere: it would fold the rounding constant below and flush denormals in the whole process.
#pragma once

#include <cstdint>
#include <cstring>

#if MAMBA_LANES >= 8
#include <immintrin.h>
#endif

namespace MAMBA_ISA {
namespace {

constexpr int LANES = MAMBA_LANES;

typedef float vec __attribute__((vector_size(4 * MAMBA_LANES)));
typedef uint32_t uvec __attribute__((vector_size(4 * MAMBA_LANES)));
typedef float vec_unaligned __attribute__((vector_size(4 * MAMBA_LANES), aligned(4)));

#define MAMBA_INLINE static inline __attribute__((always_inline))

MAMBA_INLINE vec splat(float value) { return value - vec{}; }

MAMBA_INLINE vec load(const float* from) { return *reinterpret_cast<const vec_unaligned*>(from); }

MAMBA_INLINE void store(float* to, vec value) { *reinterpret_cast<vec_unaligned*>(to) = value; }

// The first `count` lanes; the others are zero, and stay untouched on a store.
MAMBA_INLINE vec load_first(const float* from, int count) {
  if (count == LANES) return load(from);
  vec value = vec{};
  std::memcpy(&value, from, sizeof(float) * count);
  return value;
}

MAMBA_INLINE void store_first(float* to, vec value, int count) {
  if (count == LANES) {
    store(to, value);
  } else {
    std::memcpy(to, &value, sizeof(float) * count);
  }
}

MAMBA_INLINE vec maximum(vec a, vec b) { return a > b ? a : b; }

// G vectors side by side: a polynomial over a pack reads each coefficient once, and its latencies overlap.
template <int G>
struct Pack {
  vec at[G];
};

#define MAMBA_EACH(G) _Pragma("GCC unroll 8") for (int i = 0; i < G; ++i)

#define MAMBA_OPERATOR(op)                                       \
  template <int G>                                               \
  MAMBA_INLINE Pack<G> operator op(Pack<G> a, const Pack<G>& b) { \
    MAMBA_EACH(G) a.at[i] = a.at[i] op b.at[i];                  \
    return a;                                                    \
  }                                                              \
  template <int G>                                               \
  MAMBA_INLINE Pack<G> operator op(Pack<G> a, float b) {         \
    MAMBA_EACH(G) a.at[i] = a.at[i] op b;                        \
    return a;                                                    \
  }

MAMBA_OPERATOR(+)
MAMBA_OPERATOR(-)
MAMBA_OPERATOR(*)

// f of each vector.
template <int G, typename F>
MAMBA_INLINE Pack<G> each(Pack<G> a, F f) {
  MAMBA_EACH(G) a.at[i] = f(a.at[i]);
  return a;
}

template <int G, typename F>
MAMBA_INLINE Pack<G> each(Pack<G> a, const Pack<G>& b, F f) {
  MAMBA_EACH(G) a.at[i] = f(a.at[i], b.at[i]);
  return a;
}

// Splits x into an integer part and a fraction; `scale` multiplies by 2^(integer part).
#if MAMBA_LANES == 16
MAMBA_INLINE vec round_even(vec x) { return (vec)_mm512_roundscale_ps((__m512)x, 8); }

MAMBA_INLINE vec scale(vec value, vec whole) { return (vec)_mm512_scalef_ps((__m512)value, (__m512)whole); }

MAMBA_INLINE vec clamp_exponent(vec x) { return x; }

// A NaN in x passes.
MAMBA_INLINE vec at_least(float least, vec x) { return (vec)_mm512_max_ps((__m512)splat(least), (__m512)x); }
#else
#if MAMBA_LANES == 8
MAMBA_INLINE vec round_even(vec x) { return (vec)_mm256_round_ps((__m256)x, 8); }
MAMBA_INLINE vec at_least(float least, vec x) { return (vec)_mm256_max_ps((__m256)splat(least), (__m256)x); }
#else
MAMBA_INLINE vec round_even(vec x) { return (x + 12582912.0f) - 12582912.0f; }
MAMBA_INLINE vec at_least(float least, vec x) { return x < least ? splat(least) : x; }
#endif

MAMBA_INLINE vec scale(vec value, vec whole) {
  const vec shifted = whole + 12582912.0f;  // the integer sits in the low bits of the mantissa
  return value * (vec)((((uvec)shifted) + 127u) << 23);
}

// Below 2^-126.5 the result is 0, above 2^127.5 it is infinite; a NaN passes.
MAMBA_INLINE vec clamp_exponent(vec x) {
  x = at_least(-127.0f, x);
  return x > 128.0f ? splat(128.0f) : x;
}
#endif

// 1 / x of a positive normal x; by Newton's step where a good first guess is cheap.
MAMBA_INLINE vec reciprocal(vec x) {
#if MAMBA_LANES == 16
  const vec guess = (vec)_mm512_rcp14_ps((__m512)x);
  return guess * (2.0f - x * guess);
#else
  return 1.0f / x;
#endif
}

template <int G>
MAMBA_INLINE Pack<G> exp2_of(Pack<G> x) {
  x = each(x, clamp_exponent);
  const Pack<G> whole = each(x, round_even);
  // 2^f on [-0.5, 0.5] as 1 + f q(f), relative error 9.2e-8, exactly 1 at 0: a state with A = 0 must not drift
  const Pack<G> f = x - whole;
  Pack<G> p = f * 0.0013264727f + 0.009671513f;
  p = p * f + 0.055507336f;
  p = p * f + 0.24022242f;
  p = p * f + 0.693147f;
  return each(p * f + 1.0f, whole, scale);
}

MAMBA_INLINE vec exp2_of(vec x) { return exp2_of(Pack<1>{{x}}).at[0]; }

// exp(-|x|); the relative error does not grow with |x|. ln 2 is split in 355/512, whose product with the integer part is
// exact without a fused multiply-add, and the rest.
template <int G>
MAMBA_INLINE Pack<G> exp_of_negative(Pack<G> x) {
  x = each(x, [](vec one) { return at_least(-87.0f, (vec)((uvec)one | 0x80000000u)); });
  const Pack<G> whole = each(x * 1.44269504f, round_even);
  const Pack<G> f = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  Pack<G> p = f * 0.0082902722f + 0.041898161f;
  p = p * f + 0.16667639f;
  p = p * f + 0.49999148f;
  p = p * f + 0.9999997f;
  return each(p * f + 1.0f, whole, scale);
}

// log1p(z) / z on [0, 1], relative error 3.3e-8 with these fp32 coefficients: small step sizes keep their accuracy.
template <int G>
MAMBA_INLINE Pack<G> log1p_ratio(const Pack<G>& z) {
  Pack<G> p = z * 0.0053654225f - 0.0300683f;
  p = p * z + 0.07920883f;
  p = p * z - 0.13754188f;
  p = p * z + 0.19153848f;
  p = p * z - 0.24857217f;
  p = p * z + 0.3332133f;
  p = p * z - 0.49999648f;
  return p * z + 1.0f;
}

MAMBA_INLINE vec positive(vec x) { return at_least(0.0f, x); }

template <int G>
MAMBA_INLINE Pack<G> softplus(const Pack<G>& x) {
  const Pack<G> decay = exp_of_negative(x);
  return decay * log1p_ratio(decay) + each(x, positive);
}

// softplus and its derivative, the logistic function.
template <int G>
MAMBA_INLINE Pack<G> softplus(const Pack<G>& x, vec* slope) {
  const Pack<G> decay = exp_of_negative(x);
  MAMBA_EACH(G) slope[i] = (x.at[i] > 0.0f ? splat(1.0f) : decay.at[i]) * reciprocal(1.0f + decay.at[i]);
  return decay * log1p_ratio(decay) + each(x, positive);
}

// a0 b0 a1 b1 ... of the lower (upper) halves.
#if MAMBA_LANES == 16
#define MAMBA_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define MAMBA_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif MAMBA_LANES == 8
#define MAMBA_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define MAMBA_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define MAMBA_LOW 0, 4, 1, 5
#define MAMBA_HIGH 2, 6, 3, 7
#endif

#if defined(__clang__)
MAMBA_INLINE vec zip_low(vec a, vec b) { return __builtin_shufflevector(a, b, MAMBA_LOW); }
MAMBA_INLINE vec zip_high(vec a, vec b) { return __builtin_shufflevector(a, b, MAMBA_HIGH); }
#else
MAMBA_INLINE vec zip_low(vec a, vec b) { return __builtin_shuffle(a, b, uvec{MAMBA_LOW}); }
MAMBA_INLINE vec zip_high(vec a, vec b) { return __builtin_shuffle(a, b, uvec{MAMBA_HIGH}); }
#endif

// Rows become lanes: LANES vectors, in place, by log2(LANES) rounds of zips.
MAMBA_INLINE void transpose(vec* rows) {
  vec other[LANES];
#pragma GCC unroll 4
  for (int round = 1; round < LANES; round *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < LANES / 2; ++i) {
      other[2 * i] = zip_low(rows[i], rows[i + LANES / 2]);
      other[2 * i + 1] = zip_high(rows[i], rows[i + LANES / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) rows[i] = other[i];
  }
}

// The sums over the lanes of LANES vectors, as one vector, in order.
MAMBA_INLINE vec sum_lanes(const vec* rows) {
  vec part[LANES];
#pragma GCC unroll 16
  for (int i = 0; i < LANES; ++i) part[i] = rows[i];
#pragma GCC unroll 4
  for (int half = LANES / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) {
      part[i] = zip_low(part[i], part[i + half]) + zip_high(part[i], part[i + half]);
    }
  }
  return part[0];
}

// sum += value with the rounding error carried along (Kahan): sums over tiles stay exact at any length.
MAMBA_INLINE void add_carefully(vec* sum, vec* error, vec value) {
  const vec corrected = value - *error;
  const vec total = *sum + corrected;
  *error = (total - *sum) - corrected;
  *sum = total;
}

}  // namespace
}  // namespace MAMBA_ISA
