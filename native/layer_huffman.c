/* See layer_huffman.h. */
#include "layer_huffman.h"

static unsigned reverse(unsigned code, unsigned length) {
  unsigned result = 0;
  for (; length > 0; length--, code >>= 1) result = result << 1 | (code & 1);
  return result;
}

bool huffman_build(uint32_t *table, unsigned bits, size_t capacity, const uint8_t *lengths, unsigned symbols, const uint32_t *results) {
  unsigned counts[16] = {0}, starts[17] = {0}, used = 0;
  uint16_t sorted[320];
  for (unsigned i = 0; i < symbols; i++) counts[lengths[i]]++;
  used = symbols - counts[0];
  counts[0] = 0;
  int left = 1;
  for (unsigned length = 1; length <= 15; length++) {
    left = left * 2 - (int)counts[length];
    if (left < 0) return false;
    starts[length + 1] = starts[length] + counts[length];
  }
  if (left > 0 && (symbols == 19 || used > 1 || (used == 1 && counts[1] != 1))) return false;
  for (unsigned i = 0; i < symbols; i++)
    if (lengths[i]) sorted[starts[lengths[i]]++] = (uint16_t)i;
  for (size_t i = 0; i < 1u << bits; i++) table[i] = SPECIAL | INVALID;

  size_t next = (size_t)1 << bits;
  unsigned code = 0, at = 0, max = 15;
  while (max > 0 && counts[max] == 0) max--;
  for (unsigned length = 1; length <= max; length++, code <<= 1) {
    for (; counts[length] > 0; code++, at++) {
      unsigned reversed = reverse(code, length);
      uint32_t entry = results[sorted[at]];
      if (length <= bits) {
        for (size_t i = reversed; i < 1u << bits; i += (size_t)1 << length) table[i] = entry | length;
        counts[length]--;
        continue;
      }
      uint32_t *root = &table[reversed & ((1u << bits) - 1)];
      if (!(*root & SUBTABLE)) {
        unsigned sub = length - bits;
        for (int room = 1 << sub; sub + bits < max; sub++, room <<= 1) {
          room -= (int)counts[sub + bits];
          if (room <= 0) break;
        }
        if (next + ((size_t)1 << sub) > capacity) return false;
        *root = SPECIAL | SUBTABLE | ENTRY(next, sub) | bits;
        for (size_t i = 0; i < (size_t)1 << sub; i++) table[next + i] = SPECIAL | INVALID;
        next += (size_t)1 << sub;
      }
      uint32_t *subtable = table + BASE_OF(*root);
      for (size_t i = reversed >> bits; i < (size_t)1 << EXTRA_OF(*root); i += (size_t)1 << (length - bits))
        subtable[i] = entry | (length - bits);
      counts[length]--;
    }
  }
  return true;
}
