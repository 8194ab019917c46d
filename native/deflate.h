/*
 * Deflate (RFC 1951), for text that repeats itself: logs. One pass, matches found by a hash of four bytes, each block with
 * Huffman codes of its own. Memory: one struct deflate, whatever the length.
 */
#ifndef TSC_DEFLATE_H
#define TSC_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

#define DEFLATE_WINDOW 32768u
#define DEFLATE_BLOCK 65536u   /* input at a time */
#define DEFLATE_HASH (1u << 14)

struct deflate {
  unsigned char text[DEFLATE_WINDOW + DEFLATE_BLOCK]; /* what matches may refer to, then what is to be written */
  size_t history;
  uint32_t heads[DEFLATE_HASH];
  uint32_t tokens[DEFLATE_BLOCK]; /* a byte, or length << 16 | distance */
  size_t token_count;
  uint64_t bits;
  unsigned bit_count;
  unsigned char out[DEFLATE_BLOCK * 2];
  size_t out_length;
};

/* Where the next input goes: up to DEFLATE_BLOCK bytes. */
unsigned char *deflate_room(struct deflate *deflate);
/* Compresses what was put there; the result is in out, out_length. last: nothing follows. */
void deflate_block(struct deflate *deflate, size_t length, int last);

#endif
