/*
 * Reads a tar stream: v7, ustar, PAX, GNU (long names, base-256 numbers, sparse files old and new), as Go's archive/tar
 * reads it, because that is what Docker and containerd see in the same bytes: two readers that disagree are an attack.
 * Knows nothing of file systems. Everything it hands out is checked for range and lives until the next call.
 */
#ifndef TSC_LAYER_TAR_H
#define TSC_LAYER_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "layer_sha256.h"

struct tar_xattr {
  const char *name;
  const char *value; /* Bytes; not a string. */
  size_t length;
};
struct tar_extent {
  uint64_t offset, length;
};
struct tar_entry {
  char type;        /* '0' file, '1' hard link, '2' symlink, '3' character, '4' block device, '5' directory, '6' fifo */
  const char *name; /* As the archive says it: not cleaned. */
  const char *link;
  mode_t mode; /* 07777 at most. */
  uid_t uid;
  gid_t gid;
  uint32_t major, minor;
  struct timespec mtime, atime;
  uint64_t size; /* Of the file, holes included. */
  bool sparse;
  const struct tar_extent *extents; /* Where the stored bytes belong; ordered, apart, inside size. */
  size_t extent_count;
  const struct tar_xattr *xattrs;
  size_t xattr_count;
};

struct tar_reader {
  int fd;
  uint64_t max_bytes;
  const char *reason; /* What was wrong, after a -1 with EBADMSG (malformed), EFBIG (limit); NULL when a read failed. */
  uint64_t bytes;     /* Read so far. */
  /* Called once at the end of fd, when set: says what went wrong upstream, or NULL. */
  const char *(*at_end)(void *context);
  void *context;
  struct sha256 digest; /* Of all bytes read so far. */

  char *buffer;
  size_t start, end;
  bool eof;
  uint64_t remaining, padding; /* Of the present entry's stored bytes. */
  char *pax, *long_name, *long_link;
  struct tar_xattr *xattrs;
  size_t xattr_capacity;
  struct tar_extent *extents;
  size_t extent_count, extent_capacity;
  char name[257], link[101];
};

int tar_open(struct tar_reader *reader, int fd, uint64_t max_bytes);
void tar_close(struct tar_reader *reader);
/* 1 and an entry, 0 at the end, -1 with errno and reason. What is left of the last entry's bytes is skipped. */
int tar_next(struct tar_reader *reader, struct tar_entry *entry);
/* Some of the entry's stored bytes: their count, 0 at their end, -1 with errno and reason. */
ssize_t tar_data(struct tar_reader *reader, const char **data);
/* Reads to the end of the stream, so that bytes and digest are those of all of it. */
int tar_drain(struct tar_reader *reader);

#endif
