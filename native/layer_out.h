/*
 * Writes a tar archive: ustar where it suffices, PAX where not, never GNU's own. Equal entries in equal order are equal
 * bytes, the same as lib/archive/writer.ts writes.
 */
#ifndef TSC_LAYER_OUT_H
#define TSC_LAYER_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "layer_sha256.h"

struct out_xattr {
  const char *name;
  const char *value;
  size_t length;
};

struct out_entry {
  const char *name; /* A directory's without its slash. */
  const char *link; /* "" for all but links. */
  char type;        /* '0' file, '1' hard link, '2' symlink, '3' and '4' devices, '5' directory, '6' fifo. */
  mode_t mode;
  uid_t uid;
  gid_t gid;
  uint64_t size;
  struct timespec mtime;
  unsigned major, minor;
  const struct out_xattr *xattrs; /* Sorted by name. */
  size_t xattr_count;
};

struct tar_out {
  int fd;
  bool hash; /* Whether anybody wants the digest. */
  struct sha256 digest;
  uint64_t bytes; /* Written so far, what is still in the buffer included. */
  char *buffer;
  size_t used;
  char *pax; /* The records of one extended header. */
  size_t pax_used, pax_capacity;
};

/* 0, or -1 with errno. */
int out_open(struct tar_out *out, int fd, bool hash);
/* The headers of one entry. 0, or -1 with errno. */
int out_header(struct tar_out *out, const struct out_entry *entry);
/* `size` bytes of a file, and the padding. One that has become shorter is filled with zeros. 0, or -1 with errno; *read says on which side. */
int out_content(struct tar_out *out, int file, uint64_t size, bool *read_failed);
/* The end mark, and all that was held back. 0, or -1 with errno. */
int out_finish(struct tar_out *out);
void out_close(struct tar_out *out);

#endif
