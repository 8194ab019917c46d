/*
 * See layer_tar_parts.h. GNU tar has four ways to say where a sparse file's stored bytes belong: in the header and blocks
 * behind it (old), in repeated PAX records (0.0), in one (0.1), or in lines before the content (1.0).
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "layer_number.h"
#include "layer_tar_parts.h"

#define EXTENTS_MAX (1u << 20)

int tar_push_extent(struct tar_reader *reader, uint64_t offset, uint64_t length) {
  if (reader->extent_count == reader->extent_capacity) {
    size_t capacity = reader->extent_capacity ? reader->extent_capacity * 2 : 64;
    if (capacity > EXTENTS_MAX) return tar_bad(reader, "a sparse file has too many pieces");
    struct tar_extent *grown = reallocarray(reader->extents, capacity, sizeof *grown);
    if (!grown) return tar_no_memory(reader);
    reader->extents = grown;
    reader->extent_capacity = capacity;
  }
  reader->extents[reader->extent_count++] = (struct tar_extent){offset, length};
  return 0;
}

/* 24 bytes per piece; a piece that starts with NUL ends the list. */
static int old_gnu_pieces(struct tar_reader *reader, const char *at, int count, bool *ended) {
  for (int i = 0; i < count && !*ended; i++, at += 24) {
    int64_t offset, length;
    if (at[0] == 0) {
      *ended = true;
      break;
    }
    if (!tar_numeric(at, 12, &offset) || !tar_numeric(at + 12, 12, &length) || offset < 0 || length < 0)
      return tar_bad(reader, "a sparse map is malformed");
    if (tar_push_extent(reader, (uint64_t)offset, (uint64_t)length) < 0) return -1;
  }
  return 0;
}

static int old_gnu_map(struct tar_reader *reader, const char *block, uint64_t *real_size) {
  int64_t size;
  bool ended = false;
  reader->extent_count = 0;
  if (!tar_numeric(block + 483, 12, &size) || size < 0) return tar_bad(reader, "a sparse file has no size");
  *real_size = (uint64_t)size;
  if (old_gnu_pieces(reader, block + 386, 4, &ended) < 0) return -1;
  for (bool more = block[482] != 0; more;) {
    int ready = tar_fill(reader, BLOCK);
    if (ready < 0) return -1;
    if (ready == 0) return tar_bad(reader, "the archive ends in the middle of a sparse map");
    const char *next = reader->buffer + reader->start;
    reader->start += BLOCK;
    more = next[504] != 0;
    ended = false;
    if (old_gnu_pieces(reader, next, 21, &ended) < 0) return -1;
  }
  return 0;
}

/* "offset,length,offset,length" */
static int map_0_1(struct tar_reader *reader, const char *text) {
  uint64_t pair[2];
  int have = 0;
  reader->extent_count = 0;
  for (;;) {
    size_t n = strcspn(text, ",");
    if (!tar_decimal(text, n, &pair[have])) return tar_bad(reader, "a sparse map is malformed");
    if (have == 1 && tar_push_extent(reader, pair[0], pair[1]) < 0) return -1;
    have ^= 1;
    if (text[n] == 0) break;
    text += n + 1;
  }
  return have == 0 ? 0 : tar_bad(reader, "a sparse map is malformed");
}

/* Lines of decimal numbers before the content, in whole blocks, counted in its size. */
static int map_1_0(struct tar_reader *reader) {
  char digits[20];
  size_t length = 0;
  uint64_t numbers = 0, wanted = 1, offset = 0, value = 0;
  reader->extent_count = 0;
  while (numbers < wanted) {
    if (reader->remaining < BLOCK) return tar_bad(reader, "a sparse map is longer than its file");
    int ready = tar_fill(reader, BLOCK);
    if (ready < 0) return -1;
    if (ready == 0) return tar_bad(reader, "the archive ends in the middle of a sparse map");
    const char *block = reader->buffer + reader->start;
    reader->start += BLOCK;
    reader->remaining -= BLOCK;
    for (unsigned i = 0; i < BLOCK && numbers < wanted; i++) {
      if (block[i] != '\n') {
        if (length == sizeof digits) return tar_bad(reader, "a sparse map is malformed");
        digits[length++] = block[i];
        continue;
      }
      if (!tar_decimal(digits, length, &value)) return tar_bad(reader, "a sparse map is malformed");
      length = 0;
      if (numbers == 0) {
        if (value > EXTENTS_MAX) return tar_bad(reader, "a sparse file has too many pieces");
        wanted = 1 + 2 * value;
      } else if (numbers % 2 == 1) offset = value;
      else if (tar_push_extent(reader, offset, value) < 0) return -1;
      numbers++;
    }
  }
  return 0;
}

static int check_map(struct tar_reader *reader, uint64_t size) {
  uint64_t at = 0, stored = 0;
  for (size_t i = 0; i < reader->extent_count; i++) {
    struct tar_extent *extent = &reader->extents[i];
    if (extent->offset < at || extent->length > INT64_MAX - extent->offset || extent->offset + extent->length > size)
      return tar_bad(reader, "a sparse map's pieces overlap or leave the file");
    at = extent->offset + extent->length;
    stored += extent->length;
  }
  return stored == reader->remaining ? 0 : tar_bad(reader, "a sparse map disagrees with the stored size");
}

int tar_sparse(struct tar_reader *reader, const struct raw *raw, const struct pax *pax, struct tar_entry *entry) {
  bool v1 = pax && pax->sparse_major && pax->sparse_minor && !strcmp(pax->sparse_major, "1") && !strcmp(pax->sparse_minor, "0");
  bool v0 = pax && !v1 && (pax->sparse_map || reader->extent_count > 0) && (!pax->sparse_major || !strcmp(pax->sparse_major, "0"));
  if (raw->type == 'S') {
    if (old_gnu_map(reader, (const char *)raw, &entry->size) < 0) return -1;
  } else if (v1 || v0) {
    if (!pax->has_sparse_size) return tar_bad(reader, "a sparse file has no size");
    if (pax->sparse_name) entry->name = pax->sparse_name;
    entry->size = pax->sparse_size;
    if (v1 && map_1_0(reader) < 0) return -1;
    if (v0 && pax->sparse_map && map_0_1(reader, pax->sparse_map) < 0) return -1;
  } else {
    return 0;
  }
  entry->sparse = true;
  entry->extents = reader->extents;
  entry->extent_count = reader->extent_count;
  return check_map(reader, entry->size);
}
