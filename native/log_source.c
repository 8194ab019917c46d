/* See log_source.h. */
#define _GNU_SOURCE
#include "log_source.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "layer_inflate.h"
#include "log_compress.h"
#include "log_parse.h"
#include "util.h"

#define BUFFER (256u * 1024u)
#define ENTRY_MAX (8u << 20) /* Longer than any: what has no end by then is damage, and is left out. */
#define WINDOW (64u * 1024u)

static int open_number(const struct log_files *files, int number, bool *compressed) {
  char path[512];
  *compressed = false;
  if (number == 0) return open(files->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  snprintf(path, sizeof path, "%s.%d", files->name, number);
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd >= 0 || errno != ENOENT) return fd;
  *compressed = true;
  snprintf(path, sizeof path, "%s.%d.gz", files->name, number);
  return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* A child that inflates into a pipe; it can do nothing else. */
static int start_inflate(struct source *source) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -1;
  pid_t parent = getpid();
  source->inflate = fork();
  if (source->inflate == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent) _exit(1);
    (void)!dup2(source->fd, 0);
    (void)!dup2(ends[1], 1);
    (void)syscall(SYS_close_range, 2, ~0u, 0);
    (void)prctl(PR_SET_SECCOMP, 1 /* SECCOMP_MODE_STRICT */, 0, 0, 0);
    syscall(SYS_exit, inflate_gzip(0, 1));
  }
  close(ends[1]);
  if (source->inflate < 0) {
    close(ends[0]);
    source->inflate = 0;
    return -1;
  }
  source->pipe = ends[0];
  return 0;
}

static void stop_inflate(struct source *source) {
  if (source->inflate == 0) return;
  close(source->pipe);
  kill(source->inflate, SIGKILL);
  while (waitpid(source->inflate, NULL, 0) < 0 && errno == EINTR) continue;
  source->inflate = 0;
}

bool source_open(struct source *source, const struct log_files *files, int number) {
  bool compressed;
  source->fd = open_number(files, number, &compressed);
  if (source->fd < 0) return false;
  source->identity = log_identity(source->fd, compressed);
  source->inflate = 0;
  source->limit = UINT64_MAX;
  source->taken = 0;
  source->start = source->end = 0;
  source->local = files->local;
  if (!source->buffer) {
    source->capacity = BUFFER;
    source->buffer = malloc(source->capacity);
  }
  if (source->buffer && (!compressed || start_inflate(source) == 0)) return true;
  source_close(source);
  return false;
}

void source_close(struct source *source) {
  if (source->fd < 0) return;
  stop_inflate(source);
  close(source->fd);
  source->fd = -1;
}

int source_number(const struct log_files *files, uint64_t identity) {
  for (int number = 0; identity != 0 && number < files->count; number++) {
    bool compressed;
    cleanup_close int fd = open_number(files, number, &compressed);
    if (fd >= 0 && log_identity(fd, compressed) == identity) return number;
  }
  return -1;
}

uint64_t source_current(const struct log_files *files) {
  cleanup_close int fd = open(files->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  return fd < 0 ? 0 : log_identity(fd, false);
}

/* More bytes behind those that are there. false at the end, for now or for good. */
static bool refill(struct source *source) {
  if (source->start > 0) {
    memmove(source->buffer, source->buffer + source->start, source->end - source->start);
    source->end -= source->start;
    source->start = 0;
  }
  if (source->end == source->capacity) {
    if (source->capacity >= ENTRY_MAX) source->end = 0; /* Damage. What follows its end is whole again. */
    else {
      char *more = realloc(source->buffer, source->capacity * 2);
      if (!more) return false;
      source->buffer = more;
      source->capacity *= 2;
    }
  }
  uint64_t left = source->limit - source->taken;
  size_t room = source->capacity - source->end;
  ssize_t n = RETRY_EINTR(read(source->inflate > 0 ? source->pipe : source->fd, source->buffer + source->end, room < left ? room : (size_t)left));
  if (n <= 0) return false;
  source->end += (size_t)n;
  source->taken += (uint64_t)n;
  return true;
}

/* Length of the entry at the start with all that ends it; 0 when it is not whole. */
static size_t whole_entry(struct source *source) {
  const char *at = source->buffer + source->start;
  size_t there = source->end - source->start;
  if (!source->local) {
    const char *newline = memchr(at, '\n', there);
    return newline ? (size_t)(newline - at) + 1 : 0;
  }
  ssize_t length = local_length(at, there);
  /* Of damage there is no telling where the next entry begins. */
  if (length < 0) source->start = source->end;
  return length > 0 && (size_t)length <= there ? (size_t)length : 0;
}

const char *source_next(struct source *source, size_t *length) {
  size_t whole;
  while ((whole = whole_entry(source)) == 0)
    if (!refill(source)) return NULL;
  const char *entry = source->buffer + source->start;
  source->start += whole;
  *length = source->local ? whole : whole - 1;
  return entry;
}

/* --- the last lines --- */

/* From the end backwards, so that the size of the file does not matter. Where the last `count` lines begin. */
static off_t json_tail(int fd, off_t size, uint64_t count, uint64_t *found) {
  char window[WINDOW];
  *found = 0;
  off_t first = 0;
  bool at_end = true;
  for (off_t end = size; end > 0;) {
    off_t from = end > (off_t)sizeof window ? end - (off_t)sizeof window : 0;
    size_t length = (size_t)(end - from);
    if (pread(fd, window, length, from) != (ssize_t)length) break;
    for (const char *at; length > 0 && (at = memrchr(window, '\n', length)); length = (size_t)(at - window)) {
      /* The newline at the very end closes the last line; each one before it begins a line. */
      if (at_end) at_end = false;
      else if (++*found == count) return from + (at - window) + 1;
    }
    end = from;
  }
  if (!at_end) ++*found;
  return first;
}

static off_t local_tail(int fd, off_t size, uint64_t count, uint64_t *found) {
  off_t at = size;
  for (*found = 0; *found < count && at > 0; ++*found) {
    unsigned char last[4];
    if (at < 4 || pread(fd, last, sizeof last, at - 4) != 4) break;
    off_t length = 8 + (off_t)((uint32_t)last[0] | (uint32_t)last[1] << 8 | (uint32_t)last[2] << 16 | (uint32_t)last[3] << 24);
    if (length > at) break;
    at -= length;
  }
  return at;
}

static uint64_t count_entries(struct source *source) {
  uint64_t count = 0;
  size_t length;
  while (source_next(source, &length)) count++;
  return count;
}

uint64_t source_tail(struct source *source, const struct log_files *files, int number, uint64_t count) {
  uint64_t found = 0;
  if (source->inflate > 0) {
    /* There is no way back in it: once to count, once to read. */
    uint64_t limit = source->limit;
    found = count_entries(source);
    source_close(source);
    if (!source_open(source, files, number)) return 0;
    source->limit = limit;
    size_t length;
    for (uint64_t skip = found > count ? found - count : 0; skip > 0; skip--) (void)source_next(source, &length);
    return found < count ? found : count;
  }
  struct stat st;
  if (fstat(source->fd, &st) < 0) return 0;
  off_t size = (uint64_t)st.st_size > source->limit ? (off_t)source->limit : st.st_size;
  off_t from = count == 0 ? size : (source->local ? local_tail : json_tail)(source->fd, size, count, &found);
  source->taken = (uint64_t)lseek(source->fd, from, SEEK_SET);
  source->start = source->end = 0;
  return found;
}
