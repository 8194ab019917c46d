/* See layer_crc32.h. */
#define _GNU_SOURCE
#include "layer_crc32.h"

#include <string.h>

static uint32_t table[8][256];
static int fast;

static uint32_t by_table(uint32_t crc, const unsigned char *p, size_t length) {
  for (; length >= 8; p += 8, length -= 8) {
    uint32_t low, high;
    memcpy(&low, p, 4);
    memcpy(&high, p + 4, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    low = __builtin_bswap32(low);
    high = __builtin_bswap32(high);
#endif
    low ^= crc;
    crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^ table[4][low >> 24] ^ table[3][high & 255] ^
          table[2][high >> 8 & 255] ^ table[1][high >> 16 & 255] ^ table[0][high >> 24];
  }
  for (; length > 0; length--) crc = crc >> 8 ^ table[0][(crc ^ *p++) & 255];
  return crc;
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

/*
 * Carry-less multiplication folds 64 bytes at a time: a 128-bit remainder times x^n mod P moves it n bits on. The constants
 * are those powers, bit-reflected (V. Gopal and others, "Fast CRC Computation Using PCLMULQDQ", Intel 2009).
 */
__attribute__((target("pclmul,sse4.1"))) static __m128i fold(__m128i value, __m128i by, __m128i next) {
  __m128i low = _mm_clmulepi64_si128(value, by, 0x00), high = _mm_clmulepi64_si128(value, by, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}
__attribute__((target("pclmul,sse4.1"))) static uint32_t by_folding(uint32_t crc, const unsigned char *p, size_t length) {
  const __m128i by512 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4), by128 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
  const __m128i by64 = _mm_set_epi64x(0, 0x163cd6124), barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641);
  const __m128i word = _mm_setr_epi32(-1, 0, -1, 0);
  __m128i x[4];
  for (int i = 0; i < 4; i++) x[i] = _mm_loadu_si128((const __m128i *)p + i);
  x[0] = _mm_xor_si128(x[0], _mm_cvtsi32_si128((int)crc));
  for (p += 64, length -= 64; length >= 64; p += 64, length -= 64)
    for (int i = 0; i < 4; i++) x[i] = fold(x[i], by512, _mm_loadu_si128((const __m128i *)p + i));
  __m128i r = fold(x[0], by128, x[1]);
  r = fold(r, by128, x[2]);
  r = fold(r, by128, x[3]);
  for (; length >= 16; p += 16, length -= 16) r = fold(r, by128, _mm_loadu_si128((const __m128i *)p));
  /* 128 bits to 64, to 32. */
  r = _mm_xor_si128(_mm_srli_si128(r, 8), _mm_clmulepi64_si128(r, by128, 0x10));
  r = _mm_xor_si128(_mm_srli_si128(r, 4), _mm_clmulepi64_si128(_mm_and_si128(r, word), by64, 0x00));
  __m128i q = _mm_clmulepi64_si128(_mm_and_si128(r, word), barrett, 0x10);
  q = _mm_clmulepi64_si128(_mm_and_si128(q, word), barrett, 0x00);
  crc = (uint32_t)_mm_extract_epi32(_mm_xor_si128(r, q), 1);
  return by_table(crc, p, length);
}
static int has_fast(void) {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_PCLMUL) && (c & bit_SSE4_1);
}
#else
static uint32_t by_folding(uint32_t crc, const unsigned char *p, size_t length) { return by_table(crc, p, length); }
static int has_fast(void) { return 0; }
#endif

void crc32_init(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
    table[0][i] = c;
  }
  for (uint32_t i = 0; i < 256; i++)
    for (int k = 1; k < 8; k++) table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
  fast = has_fast();
}

uint32_t crc32_update(uint32_t crc, const unsigned char *data, size_t length) {
  return ~(fast && length >= 64 ? by_folding(~crc, data, length) : by_table(~crc, data, length));
}
