/* See deflate.h. */
#define _GNU_SOURCE
#include "deflate.h"

#include <stdbool.h>
#include <string.h>

#define LITERALS 286u
#define DISTANCES 30u
#define LENGTH_CODES 19u
#define MATCH_MIN 4u
#define MATCH_MAX 258u
#define END_OF_BLOCK 256u

static const uint16_t length_base[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                       31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t length_extra[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t distance_base[] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                         193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const uint8_t distance_extra[] = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};

/* A prefix code: how many bits each symbol takes, and which. */
struct code {
  uint8_t lengths[LITERALS];
  uint16_t bits[LITERALS];
};

/* --- finding what repeats --- */

static uint32_t hash4(const unsigned char *p) {
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return v * 2654435761u >> 18;
}

static size_t match_length(const unsigned char *a, const unsigned char *b, size_t most) {
  size_t n = 0;
  while (n < most && a[n] == b[n]) n++;
  return n;
}

/* Positions in heads count from 1 at the beginning of text; 0 is none. */
static void find_tokens(struct deflate *d, size_t length) {
  const unsigned char *text = d->text;
  size_t at = d->history, end = d->history + length;
  d->token_count = 0;
  while (at < end) {
    size_t found = 0, distance = 0;
    if (at + MATCH_MIN <= end) {
      uint32_t *head = &d->heads[hash4(text + at)];
      if (*head > 0 && at - (*head - 1) <= DEFLATE_WINDOW) {
        size_t most = end - at < MATCH_MAX ? end - at : MATCH_MAX;
        distance = at - (*head - 1);
        found = match_length(text + at - distance, text + at, most);
      }
      *head = (uint32_t)at + 1;
    }
    if (found < MATCH_MIN) {
      d->tokens[d->token_count++] = text[at++];
      continue;
    }
    d->tokens[d->token_count++] = (uint32_t)found << 16 | (uint32_t)distance;
    /* What lies inside of a match is entered here and there only: most of the speed, little of the ratio. */
    for (size_t inside = at + 2; inside + MATCH_MIN <= end && inside < at + found; inside += 4) d->heads[hash4(text + inside)] = (uint32_t)inside + 1;
    at += found;
  }
}

/* --- codes --- */

static unsigned symbol_of(const uint16_t *base, unsigned count, unsigned value) {
  unsigned low = 0, high = count - 1;
  while (low < high) {
    unsigned middle = (low + high + 1) / 2;
    if (base[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

struct leaf {
  uint32_t weight;
  uint16_t symbol;
};

static void sort_leaves(struct leaf *leaves, size_t count) {
  for (size_t i = 1; i < count; i++) {
    struct leaf leaf = leaves[i];
    size_t k = i;
    for (; k > 0 && leaves[k - 1].weight > leaf.weight; k--) leaves[k] = leaves[k - 1];
    leaves[k] = leaf;
  }
}

/* How deep each of the sorted leaves lies in Huffman's tree (Moffat and Katajainen's way: in place, two queues). */
static void depths(const struct leaf *leaves, size_t count, uint8_t *depth) {
  uint32_t weight[2 * LITERALS];
  uint16_t parent[2 * LITERALS];
  size_t leaf = 0, inner = count, next = count;
  for (size_t i = 0; i < count; i++) weight[i] = leaves[i].weight;
  for (; next < 2 * count - 1; next++) {
    weight[next] = 0;
    for (int k = 0; k < 2; k++) {
      size_t lightest = leaf < count && (inner >= next || weight[leaf] <= weight[inner]) ? leaf++ : inner++;
      weight[next] += weight[lightest];
      parent[lightest] = (uint16_t)next;
    }
  }
  uint8_t level[2 * LITERALS];
  level[next - 1] = 0;
  for (size_t i = next - 1; i-- > 0;) level[i] = (uint8_t)(level[parent[i]] + 1);
  memcpy(depth, level, count);
}

/* Shortens codes that are too long at the cost of the shorter ones, until all fit again (Kraft's sum is one). */
static void limit_depths(unsigned *per_length, unsigned limit) {
  for (unsigned i = limit + 1; i < 64; i++) per_length[limit] += per_length[i];
  uint32_t total = 0;
  for (unsigned i = limit; i > 0; i--) total += per_length[i] << (limit - i);
  for (; total > 1u << limit; total--) {
    per_length[limit]--;
    for (unsigned i = limit - 1; i > 0; i--)
      if (per_length[i] > 0) {
        per_length[i]--;
        per_length[i + 1] += 2;
        break;
      }
  }
}

static uint16_t reversed(unsigned code, unsigned length) {
  unsigned result = 0;
  for (unsigned i = 0; i < length; i++) result |= (code >> i & 1) << (length - 1 - i);
  return (uint16_t)result;
}

static void assign_bits(struct code *code, size_t symbols, const unsigned *per_length) {
  unsigned next[17] = {0}, at = 0;
  for (unsigned i = 1; i <= 15; i++) next[i] = at = (at + (i > 1 ? per_length[i - 1] : 0)) << 1;
  for (size_t s = 0; s < symbols; s++)
    if (code->lengths[s] > 0) code->bits[s] = reversed(next[code->lengths[s]]++, code->lengths[s]);
}

static void make_code(struct code *code, const uint32_t *counts, size_t symbols, unsigned limit) {
  struct leaf leaves[LITERALS];
  uint8_t depth[LITERALS];
  unsigned per_length[64] = {0};
  size_t used = 0;
  memset(code, 0, sizeof *code);
  for (size_t s = 0; s < symbols; s++)
    if (counts[s] > 0) leaves[used++] = (struct leaf){counts[s], (uint16_t)s};
  /* A code of one symbol has one bit all the same; a second one, which is never written, makes it whole. */
  for (uint16_t s = 0; used < 2; s++)
    if (counts[s] == 0) leaves[used++] = (struct leaf){1, s};
  sort_leaves(leaves, used);
  depths(leaves, used, depth);
  for (size_t i = 0; i < used; i++) per_length[depth[i] < 63 ? depth[i] : 63]++;
  limit_depths(per_length, limit);
  /* The rarest get the longest. */
  size_t leaf = 0;
  for (unsigned length = limit; length > 0; length--)
    for (unsigned i = 0; i < per_length[length]; i++) code->lengths[leaves[leaf++].symbol] = (uint8_t)length;
  assign_bits(code, symbols, per_length);
}

/* --- writing --- */

static void put_bits(struct deflate *d, uint32_t value, unsigned count) {
  d->bits |= (uint64_t)value << d->bit_count;
  d->bit_count += count;
  while (d->bit_count >= 8) {
    d->out[d->out_length++] = (unsigned char)d->bits;
    d->bits >>= 8;
    d->bit_count -= 8;
  }
}

static void put_symbol(struct deflate *d, const struct code *code, unsigned symbol) { put_bits(d, code->bits[symbol], code->lengths[symbol]); }

/* The lengths of both codes, run by run: symbols 16 to 18 stand for repetitions. */
static size_t run_lengths(const uint8_t *lengths, size_t count, uint8_t *symbols, uint8_t *extras) {
  size_t used = 0;
  for (size_t i = 0; i < count;) {
    size_t run = 1;
    while (i + run < count && lengths[i + run] == lengths[i] && run < 138) run++;
    if (lengths[i] == 0 && run >= 3) {
      symbols[used] = run >= 11 ? 18 : 17;
      extras[used++] = (uint8_t)(run >= 11 ? run - 11 : run - 3);
      i += run;
      continue;
    }
    symbols[used] = lengths[i++];
    extras[used++] = 0;
    for (run--; run >= 3;) {
      size_t repeat = run < 6 ? run : 6;
      symbols[used] = 16;
      extras[used++] = (uint8_t)(repeat - 3);
      run -= repeat;
      i += repeat;
    }
  }
  return used;
}

static void put_codes(struct deflate *d, const struct code *literals, const struct code *distances) {
  static const uint8_t order[LENGTH_CODES] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  uint8_t lengths[LITERALS + DISTANCES], symbols[LITERALS + DISTANCES], extras[LITERALS + DISTANCES];
  uint32_t counts[LENGTH_CODES] = {0};
  struct code code;
  memcpy(lengths, literals->lengths, LITERALS);
  memcpy(lengths + LITERALS, distances->lengths, DISTANCES);
  size_t used = run_lengths(lengths, sizeof lengths, symbols, extras);
  for (size_t i = 0; i < used; i++) counts[symbols[i]]++;
  make_code(&code, counts, LENGTH_CODES, 7);
  put_bits(d, LITERALS - 257, 5);
  put_bits(d, DISTANCES - 1, 5);
  put_bits(d, LENGTH_CODES - 4, 4);
  for (unsigned i = 0; i < LENGTH_CODES; i++) put_bits(d, code.lengths[order[i]], 3);
  for (size_t i = 0; i < used; i++) {
    put_symbol(d, &code, symbols[i]);
    if (symbols[i] >= 16) put_bits(d, extras[i], symbols[i] == 16 ? 2 : symbols[i] == 17 ? 3 : 7);
  }
}

static void put_token(struct deflate *d, uint32_t token, const struct code *literals, const struct code *distances) {
  unsigned length = token >> 16, distance = token & 0xffff;
  if (length == 0) return put_symbol(d, literals, token);
  unsigned symbol = symbol_of(length_base, 29, length);
  put_symbol(d, literals, 257 + symbol);
  put_bits(d, length - length_base[symbol], length_extra[symbol]);
  symbol = symbol_of(distance_base, DISTANCES, distance);
  put_symbol(d, distances, symbol);
  put_bits(d, distance - distance_base[symbol], distance_extra[symbol]);
}

/* Keeps the last of the text for the next block's matches. */
static void slide(struct deflate *d, size_t length) {
  size_t filled = d->history + length;
  if (filled <= DEFLATE_WINDOW) {
    d->history = filled;
    return;
  }
  size_t gone = filled - DEFLATE_WINDOW;
  memmove(d->text, d->text + gone, DEFLATE_WINDOW);
  for (size_t i = 0; i < DEFLATE_HASH; i++) d->heads[i] = d->heads[i] > gone ? d->heads[i] - (uint32_t)gone : 0;
  d->history = DEFLATE_WINDOW;
}

unsigned char *deflate_room(struct deflate *d) { return d->text + d->history; }

void deflate_block(struct deflate *d, size_t length, int last) {
  uint32_t literal_counts[LITERALS] = {0}, distance_counts[DISTANCES] = {0};
  struct code literals, distances;
  find_tokens(d, length);
  for (size_t i = 0; i < d->token_count; i++) {
    unsigned run = d->tokens[i] >> 16;
    if (run == 0) literal_counts[d->tokens[i]]++;
    else {
      literal_counts[257 + symbol_of(length_base, 29, run)]++;
      distance_counts[symbol_of(distance_base, DISTANCES, d->tokens[i] & 0xffff)]++;
    }
  }
  literal_counts[END_OF_BLOCK] = 1;
  make_code(&literals, literal_counts, LITERALS, 15);
  make_code(&distances, distance_counts, DISTANCES, 15);
  d->out_length = 0;
  put_bits(d, last ? 1 : 0, 1);
  put_bits(d, 2, 2);
  put_codes(d, &literals, &distances);
  for (size_t i = 0; i < d->token_count; i++) put_token(d, d->tokens[i], &literals, &distances);
  put_symbol(d, &literals, END_OF_BLOCK);
  if (last && d->bit_count > 0) put_bits(d, 0, 8 - d->bit_count);
  slide(d, length);
}
