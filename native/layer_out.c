/* See layer_out.h. */
#define _GNU_SOURCE
#include "layer_out.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "util.h"

#define BLOCK 512u
#define CAPACITY (1u << 18)
/* From here on, and where no digest is asked for, the bytes go from file to pipe without passing through us. */
#define SENDFILE_MIN (64u << 10)

int out_open(struct tar_out *out, int fd, bool hash) {
  memset(out, 0, sizeof *out);
  out->fd = fd;
  out->hash = hash;
  sha256_init(&out->digest);
  out->buffer = malloc(CAPACITY);
  return out->buffer ? 0 : -1;
}

void out_close(struct tar_out *out) {
  free(out->buffer);
  free(out->pax);
  out->buffer = out->pax = NULL;
}

static int flush(struct tar_out *out) {
  if (out->hash) sha256_update(&out->digest, out->buffer, out->used);
  int result = write_all(out->fd, out->buffer, out->used);
  out->used = 0;
  return result;
}

static int put(struct tar_out *out, const void *data, size_t length) {
  const char *from = data;
  out->bytes += length;
  while (length > 0) {
    if (out->used == CAPACITY && flush(out) < 0) return -1;
    size_t n = CAPACITY - out->used < length ? CAPACITY - out->used : length;
    memcpy(out->buffer + out->used, from, n);
    out->used += n;
    from += n;
    length -= n;
  }
  return 0;
}

static int put_zeros(struct tar_out *out, uint64_t count) {
  static const char zeros[4096];
  for (; count > sizeof zeros; count -= sizeof zeros)
    if (put(out, zeros, sizeof zeros) < 0) return -1;
  return put(out, zeros, (size_t)count);
}

static int pad(struct tar_out *out, uint64_t size) { return put_zeros(out, (BLOCK - size % BLOCK) % BLOCK); }

/* ---- headers ---- */

static bool is_ascii(const char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e) return false;
  return true;
}

/* Where ustar's two name fields meet: the length of the prefix, 0 for none, -1 when they do not hold the name. */
static ssize_t split_name(const char *name) {
  size_t length = strlen(name);
  if (length <= 100) return 0;
  for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
    size_t prefix = (size_t)(slash - name), rest = length - prefix - 1;
    if (prefix > 155) return -1;
    if (prefix > 0 && rest > 0 && rest <= 100) return (ssize_t)prefix;
  }
  return -1;
}

static void octal(char *field, unsigned digits, uint64_t value) {
  uint64_t limit = 1ull << (3 * digits);
  snprintf(field, digits + 1, "%0*llo", (int)digits, (unsigned long long)(value < limit ? value : 0));
}

/* A header block. What does not fit is cut: the extended header before it says it in full. */
static int put_block(struct tar_out *out, const struct out_entry *entry, const char *name) {
  char block[BLOCK] = {0};
  ssize_t prefix = split_name(name);
  const char *rest = prefix > 0 ? name + prefix + 1 : name;
  memcpy(block, rest, strnlen(rest, 100));
  if (prefix > 0) memcpy(block + 345, name, (size_t)prefix);
  octal(block + 100, 7, entry->mode & 07777);
  octal(block + 108, 7, entry->uid);
  octal(block + 116, 7, entry->gid);
  octal(block + 124, 11, entry->size);
  octal(block + 136, 11, entry->mtime.tv_sec < 0 ? 0 : (uint64_t)entry->mtime.tv_sec);
  block[156] = entry->type;
  memcpy(block + 157, entry->link, strnlen(entry->link, 100));
  memcpy(block + 257, "ustar\00000", 8);
  octal(block + 329, 7, entry->major);
  octal(block + 337, 7, entry->minor);
  memset(block + 148, ' ', 8);
  unsigned sum = 0;
  for (unsigned i = 0; i < BLOCK; i++) sum += (unsigned char)block[i];
  octal(block + 148, 6, sum);
  return put(out, block, sizeof block);
}

/* ---- PAX ---- */

static int pax_bytes(struct tar_out *out, const void *data, size_t length) {
  if (out->pax_used + length > out->pax_capacity) {
    size_t capacity = (out->pax_used + length) * 2;
    char *grown = realloc(out->pax, capacity);
    if (!grown) return -1;
    out->pax = grown;
    out->pax_capacity = capacity;
  }
  memcpy(out->pax + out->pax_used, data, length);
  out->pax_used += length;
  return 0;
}

/* A record's length counts its own digits. */
static int pax_record(struct tar_out *out, const char *prefix, const char *key, const char *value, size_t length) {
  char digits[24];
  size_t rest = 1 + strlen(prefix) + strlen(key) + 1 + length + 1, total = rest + 1;
  while ((size_t)snprintf(digits, sizeof digits, "%zu", total) + rest != total) total = strlen(digits) + rest;
  if (pax_bytes(out, digits, strlen(digits)) < 0 || pax_bytes(out, " ", 1) < 0 || pax_bytes(out, prefix, strlen(prefix)) < 0) return -1;
  if (pax_bytes(out, key, strlen(key)) < 0 || pax_bytes(out, "=", 1) < 0) return -1;
  return pax_bytes(out, value, length) < 0 ? -1 : pax_bytes(out, "\n", 1);
}

static int pax_number(struct tar_out *out, const char *key, uint64_t value) {
  char text[24];
  int length = snprintf(text, sizeof text, "%llu", (unsigned long long)value);
  return pax_record(out, "", key, text, (size_t)length);
}

/* Seconds and what is below them, without trailing zeros. The kernel's nanoseconds count upwards, also before 1970. */
static int pax_time(struct tar_out *out, const char *key, struct timespec time) {
  char text[64];
  long long seconds = time.tv_sec, nanoseconds = time.tv_nsec;
  bool negative = seconds < 0;
  if (negative && nanoseconds > 0) seconds++, nanoseconds = 1000000000 - nanoseconds;
  int length = snprintf(text, sizeof text, "%s%lld", negative ? "-" : "", negative ? -seconds : seconds);
  if (nanoseconds > 0) {
    length += snprintf(text + length, sizeof text - (size_t)length, ".%09lld", nanoseconds);
    while (text[length - 1] == '0') length--;
  }
  return pax_record(out, "", key, text, (size_t)length);
}

static int collect_pax(struct tar_out *out, const struct out_entry *entry, const char *name) {
  out->pax_used = 0;
  bool time = entry->mtime.tv_nsec != 0 || entry->mtime.tv_sec < 0 || entry->mtime.tv_sec >= 1ll << 33;
  /* By key, so that equal entries are equal bytes. Capitals come first. */
  for (size_t i = 0; i < entry->xattr_count; i++)
    if (pax_record(out, "SCHILY.xattr.", entry->xattrs[i].name, entry->xattrs[i].value, entry->xattrs[i].length) < 0) return -1;
  if (entry->gid >= 1u << 21 && pax_number(out, "gid", entry->gid) < 0) return -1;
  if ((strlen(entry->link) > 100 || !is_ascii(entry->link)) && pax_record(out, "", "linkpath", entry->link, strlen(entry->link)) < 0) return -1;
  if (time && pax_time(out, "mtime", entry->mtime) < 0) return -1;
  if ((split_name(name) < 0 || !is_ascii(name)) && pax_record(out, "", "path", name, strlen(name)) < 0) return -1;
  if (entry->size >= 1ull << 33 && pax_number(out, "size", entry->size) < 0) return -1;
  return entry->uid >= 1u << 21 ? pax_number(out, "uid", entry->uid) : 0;
}

/* Readers without PAX make a file of it: next to the entry, under a name that says what it is. */
static int put_pax(struct tar_out *out, const char *name) {
  char about[128] = "PaxHeaders/";
  size_t length = strlen(name), from = length > 80 ? length - 80 : 0;
  size_t at = strlen(about);
  for (; name[from]; from++) about[at++] = name[from] < 0x20 || name[from] > 0x7e ? '_' : name[from];
  about[at] = 0;
  struct out_entry header = {.link = "", .type = 'x', .mode = 0644, .size = out->pax_used};
  if (put_block(out, &header, about) < 0 || put(out, out->pax, out->pax_used) < 0) return -1;
  return pad(out, out->pax_used);
}

int out_header(struct tar_out *out, const struct out_entry *entry) {
  cleanup_free char *slashed = NULL;
  const char *name = entry->name;
  if (entry->type == '5' && (name[0] == 0 || name[strlen(name) - 1] != '/')) {
    if (asprintf(&slashed, "%s/", name) < 0) return -1;
    name = slashed;
  }
  if (collect_pax(out, entry, name) < 0) return -1;
  if (out->pax_used > 0 && put_pax(out, name) < 0) return -1;
  return put_block(out, entry, name);
}

/* ---- content ---- */

/* From file to pipe in the kernel. How many bytes went; fewer than asked for where the file ends early or cannot be sent so. */
static int64_t send_content(struct tar_out *out, int file, uint64_t size) {
  uint64_t sent = 0;
  while (sent < size) {
    uint64_t want = size - sent < 1u << 30 ? size - sent : 1u << 30;
    ssize_t n = RETRY_EINTR(sendfile(out->fd, file, NULL, (size_t)want));
    if (n < 0 && (errno == EINVAL || errno == ENOSYS)) break;
    if (n < 0) return -1;
    if (n == 0) break;
    sent += (uint64_t)n;
  }
  out->bytes += sent;
  return (int64_t)sent;
}

int out_content(struct tar_out *out, int file, uint64_t size, bool *read_failed) {
  uint64_t left = size;
  *read_failed = false;
  if (!out->hash && size >= SENDFILE_MIN) {
    if (flush(out) < 0) return -1;
    int64_t sent = send_content(out, file, size);
    if (sent < 0) return -1;
    left -= (uint64_t)sent;
  }
  while (left > 0) {
    if (out->used == CAPACITY && flush(out) < 0) return -1;
    size_t space = CAPACITY - out->used;
    ssize_t n = RETRY_EINTR(read(file, out->buffer + out->used, left < space ? (size_t)left : space));
    if (n < 0) {
      *read_failed = true;
      return -1;
    }
    if (n == 0) break; /* It was longer a moment ago. */
    out->used += (size_t)n;
    out->bytes += (uint64_t)n;
    left -= (uint64_t)n;
  }
  return put_zeros(out, left) < 0 ? -1 : pad(out, size);
}

int out_finish(struct tar_out *out) {
  if (put_zeros(out, 2 * BLOCK) < 0) return -1;
  return flush(out);
}
