/* See layer_tar_parts.h. Records "length key=value\n", as POSIX has them under pax, "Extended Header". */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "layer_number.h"
#include "layer_tar_parts.h"

static int push_xattr(struct tar_reader *reader, struct pax *pax, const char *name, const char *value, size_t length) {
  /* The last record of a name wins, as with every other key. */
  for (size_t i = 0; i < pax->xattr_count; i++)
    if (strcmp(reader->xattrs[i].name, name) == 0) {
      reader->xattrs[i] = (struct tar_xattr){name, value, length};
      return 0;
    }
  if (pax->xattr_count == reader->xattr_capacity) {
    size_t capacity = reader->xattr_capacity ? reader->xattr_capacity * 2 : 8;
    if (capacity > 4096) return tar_bad(reader, "an entry has too many extended attributes");
    struct tar_xattr *grown = reallocarray(reader->xattrs, capacity, sizeof *grown);
    if (!grown) return tar_no_memory(reader);
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
    if (key[sizeof xattr - 1] == 0) return tar_bad(reader, "an extended attribute has no name");
    return push_xattr(reader, pax, key + sizeof xattr - 1, value, length);
  }
  bool text = strcmp(key, "path") == 0 || strcmp(key, "linkpath") == 0 || strncmp(key, "GNU.sparse.", 11) == 0;
  if (text && memchr(value, 0, length)) return tar_bad(reader, "a PAX name holds a NUL");
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
    if (pax->sparse_pair_open || !tar_decimal(value, length, &offset)) return tar_bad(reader, "a sparse map is malformed");
    pax->sparse_pair_open = true;
    return tar_push_extent(reader, offset, 0);
  } else if (strcmp(key, "GNU.sparse.numbytes") == 0) {
    uint64_t bytes;
    if (!pax->sparse_pair_open || !tar_decimal(value, length, &bytes)) return tar_bad(reader, "a sparse map is malformed");
    pax->sparse_pair_open = false;
    reader->extents[reader->extent_count - 1].length = bytes;
  }
  return ok ? 0 : tar_bad(reader, "a PAX number is malformed");
}

int tar_parse_pax(struct tar_reader *reader, struct pax *pax, char *text, size_t length) {
  char *end = text + length;
  memset(pax, 0, sizeof *pax);
  reader->extent_count = 0;
  while (text < end) {
    char *space = memchr(text, ' ', (size_t)(end - text));
    uint64_t size = 0;
    if (!space || !tar_decimal(text, (size_t)(space - text), &size)) return tar_bad(reader, "a PAX record has no length");
    if (size > (uint64_t)(end - text) || size < (uint64_t)(space - text) + 4) return tar_bad(reader, "a PAX record's length is wrong");
    char *last = text + size - 1;
    if (*last != '\n') return tar_bad(reader, "a PAX record does not end where it says");
    char *key = space + 1;
    char *equals = memchr(key, '=', (size_t)(last - key));
    if (!equals || equals == key) return tar_bad(reader, "a PAX record has no key");
    if (memchr(key, 0, (size_t)(equals - key))) return tar_bad(reader, "a PAX key holds a NUL");
    *equals = *last = 0;
    if (pax_record(reader, pax, key, equals + 1, (size_t)(last - equals - 1)) < 0) return -1;
    text = last + 1;
  }
  return pax->sparse_pair_open ? tar_bad(reader, "a sparse map is malformed") : 0;
}
