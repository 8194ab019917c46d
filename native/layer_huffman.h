/* The tables by which DEFLATE's codes are read (RFC 1951, 3.2.2): a root that is indexed by the next bits, and subtables for longer codes. */
#ifndef TSC_LAYER_HUFFMAN_H
#define TSC_LAYER_HUFFMAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A table's entry: bits 0-7 how long the code is; 8-12 how many extra bits follow, or of the subtable's index; 13 invalid;
 * 14 a subtable, 15 "not simply a value": subtable, end of block, or invalid; 16-30 the base, or the literal, or where the
 * subtable starts; 31 a literal.
 */
#define LITERAL (1u << 31)
#define SPECIAL (1u << 15)
#define SUBTABLE (1u << 14)
#define INVALID (1u << 13)
#define ENTRY(base, extra) ((uint32_t)(base) << 16 | (uint32_t)(extra) << 8)
#define LENGTH_OF(entry) ((entry)&0xff)
#define EXTRA_OF(entry) ((entry) >> 8 & 0x1f)
#define BASE_OF(entry) ((entry) >> 16 & 0x7fff)

/*
 * Canonical codes from their lengths. An incomplete set is good only for lengths or distances with at most one code
 * (RFC 1951, 3.2.7); the code lengths' own code (19 symbols) is complete, as zlib demands.
 */
bool huffman_build(uint32_t *table, unsigned bits, size_t capacity, const uint8_t *lengths, unsigned symbols, const uint32_t *results);

#endif
