/* See layer_tar.h. Pure reading: the bytes are hostile, the only calls are read and malloc. */
#define _GNU_SOURCE
#include "layer_tar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layer_number.h"
#include "util.h"

#define BLOCK 512u
#define CAPACITY (1u << 20)
/* As Go's archive/tar: an extended header is names and attributes, not content. */
#define SPECIAL_MAX (1u << 20)
#define EXTENTS_MAX (1u << 20)
/* A body up to this size is handed out in one piece, so that it is one write. */
#define WHOLE_MAX (256u << 10)

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

static int bad(struct tar_reader *reader, const char *reason) {
  reader->reason = reason;
  errno = EBADMSG;
  return -1;
}
static int no_memory(struct tar_reader *reader) {
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

/* Makes at least `want` bytes lie side by side. 1, or 0 when the stream ends before that, or -1. */
static int fill(struct tar_reader *reader, size_t want) {
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
    int ready = fill(reader, 1);
    if (ready < 0) return -1;
    if (ready == 0) return bad(reader, "the archive ends in the middle of an entry");
    size_t n = reader->end - reader->start;
    if (n > count) n = (size_t)count;
    reader->start += n;
    count -= n;
  }
  return 0;
}

static uint64_t padding_of(uint64_t size) { return (BLOCK - size % BLOCK) % BLOCK; }

/* ---- extended headers ---- */

static int push_extent(struct tar_reader *reader, uint64_t offset, uint64_t length) {
  if (reader->extent_count == reader->extent_capacity) {
    size_t capacity = reader->extent_capacity ? reader->extent_capacity * 2 : 64;
    if (capacity > EXTENTS_MAX) return bad(reader, "a sparse file has too many pieces");
    struct tar_extent *grown = reallocarray(reader->extents, capacity, sizeof *grown);
    if (!grown) return no_memory(reader);
    reader->extents = grown;
    reader->extent_capacity = capacity;
  }
  reader->extents[reader->extent_count++] = (struct tar_extent){offset, length};
  return 0;
}

static int push_xattr(struct tar_reader *reader, struct pax *pax, const char *name, const char *value, size_t length) {
  /* The last record of a name wins, as with every other key. */
  for (size_t i = 0; i < pax->xattr_count; i++)
    if (strcmp(reader->xattrs[i].name, name) == 0) {
      reader->xattrs[i] = (struct tar_xattr){name, value, length};
      return 0;
    }
  if (pax->xattr_count == reader->xattr_capacity) {
    size_t capacity = reader->xattr_capacity ? reader->xattr_capacity * 2 : 8;
    if (capacity > 4096) return bad(reader, "an entry has too many extended attributes");
    struct tar_xattr *grown = reallocarray(reader->xattrs, capacity, sizeof *grown);
    if (!grown) return no_memory(reader);
    reader->xattrs = grown;
    reader->xattr_capacity = capacity;
  }
  reader->xattrs[pax->xattr_count++] = (struct tar_xattr){name, value, length};
  return 0;
}

/* key and value are NUL-terminated in place. Empty values say nothing: the header's own field holds. */
static int pax_record(struct tar_reader *reader, struct pax *pax, const char *key, const char *value, size_t length) {
  static const char xattr[] = "SCHILY.xattr.";
  bool ok = true;
  if (strncmp(key, xattr, sizeof xattr - 1) == 0) {
    if (key[sizeof xattr - 1] == 0) return bad(reader, "an extended attribute has no name");
    return push_xattr(reader, pax, key + sizeof xattr - 1, value, length);
  }
  bool text = strcmp(key, "path") == 0 || strcmp(key, "linkpath") == 0 || strncmp(key, "GNU.sparse.", 11) == 0;
  if (text && memchr(value, 0, length)) return bad(reader, "a PAX name holds a NUL");
  if (length == 0) return 0;
  if (strcmp(key, "path") == 0) pax->path = value;
  else if (strcmp(key, "linkpath") == 0) pax->link = value;
  else if (strcmp(key, "uid") == 0) ok = pax->has_uid = tar_decimal(value, length, &pax->uid);
  else if (strcmp(key, "gid") == 0) ok = pax->has_gid = tar_decimal(value, length, &pax->gid);
  else if (strcmp(key, "size") == 0) ok = pax->has_size = tar_decimal(value, length, &pax->size);
  else if (strcmp(key, "mtime") == 0) ok = pax->has_mtime = tar_time(value, length, &pax->mtime);
  else if (strcmp(key, "atime") == 0) ok = pax->has_atime = tar_time(value, length, &pax->atime);
  else if (strcmp(key, "GNU.sparse.major") == 0) pax->sparse_major = value;
  else if (strcmp(key, "GNU.sparse.minor") == 0) pax->sparse_minor = value;
  else if (strcmp(key, "GNU.sparse.name") == 0) pax->sparse_name = value;
  else if (strcmp(key, "GNU.sparse.map") == 0) pax->sparse_map = value;
  else if (strcmp(key, "GNU.sparse.size") == 0 || strcmp(key, "GNU.sparse.realsize") == 0)
    ok = pax->has_sparse_size = tar_decimal(value, length, &pax->sparse_size);
  else if (strcmp(key, "GNU.sparse.offset") == 0) {
    /* Version 0.0 repeats these two keys, in turn. */
    uint64_t offset;
    if (pax->sparse_pair_open || !tar_decimal(value, length, &offset)) return bad(reader, "a sparse map is malformed");
    pax->sparse_pair_open = true;
    return push_extent(reader, offset, 0);
  } else if (strcmp(key, "GNU.sparse.numbytes") == 0) {
    uint64_t bytes;
    if (!pax->sparse_pair_open || !tar_decimal(value, length, &bytes)) return bad(reader, "a sparse map is malformed");
    pax->sparse_pair_open = false;
    reader->extents[reader->extent_count - 1].length = bytes;
  }
  return ok ? 0 : bad(reader, "a PAX number is malformed");
}

static int pax_parse(struct tar_reader *reader, struct pax *pax, char *text, size_t length) {
  char *end = text + length;
  memset(pax, 0, sizeof *pax);
  reader->extent_count = 0;
  while (text < end) {
    char *space = memchr(text, ' ', (size_t)(end - text));
    uint64_t size = 0;
    if (!space || !tar_decimal(text, (size_t)(space - text), &size)) return bad(reader, "a PAX record has no length");
    if (size > (uint64_t)(end - text) || size < (uint64_t)(space - text) + 4) return bad(reader, "a PAX record's length is wrong");
    char *last = text + size - 1;
    if (*last != '\n') return bad(reader, "a PAX record does not end where it says");
    char *key = space + 1;
    char *equals = memchr(key, '=', (size_t)(last - key));
    if (!equals || equals == key) return bad(reader, "a PAX record has no key");
    if (memchr(key, 0, (size_t)(equals - key))) return bad(reader, "a PAX key holds a NUL");
    *equals = *last = 0;
    if (pax_record(reader, pax, key, equals + 1, (size_t)(last - equals - 1)) < 0) return -1;
    text = last + 1;
  }
  return pax->sparse_pair_open ? bad(reader, "a sparse map is malformed") : 0;
}

/* Reads the body of an L, K or x entry. */
static char *special(struct tar_reader *reader, uint64_t size, char **slot) {
  if (size > SPECIAL_MAX) {
    bad(reader, "an extended header is larger than 1 MiB");
    return NULL;
  }
  free(*slot);
  char *text = *slot = malloc((size_t)size + 1);
  if (!text) {
    no_memory(reader);
    return NULL;
  }
  for (size_t have = 0; have < size;) {
    int ready = fill(reader, 1);
    if (ready <= 0) {
      if (ready == 0) bad(reader, "the archive ends in the middle of an extended header");
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

/* ---- sparse files ---- */

/* 24 bytes per piece; a piece that starts with NUL ends the list. */
static int old_gnu_pieces(struct tar_reader *reader, const char *at, int count, bool *ended) {
  for (int i = 0; i < count && !*ended; i++, at += 24) {
    int64_t offset, length;
    if (at[0] == 0) {
      *ended = true;
      break;
    }
    if (!tar_numeric(at, 12, &offset) || !tar_numeric(at + 12, 12, &length) || offset < 0 || length < 0)
      return bad(reader, "a sparse map is malformed");
    if (push_extent(reader, (uint64_t)offset, (uint64_t)length) < 0) return -1;
  }
  return 0;
}

static int old_gnu_map(struct tar_reader *reader, const char *block, uint64_t *real_size) {
  int64_t size;
  bool ended = false;
  reader->extent_count = 0;
  if (!tar_numeric(block + 483, 12, &size) || size < 0) return bad(reader, "a sparse file has no size");
  *real_size = (uint64_t)size;
  if (old_gnu_pieces(reader, block + 386, 4, &ended) < 0) return -1;
  for (bool more = block[482] != 0; more;) {
    int ready = fill(reader, BLOCK);
    if (ready < 0) return -1;
    if (ready == 0) return bad(reader, "the archive ends in the middle of a sparse map");
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
    if (!tar_decimal(text, n, &pair[have])) return bad(reader, "a sparse map is malformed");
    if (have == 1 && push_extent(reader, pair[0], pair[1]) < 0) return -1;
    have ^= 1;
    if (text[n] == 0) break;
    text += n + 1;
  }
  return have == 0 ? 0 : bad(reader, "a sparse map is malformed");
}

/* Lines of decimal numbers before the content, in whole blocks, counted in its size. */
static int map_1_0(struct tar_reader *reader) {
  char digits[20];
  size_t length = 0;
  uint64_t numbers = 0, wanted = 1, offset = 0, value = 0;
  reader->extent_count = 0;
  while (numbers < wanted) {
    if (reader->remaining < BLOCK) return bad(reader, "a sparse map is longer than its file");
    int ready = fill(reader, BLOCK);
    if (ready < 0) return -1;
    if (ready == 0) return bad(reader, "the archive ends in the middle of a sparse map");
    const char *block = reader->buffer + reader->start;
    reader->start += BLOCK;
    reader->remaining -= BLOCK;
    for (unsigned i = 0; i < BLOCK && numbers < wanted; i++) {
      if (block[i] != '\n') {
        if (length == sizeof digits) return bad(reader, "a sparse map is malformed");
        digits[length++] = block[i];
        continue;
      }
      if (!tar_decimal(digits, length, &value)) return bad(reader, "a sparse map is malformed");
      length = 0;
      if (numbers == 0) {
        if (value > EXTENTS_MAX) return bad(reader, "a sparse file has too many pieces");
        wanted = 1 + 2 * value;
      } else if (numbers % 2 == 1) offset = value;
      else if (push_extent(reader, offset, value) < 0) return -1;
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
      return bad(reader, "a sparse map's pieces overlap or leave the file");
    at = extent->offset + extent->length;
    stored += extent->length;
  }
  return stored == reader->remaining ? 0 : bad(reader, "a sparse map disagrees with the stored size");
}

static int sparse(struct tar_reader *reader, const struct raw *raw, const struct pax *pax, struct tar_entry *entry) {
  bool v1 = pax && pax->sparse_major && pax->sparse_minor && !strcmp(pax->sparse_major, "1") && !strcmp(pax->sparse_minor, "0");
  bool v0 = pax && !v1 && (pax->sparse_map || reader->extent_count > 0) && (!pax->sparse_major || !strcmp(pax->sparse_major, "0"));
  if (raw->type == 'S') {
    if (old_gnu_map(reader, (const char *)raw, &entry->size) < 0) return -1;
  } else if (v1 || v0) {
    if (!pax->has_sparse_size) return bad(reader, "a sparse file has no size");
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

/* ---- entries ---- */

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
    int ready = fill(reader, BLOCK);
    if (ready < 0) return -1;
    if (ready == 0) {
      /* No end mark at all is common and harmless; half a header is not. */
      return reader->end == reader->start ? 0 : bad(reader, "the archive ends in the middle of a header");
    }
    const char *block = reader->buffer + reader->start;
    reader->start += BLOCK;
    if (all_zero(block)) {
      if (zeros == 1) return 0;
      continue;
    }
    if (zeros > 0) return bad(reader, "an entry follows half an end mark");
    if (!checksum_ok(block)) return bad(reader, "a header's checksum is wrong");
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
    return bad(reader, "a header's number is malformed");
  if (*size < 0) return bad(reader, "an entry's size is negative");
  if ((ustar || gnu) && (raw->type == '3' || raw->type == '4') && (!tar_numeric(raw->major, 8, &major) || !tar_numeric(raw->minor, 8, &minor)))
    return bad(reader, "a device number is malformed");
  /* The kernel's device numbers are 12 and 20 bits; what does not fit would silently become another device. */
  if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff) return bad(reader, "a device number is out of range");
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
  if ((pax->has_uid && pax->uid >= UINT32_MAX) || (pax->has_gid && pax->gid >= UINT32_MAX)) return bad(reader, "an owner is out of range");
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
      return bad(reader, "an entry is of an unknown type");
  }
  if (entry->uid == (uid_t)-1 || entry->gid == (gid_t)-1) return bad(reader, "an owner is out of range");
  if (entry->type != '0') return 0; /* Whatever size they state, there are no bytes (Go, Docker). */
  reader->remaining = entry->size = (uint64_t)size;
  reader->padding = padding_of((uint64_t)size);
  return sparse(reader, raw, pax, entry);
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
    if (found == 0) return has_pax || has_name || has_link ? bad(reader, "an extended header has no entry") : 0;
    if (basic_fields(reader, &raw, entry, &size) < 0) return -1;
    switch (raw.type) {
      case 'x':
      case 'X':
        if (!special(reader, (uint64_t)size, &reader->pax) || pax_parse(reader, &pax, reader->pax, (size_t)size) < 0) return -1;
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
  int ready = fill(reader, reader->remaining <= WHOLE_MAX ? (size_t)reader->remaining : 1);
  if (ready < 0) return -1;
  if (ready == 0) return bad(reader, "the archive ends in the middle of a file");
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
    int ready = fill(reader, 1);
    if (ready <= 0) return ready;
  }
}
