/* See layer_tar.h. Pure reading: the bytes are hostile, the only calls are read and malloc. */
#define _GNU_SOURCE
#include "layer_tar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layer_number.h"
#include "layer_tar_parts.h"
#include "util.h"

#define CAPACITY (1u << 20)
/* As Go's archive/tar: an extended header is names and attributes, not content. */
#define SPECIAL_MAX (1u << 20)
/* A body up to this size is handed out in one piece, so that it is one write. */
#define WHOLE_MAX (256u << 10)

int tar_bad(struct tar_reader *reader, const char *reason) {
  reader->reason = reason;
  errno = EBADMSG;
  return -1;
}
int tar_no_memory(struct tar_reader *reader) {
  reader->reason = NULL;
  errno = ENOMEM;
  return -1;
}

int tar_open(struct tar_reader *reader, int fd, uint64_t max_bytes) {
  memset(reader, 0, sizeof *reader);
  reader->fd = fd;
  reader->max_bytes = max_bytes;
  sha256_init(&reader->digest);
  reader->buffer = malloc(CAPACITY);
  return reader->buffer ? 0 : -1;
}

void tar_close(struct tar_reader *reader) {
  free(reader->buffer);
  free(reader->pax);
  free(reader->long_name);
  free(reader->long_link);
  free(reader->xattrs);
  free(reader->extents);
  memset(reader, 0, sizeof *reader);
}

int tar_fill(struct tar_reader *reader, size_t want) {
  while (reader->end - reader->start < want) {
    if (reader->eof) return 0;
    if (reader->start == reader->end) reader->start = reader->end = 0;
    if (CAPACITY - reader->start < want) {
      memmove(reader->buffer, reader->buffer + reader->start, reader->end - reader->start);
      reader->end -= reader->start;
      reader->start = 0;
    }
    ssize_t n = RETRY_EINTR(read(reader->fd, reader->buffer + reader->end, CAPACITY - reader->end));
    if (n < 0) {
      reader->reason = NULL;
      return -1;
    }
    if (n == 0) {
      reader->eof = true;
      reader->reason = reader->at_end ? reader->at_end(reader->context) : NULL;
      if (!reader->reason) continue;
      errno = EIO;
      return -1;
    }
    sha256_update(&reader->digest, reader->buffer + reader->end, (size_t)n);
    reader->end += (size_t)n;
    reader->bytes += (uint64_t)n;
    if (reader->bytes > reader->max_bytes) {
      reader->reason = "the layer unpacks to more bytes than allowed";
      errno = EFBIG;
      return -1;
    }
  }
  return 1;
}

static int skip(struct tar_reader *reader, uint64_t count) {
  while (count > 0) {
    int ready = tar_fill(reader, 1);
    if (ready < 0) return -1;
    if (ready == 0) return tar_bad(reader, "the archive ends in the middle of an entry");
    size_t n = reader->end - reader->start;
    if (n > count) n = (size_t)count;
    reader->start += n;
    count -= n;
  }
  return 0;
}

static uint64_t padding_of(uint64_t size) { return (BLOCK - size % BLOCK) % BLOCK; }

/* Reads the body of an L, K or x entry. */
static char *special(struct tar_reader *reader, uint64_t size, char **slot) {
  if (size > SPECIAL_MAX) {
    tar_bad(reader, "an extended header is larger than 1 MiB");
    return NULL;
  }
  free(*slot);
  char *text = *slot = malloc((size_t)size + 1);
  if (!text) {
    tar_no_memory(reader);
    return NULL;
  }
  for (size_t have = 0; have < size;) {
    int ready = tar_fill(reader, 1);
    if (ready <= 0) {
      if (ready == 0) tar_bad(reader, "the archive ends in the middle of an extended header");
      return NULL;
    }
    size_t n = reader->end - reader->start;
    if (n > size - have) n = (size_t)size - have;
    memcpy(text + have, reader->buffer + reader->start, n);
    reader->start += n;
    have += n;
  }
  text[size] = 0;
  return skip(reader, padding_of(size)) < 0 ? NULL : text;
}

static bool all_zero(const char *block) { return block[0] == 0 && memcmp(block, block + 1, BLOCK - 1) == 0; }

static bool checksum_ok(const char *block) {
  int64_t said;
  int64_t sum = 0, sum_signed = 0;
  for (unsigned i = 0; i < BLOCK; i++) {
    char c = i >= 148 && i < 156 ? ' ' : block[i];
    sum += (unsigned char)c;
    sum_signed += (signed char)c;
  }
  return tar_octal(block + 148, 8, &said) && (said == sum || said == sum_signed);
}

/* 1 and a header in `raw`, 0 at the end of the archive. */
static int header(struct tar_reader *reader, struct raw *raw) {
  for (int zeros = 0;; zeros++) {
    int ready = tar_fill(reader, BLOCK);
    if (ready < 0) return -1;
    if (ready == 0) {
      /* No end mark at all is common and harmless; half a header is not. */
      return reader->end == reader->start ? 0 : tar_bad(reader, "the archive ends in the middle of a header");
    }
    const char *block = reader->buffer + reader->start;
    reader->start += BLOCK;
    if (all_zero(block)) {
      if (zeros == 1) return 0;
      continue;
    }
    if (zeros > 0) return tar_bad(reader, "an entry follows half an end mark");
    if (!checksum_ok(block)) return tar_bad(reader, "a header's checksum is wrong");
    memcpy(raw, block, BLOCK);
    return 1;
  }
}

static int basic_fields(struct tar_reader *reader, const struct raw *raw, struct tar_entry *entry, int64_t *size) {
  int64_t mode, uid, gid, mtime, major = 0, minor = 0;
  bool ustar = memcmp(raw->magic, "ustar\0", 6) == 0;
  bool gnu = memcmp(raw->magic, "ustar  ", 7) == 0;
  if (!tar_numeric(raw->mode, 8, &mode) || !tar_numeric(raw->uid, 8, &uid) || !tar_numeric(raw->gid, 8, &gid) || !tar_numeric(raw->size, 12, size) ||
      !tar_numeric(raw->mtime, 12, &mtime))
    return tar_bad(reader, "a header's number is malformed");
  if (*size < 0) return tar_bad(reader, "an entry's size is negative");
  if ((ustar || gnu) && (raw->type == '3' || raw->type == '4') && (!tar_numeric(raw->major, 8, &major) || !tar_numeric(raw->minor, 8, &minor)))
    return tar_bad(reader, "a device number is malformed");
  /* The kernel's device numbers are 12 and 20 bits; what does not fit would silently become another device. */
  if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff) return tar_bad(reader, "a device number is out of range");
  if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX) {
    /* May still be replaced by PAX, which is how big owners are written. */
    uid = uid < 0 || uid >= UINT32_MAX ? -1 : uid;
    gid = gid < 0 || gid >= UINT32_MAX ? -1 : gid;
  }
  char *name = reader->name;
  size_t prefix = ustar ? strnlen(raw->prefix, memcmp(raw->pad + 8, "tar\0", 4) == 0 ? 131 : 155) : 0;
  if (prefix > 0) {
    memcpy(name, raw->prefix, prefix);
    name[prefix++] = '/';
  }
  size_t length = strnlen(raw->name, sizeof raw->name);
  memcpy(name + prefix, raw->name, length);
  name[prefix + length] = 0;
  length = strnlen(raw->link, sizeof raw->link);
  memcpy(reader->link, raw->link, length);
  reader->link[length] = 0;

  memset(entry, 0, sizeof *entry);
  entry->type = raw->type;
  entry->name = name;
  entry->link = reader->link;
  entry->mode = (mode_t)(mode & 07777);
  entry->uid = (uid_t)uid;
  entry->gid = (gid_t)gid;
  entry->major = (uint32_t)major;
  entry->minor = (uint32_t)minor;
  entry->mtime.tv_sec = (time_t)mtime;
  return 0;
}

static int apply_pax(struct tar_reader *reader, const struct pax *pax, struct tar_entry *entry, int64_t *size) {
  if (pax->path) entry->name = pax->path;
  if (pax->link) entry->link = pax->link;
  if ((pax->has_uid && pax->uid >= UINT32_MAX) || (pax->has_gid && pax->gid >= UINT32_MAX)) return tar_bad(reader, "an owner is out of range");
  if (pax->has_uid) entry->uid = (uid_t)pax->uid;
  if (pax->has_gid) entry->gid = (gid_t)pax->gid;
  if (pax->has_size) *size = (int64_t)pax->size;
  if (pax->has_mtime) entry->mtime = pax->mtime;
  if (pax->has_atime) entry->atime = pax->atime;
  entry->xattrs = reader->xattrs;
  entry->xattr_count = pax->xattr_count;
  return 0;
}

static int settle(struct tar_reader *reader, const struct raw *raw, const struct pax *pax, struct tar_entry *entry, int64_t size) {
  size_t length = strlen(entry->name);
  switch (entry->type) {
    case 0:
    case '0':
    case '7': /* "Contiguous": a file. */
      /* Older than the directory type: a name that ends in a slash. */
      entry->type = length > 0 && entry->name[length - 1] == '/' ? '5' : '0';
      break;
    case 'S':
      entry->type = '0';
      break;
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
      break;
    default:
      return tar_bad(reader, "an entry is of an unknown type");
  }
  if (entry->uid == (uid_t)-1 || entry->gid == (gid_t)-1) return tar_bad(reader, "an owner is out of range");
  if (entry->type != '0') return 0; /* Whatever size they state, there are no bytes (Go, Docker). */
  reader->remaining = entry->size = (uint64_t)size;
  reader->padding = padding_of((uint64_t)size);
  return tar_sparse(reader, raw, pax, entry);
}

int tar_next(struct tar_reader *reader, struct tar_entry *entry) {
  struct raw raw;
  struct pax pax;
  bool has_pax = false, has_name = false, has_link = false;
  if (skip(reader, reader->remaining) < 0 || skip(reader, reader->padding) < 0) return -1;
  reader->remaining = reader->padding = 0;
  for (;;) {
    int64_t size;
    int found = header(reader, &raw);
    if (found < 0) return -1;
    if (found == 0) return has_pax || has_name || has_link ? tar_bad(reader, "an extended header has no entry") : 0;
    if (basic_fields(reader, &raw, entry, &size) < 0) return -1;
    switch (raw.type) {
      case 'x':
      case 'X':
        if (!special(reader, (uint64_t)size, &reader->pax) || tar_parse_pax(reader, &pax, reader->pax, (size_t)size) < 0) return -1;
        has_pax = true;
        continue;
      case 'L':
        if (!special(reader, (uint64_t)size, &reader->long_name)) return -1;
        has_name = true;
        continue;
      case 'K':
        if (!special(reader, (uint64_t)size, &reader->long_link)) return -1;
        has_link = true;
        continue;
      case 'g': /* Defaults for all that follows. Docker skips it, so nothing may be smuggled in by it. */
      case 'V': /* A label. */
        if (skip(reader, (uint64_t)size) < 0 || skip(reader, padding_of((uint64_t)size)) < 0) return -1;
        continue;
    }
    if (!has_pax) reader->extent_count = 0;
    if (has_pax && apply_pax(reader, &pax, entry, &size) < 0) return -1;
    if (has_name) entry->name = reader->long_name;
    if (has_link) entry->link = reader->long_link;
    return settle(reader, &raw, has_pax ? &pax : NULL, entry, size) < 0 ? -1 : 1;
  }
}

ssize_t tar_data(struct tar_reader *reader, const char **data) {
  if (reader->remaining == 0) return 0;
  int ready = tar_fill(reader, reader->remaining <= WHOLE_MAX ? (size_t)reader->remaining : 1);
  if (ready < 0) return -1;
  if (ready == 0) return tar_bad(reader, "the archive ends in the middle of a file");
  size_t n = reader->end - reader->start;
  if (n > reader->remaining) n = (size_t)reader->remaining;
  *data = reader->buffer + reader->start;
  reader->start += n;
  reader->remaining -= n;
  return (ssize_t)n;
}

int tar_drain(struct tar_reader *reader) {
  for (;;) {
    reader->start = reader->end;
    int ready = tar_fill(reader, 1);
    if (ready <= 0) return ready;
  }
}
