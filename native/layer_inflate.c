/*
 * See layer_inflate.h. DEFLATE (RFC 1951) in gzip members (RFC 1952).
 *
 * Written here because unpacking is bound by it, and neither of the usual answers fits: Node's zlib is slower and makes all
 * of the content pass through Node; a faster program or library would be one more thing to install. The input is hostile, so
 * every index is bounded by a table's or buffer's size below, and whoever calls this does so in a process that may only read
 * and write.
 */
#define _GNU_SOURCE
#include "layer_inflate.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "layer_crc32.h"
#include "layer_huffman.h"
#include "util.h"

#define WINDOW 32768u
#define OUT_SIZE (WINDOW + (1u << 18))
#define OUT_SLACK 320u /* A match is at most 258, copies overshoot by less than 16. */
#define IN_SIZE (1u << 18)
#define IN_HISTORY 8u
#define IN_SLACK 64u /* Zeros behind the input's end, so that a 64-bit load needs no check. */

#define LITERAL_BITS 11u
#define DISTANCE_BITS 8u
#define LITERAL_TABLE 2400u /* 2342 is the most that 288 codes of up to 15 bits need at 11 bits. */
#define DISTANCE_TABLE 512u /* 402 likewise, for 32 codes at 8 bits. */

static const uint16_t length_base[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                         31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t length_extra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t distance_base[30] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                           193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const uint8_t distance_extra[30] = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};

struct inflater {
  int in_fd, out_fd;
  const unsigned char *in, *in_end; /* in may pass in_end by what the bit buffer took of the zeros behind it. */
  bool in_eof;
  uint64_t bits;
  unsigned count; /* Of valid bits. */
  unsigned char *out; /* Where the next byte goes. */
  unsigned char *written; /* Up to here it is with the reader; the last WINDOW bytes stay for matches. */
  unsigned char *member; /* Where this member's output begins, at the earliest the buffer's start. */
  uint32_t crc, size;
  uint32_t literals[LITERAL_TABLE], distances[DISTANCE_TABLE];
  uint32_t literal_results[288], distance_results[32];
  unsigned char in_buffer[IN_HISTORY + IN_SIZE + IN_SLACK], out_buffer[OUT_SIZE + OUT_SLACK];
};

/* One, because nothing may be allocated under strict seccomp. */
static struct inflater state;

/* Moves what is left to the front and reads behind it. What the bit buffer took last stays too: align may give it back. */
static int refill(struct inflater *s) {
  unsigned char *start = s->in_buffer + IN_HISTORY;
  size_t left = (size_t)(s->in_end - s->in);
  memmove(s->in_buffer, s->in - IN_HISTORY, IN_HISTORY + left);
  s->in = start;
  while (left < IN_SLACK && !s->in_eof) {
    ssize_t n = RETRY_EINTR(read(s->in_fd, start + left, IN_SIZE - left));
    if (n < 0) return INFLATE_READ;
    if (n == 0) s->in_eof = true;
    left += (size_t)n;
  }
  s->in_end = start + left;
  memset(start + left, 0, IN_SLACK);
  return 0;
}

static int flush(struct inflater *s) {
  size_t length = (size_t)(s->out - s->written);
  s->crc = crc32_update(s->crc, s->written, length);
  s->size += (uint32_t)length;
  if (write_all(s->out_fd, s->written, length) < 0) return INFLATE_WRITE;
  size_t total = (size_t)(s->out - s->out_buffer), keep = total < WINDOW ? total : WINDOW;
  size_t moved = total - keep;
  memmove(s->out_buffer, s->out - keep, keep);
  s->member = (size_t)(s->member - s->out_buffer) > moved ? s->member - moved : s->out_buffer;
  s->out = s->written = s->out_buffer + keep;
  return 0;
}

/* Before a step: at least IN_SLACK/2 bytes to read (or the end is near), and room for a match. */
static inline int make_ready(struct inflater *s) {
  int error = 0;
  if (s->in_end - s->in < 32) {
    if (!s->in_eof) error = s->in > s->in_end ? INFLATE_TRUNCATED : refill(s);
    /* The bit buffer holds up to 8 bytes that were taken but not used. */
    else if (s->in > s->in_end + 8 || (s->in > s->in_end && (size_t)(s->in - s->in_end) > s->count / 8)) return INFLATE_TRUNCATED;
  }
  if (error == 0 && s->out > s->out_buffer + OUT_SIZE - OUT_SLACK) error = flush(s);
  return error;
}

static inline uint64_t load(const unsigned char *p) {
  uint64_t value;
  memcpy(&value, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  value = __builtin_bswap64(value);
#endif
  return value;
}

/* At least 56 bits afterwards. */
#define FILL()                       \
  do {                               \
    bits |= load(in) << count;       \
    in += (63 - count) >> 3;         \
    count |= 56;                     \
  } while (0)
#define DROP(n) (bits >>= (n), count -= (n))

/* The same through the struct, for all that is not the inner loop. n <= 32. */
static int need(struct inflater *s, unsigned n) {
  if (s->count >= n) return 0;
  int error = make_ready(s);
  if (error) return error;
  s->bits |= load(s->in) << s->count;
  s->in += (63 - s->count) >> 3;
  s->count |= 56;
  return 0;
}
static int take(struct inflater *s, unsigned n, uint32_t *value) {
  int error = need(s, n);
  if (error) return error;
  *value = (uint32_t)(s->bits & ((1ull << n) - 1));
  s->bits >>= n;
  s->count -= n;
  return 0;
}

/* Goes back to the byte boundary: whole unused bytes return to the input. */
static int align(struct inflater *s) {
  s->in -= s->count / 8;
  s->bits = 0;
  s->count = 0;
  return s->in > s->in_end ? INFLATE_TRUNCATED : 0;
}

/* ---- tables ---- */

static void prepare(struct inflater *s) {
  for (unsigned i = 0; i < 256; i++) s->literal_results[i] = LITERAL | ENTRY(i, 0);
  s->literal_results[256] = SPECIAL;
  for (unsigned i = 0; i < 29; i++) s->literal_results[257 + i] = ENTRY(length_base[i], length_extra[i]);
  s->literal_results[286] = s->literal_results[287] = SPECIAL | INVALID;
  for (unsigned i = 0; i < 30; i++) s->distance_results[i] = ENTRY(distance_base[i], distance_extra[i]);
  s->distance_results[30] = s->distance_results[31] = SPECIAL | INVALID;
  crc32_init();
}

static bool fixed_tables(struct inflater *s) {
  uint8_t lengths[288];
  memset(lengths, 8, 144);
  memset(lengths + 144, 9, 112);
  memset(lengths + 256, 7, 24);
  memset(lengths + 280, 8, 8);
  if (!huffman_build(s->literals, LITERAL_BITS, LITERAL_TABLE, lengths, 288, s->literal_results)) return false;
  memset(lengths, 5, 32);
  return huffman_build(s->distances, DISTANCE_BITS, DISTANCE_TABLE, lengths, 32, s->distance_results);
}

static int dynamic_tables(struct inflater *s) {
  static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  uint32_t header, value, table[128], results[19];
  uint8_t lengths[320] = {0};
  int error = take(s, 14, &header);
  if (error) return error;
  unsigned literals = (header & 31) + 257, distances = (header >> 5 & 31) + 1, codes = (header >> 10) + 4;
  if (literals > 286 || distances > 30) return INFLATE_DATA;
  for (unsigned i = 0; i < codes; i++) {
    if ((error = take(s, 3, &value))) return error;
    lengths[order[i]] = (uint8_t)value;
  }
  for (unsigned i = 0; i < 19; i++) results[i] = ENTRY(i, 0);
  if (!huffman_build(table, 7, countof(table), lengths, 19, results)) return INFLATE_DATA;
  memset(lengths, 0, sizeof lengths);
  for (unsigned at = 0; at < literals + distances;) {
    if ((error = need(s, 7))) return error;
    uint32_t entry = table[s->bits & 127];
    if (entry & SPECIAL) return INFLATE_DATA;
    s->bits >>= LENGTH_OF(entry);
    s->count -= LENGTH_OF(entry);
    unsigned symbol = BASE_OF(entry);
    if (symbol < 16) {
      lengths[at++] = (uint8_t)symbol;
      continue;
    }
    if (symbol == 16 && at == 0) return INFLATE_DATA;
    if ((error = take(s, symbol == 16 ? 2 : symbol == 17 ? 3 : 7, &value))) return error;
    unsigned repeat = value + (symbol == 18 ? 11 : 3);
    if (repeat > literals + distances - at) return INFLATE_DATA;
    memset(lengths + at, symbol == 16 ? lengths[at - 1] : 0, repeat);
    at += repeat;
  }
  if (lengths[256] == 0) return INFLATE_DATA;
  if (!huffman_build(s->literals, LITERAL_BITS, LITERAL_TABLE, lengths, literals, s->literal_results)) return INFLATE_DATA;
  return huffman_build(s->distances, DISTANCE_BITS, DISTANCE_TABLE, lengths + literals, distances, s->distance_results) ? 0 : INFLATE_DATA;
}

/* ---- blocks ---- */

static int stored_block(struct inflater *s) {
  int error = align(s);
  uint32_t sizes;
  if (error || (error = take(s, 32, &sizes))) return error;
  uint32_t length = sizes & 0xffff;
  if (length != (~sizes >> 16 & 0xffff)) return INFLATE_DATA;
  if ((error = align(s))) return error;
  while (length > 0) {
    if ((error = make_ready(s))) return error;
    if (s->in >= s->in_end) return INFLATE_TRUNCATED;
    size_t n = (size_t)(s->in_end - s->in), room = (size_t)(s->out_buffer + OUT_SIZE - s->out);
    if (n > room) n = room;
    if (n > length) n = length;
    memcpy(s->out, s->in, n);
    s->out += n;
    s->in += n;
    length -= (uint32_t)n;
  }
  return 0;
}

/* May write up to 15 bytes too many: there is slack, and what follows overwrites them. */
static inline void copy_match(unsigned char *out, size_t distance, size_t length) {
  const unsigned char *from = out - distance;
  unsigned char *end = out + length;
  if (distance >= 16) {
    do {
      memcpy(out, from, 16);
      out += 16;
      from += 16;
    } while (out < end);
  } else if (distance >= 8) {
    do {
      memcpy(out, from, 8);
      out += 8;
      from += 8;
    } while (out < end);
  } else if (distance == 1) {
    memset(out, *from, length);
  } else {
    do *out++ = *from++;
    while (out < end);
  }
}

static int coded_block(struct inflater *s) {
  /* In registers while the loop runs; the struct is up to date whenever another function sees it. */
  const uint32_t *literals = s->literals, *distances = s->distances;
  uint64_t bits = s->bits;
  unsigned count = s->count;
  const unsigned char *in = s->in;
  unsigned char *out = s->out;
  for (;;) {
    if (__builtin_expect(s->in_end - in < 32 || out > s->out_buffer + OUT_SIZE - OUT_SLACK, 0)) {
      s->bits = bits, s->count = count, s->in = in, s->out = out;
      int error = make_ready(s);
      if (error) return error;
      in = s->in, out = s->out;
    }
    FILL();
    uint32_t entry = literals[bits & ((1u << LITERAL_BITS) - 1)];
    if (entry & LITERAL) {
      DROP(LENGTH_OF(entry));
      *out++ = (unsigned char)BASE_OF(entry);
      entry = literals[bits & ((1u << LITERAL_BITS) - 1)];
      if (entry & LITERAL) {
        DROP(LENGTH_OF(entry));
        *out++ = (unsigned char)BASE_OF(entry);
        entry = literals[bits & ((1u << LITERAL_BITS) - 1)];
        if (entry & LITERAL) {
          DROP(LENGTH_OF(entry));
          *out++ = (unsigned char)BASE_OF(entry);
          continue;
        }
      }
      FILL();
    }
    if (entry & SUBTABLE) {
      DROP(LITERAL_BITS);
      entry = literals[BASE_OF(entry) + (bits & ((1u << EXTRA_OF(entry)) - 1))];
    }
    DROP(LENGTH_OF(entry));
    if (entry & LITERAL) {
      *out++ = (unsigned char)BASE_OF(entry);
      continue;
    }
    if (entry & SPECIAL) {
      s->bits = bits, s->count = count, s->in = in, s->out = out;
      if (entry & INVALID) return INFLATE_DATA;
      return 0;
    }
    size_t length = BASE_OF(entry) + (bits & ((1u << EXTRA_OF(entry)) - 1));
    DROP(EXTRA_OF(entry));
    entry = distances[bits & ((1u << DISTANCE_BITS) - 1)];
    if (entry & SUBTABLE) {
      DROP(DISTANCE_BITS);
      entry = distances[BASE_OF(entry) + (bits & ((1u << EXTRA_OF(entry)) - 1))];
    }
    if (entry & SPECIAL) {
      s->in = in, s->count = count;
      return INFLATE_DATA;
    }
    DROP(LENGTH_OF(entry));
    size_t distance = BASE_OF(entry) + (bits & ((1u << EXTRA_OF(entry)) - 1));
    DROP(EXTRA_OF(entry));
    if (distance > (size_t)(out - s->member)) {
      s->in = in, s->count = count;
      return INFLATE_DATA;
    }
    copy_match(out, distance, length);
    out += length;
  }
}

static int member_body(struct inflater *s) {
  uint32_t header = 0;
  while (!(header & 1)) {
    int error = make_ready(s);
    if (error || (error = take(s, 3, &header))) return error;
    switch (header >> 1) {
      case 0:
        error = stored_block(s);
        break;
      case 1:
        error = fixed_tables(s) ? coded_block(s) : INFLATE_DATA;
        break;
      case 2:
        error = dynamic_tables(s);
        if (!error) error = coded_block(s);
        break;
      default:
        error = INFLATE_DATA;
    }
    if (error) return error;
  }
  return 0;
}

/* ---- gzip ---- */

static int skip_text(struct inflater *s) {
  uint32_t c = 1;
  while (c != 0) {
    int error = take(s, 8, &c);
    if (error || (error = make_ready(s))) return error;
  }
  return 0;
}

static int member_header(struct inflater *s) {
  uint32_t head, value;
  int error = take(s, 32, &head);
  if (error) return error;
  unsigned flags = head >> 24;
  if ((head & 0xffffff) != 0x088b1f || flags & 0xe0) return INFLATE_HEADER;
  if ((error = take(s, 32, &value)) || (error = take(s, 16, &value))) return error;
  if (flags & 4) {
    if ((error = take(s, 16, &value))) return error;
    for (uint32_t left = value; left > 0; left--)
      if ((error = take(s, 8, &value)) || (error = make_ready(s))) return error;
  }
  if (flags & 8 && (error = skip_text(s))) return error;
  if (flags & 16 && (error = skip_text(s))) return error;
  return flags & 2 ? take(s, 16, &value) : 0;
}

static int member(struct inflater *s) {
  uint32_t crc, size;
  int error = member_header(s);
  if (error) return error;
  s->crc = s->size = 0;
  s->member = s->out;
  error = member_body(s);
  /* The zeros behind the end make no sense either: what is wrong is that there is no more. */
  if (error == INFLATE_DATA && s->in_eof && s->in - s->count / 8 > s->in_end) return INFLATE_TRUNCATED;
  if (error || (error = align(s)) || (error = flush(s))) return error;
  if ((error = take(s, 32, &crc)) || (error = take(s, 32, &size)) || (error = align(s))) return error;
  return crc == s->crc && size == s->size ? 0 : INFLATE_CHECKSUM;
}

int inflate_gzip(int in, int out) {
  struct inflater *s = &state;
  s->in_fd = in;
  s->out_fd = out;
  s->in = s->in_end = s->in_buffer + IN_HISTORY;
  s->out = s->written = s->member = s->out_buffer;
  prepare(s);
  int error = make_ready(s);
  for (bool first = true; error == 0; first = false) {
    if ((error = make_ready(s))) break;
    if (s->in == s->in_end) return first ? INFLATE_TRUNCATED : INFLATE_OK;
    /* Several members are one stream. Zeros behind them are padding (tapes, block devices); anything else is not ours. */
    if (!first && s->in[0] == 0) {
      s->in++;
      continue;
    }
    if (!first && (s->in[0] != 0x1f || s->in_end - s->in < 2 || s->in[1] != 0x8b)) return INFLATE_TRAILING;
    error = member(s);
  }
  return error;
}

const char *inflate_reason(int error) {
  switch (error) {
    case INFLATE_TRUNCATED:
      return "the gzip stream ends early";
    case INFLATE_HEADER:
      return "it is not gzip";
    case INFLATE_DATA:
      return "the gzip stream is corrupt";
    case INFLATE_CHECKSUM:
      return "the gzip stream's checksum is wrong";
    case INFLATE_TRAILING:
      return "something follows the gzip stream";
    case INFLATE_READ:
      return "the gzip stream could not be read";
    case INFLATE_WRITE:
      return "the content could not be passed on";
    default:
      return "the decompressor was killed";
  }
}
