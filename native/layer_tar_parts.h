/*
 * What the files of the tar reader share: layer_tar.c reads blocks and headers, layer_pax.c extended headers, layer_sparse.c
 * the maps of sparse files.
 */
#ifndef TSC_LAYER_TAR_PARTS_H
#define TSC_LAYER_TAR_PARTS_H

#include "layer_tar.h"

#define BLOCK 512u

struct raw { /* One header block; the variants differ from `magic` on. */
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2];
  char uname[32], gname[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct raw) == BLOCK, "a tar header is one block");

/* What PAX records said; -1 and NULL where they said nothing. */
struct pax {
  const char *path, *link;
  bool has_uid, has_gid, has_size, has_mtime, has_atime;
  uint64_t uid, gid, size;
  struct timespec mtime, atime;
  size_t xattr_count;
  const char *sparse_major, *sparse_minor, *sparse_name, *sparse_map;
  bool has_sparse_size, sparse_pair_open;
  uint64_t sparse_size;
};

/* Malformed, and how: -1 with EBADMSG. */
int tar_bad(struct tar_reader *reader, const char *reason);
int tar_no_memory(struct tar_reader *reader);
/* Makes at least `want` bytes lie side by side. 1, or 0 when the stream ends before that, or -1. */
int tar_fill(struct tar_reader *reader, size_t want);

/* Takes the records apart, in place: what is in pax points into text. */
int tar_parse_pax(struct tar_reader *reader, struct pax *pax, char *text, size_t length);

int tar_push_extent(struct tar_reader *reader, uint64_t offset, uint64_t length);
/* Reads the map if the entry has one: then its size and, perhaps, name are the map's. pax may be NULL. */
int tar_sparse(struct tar_reader *reader, const struct raw *raw, const struct pax *pax, struct tar_entry *entry);

#endif
