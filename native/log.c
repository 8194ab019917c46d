/* See log.h. Runs in the monitor; dies with it, as does the child that compresses. */
#define _GNU_SOURCE
#include "log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "log_compress.h"
#include "log_format.h"
#include "util.h"

/* As much goes to the file by one call; the largest entry fits in as well. */
#define BUFFER (256u * 1024u)

/* A line that is not over. */
struct held {
  char *text;
  size_t length;
  struct timespec since; /* All pieces of a line have the time of the first, as with Docker. */
  bool cut;
};

struct log {
  int fd;
  const char *path, *attributes; /* The plan's, which lives as long as we do. */
  size_t attributes_length;
  int64_t size, max_size;
  int max_files;
  bool local, compress;
  struct held held[2];
  struct log_clock clock;
  size_t used, capacity;
  char *buffer;
  pid_t compressing;
};

struct log *log_new(const struct op *op) {
  struct log *log = calloc(1, sizeof *log);
  if (!log) return NULL;
  log->fd = -1;
  log->path = op_text(op, 1);
  log->max_size = op_number(op, 2, 0);
  log->max_files = (int)op_number(op, 3, 1);
  if (log->max_files < 1) log->max_files = 1;
  log->local = strcmp(op_text(op, 4), "local") == 0;
  log->compress = op_number(op, 5, 0) != 0;
  log->attributes = op_text(op, 6);
  log->attributes_length = strlen(log->attributes);
  log->capacity = BUFFER + log->attributes_length;
  return log;
}

static int log_open(struct log *log) {
  struct stat st;
  if (!log->buffer && !(log->buffer = malloc(log->capacity))) return -1;
  log->fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (log->fd < 0) return -1;
  log->size = fstat(log->fd, &st) == 0 ? st.st_size : 0;
  return 0;
}

static void numbered(const struct log *log, char *path, size_t size, int number) {
  const char *ending = number > 0 && log->compress ? ".gz" : "";
  if (number == 0) snprintf(path, size, "%s", log->path);
  else snprintf(path, size, "%s.%d%s", log->path, number, ending);
}

/* path -> path.1 -> path.2 …, as Docker numbers them; a reader that follows notices by the inode. */
static int log_rotate(struct log *log) {
  char from[4096], to[4096];
  close(log->fd);
  log->fd = -1;
  /* The one before must have got its name before it gets the next one. */
  if (log->compressing > 0) compress_wait(&log->compressing);
  for (int i = log->max_files - 1; i >= 2; i--) {
    numbered(log, from, sizeof from, i - 1);
    numbered(log, to, sizeof to, i);
    (void)rename(from, to);
  }
  if (log->max_files == 1) (void)unlink(log->path);
  else {
    snprintf(to, sizeof to, "%s.1", log->path);
    (void)rename(log->path, to);
    if (log->compress) log->compressing = compress_start(to);
  }
  return log_open(log);
}

static int log_flush(struct log *log) {
  if (log->used == 0) return 0;
  size_t used = log->used;
  log->used = 0;
  if (log->fd < 0 && log_open(log) < 0) return -1;
  if (write_all(log->fd, log->buffer, used) < 0) {
    int saved = errno;
    (void)!ftruncate(log->fd, log->size); /* Half an entry would spoil the next one. */
    errno = saved;
    return -1;
  }
  log->size += (int64_t)used;
  return 0;
}

static int log_entry(struct log *log, int stream, const char *text, size_t length) {
  struct held *held = &log->held[stream];
  if (!log->buffer && log_open(log) < 0) return -1;
  /* Before a line, not after one, as Docker: a file that is full stays readable until there is more. */
  if (log->max_size > 0 && log->size + (int64_t)log->used >= log->max_size) {
    if (log_flush(log) < 0 || log_rotate(log) < 0) return -1;
  }
  if (log->used + entry_bound(held->length + length) + log->attributes_length > log->capacity && log_flush(log) < 0) return -1;
  bool over = length > 0 && text[length - 1] == '\n';
  if (!held->cut) held->since = log->clock.now;
  held->cut = !over;
  struct entry entry = {stream, held->since, held->text, text, held->length, length};
  char *start = log->buffer + log->used;
  char *end = log->local ? entry_local(start, &entry) : entry_json(start, &entry, &log->clock.stamp, log->attributes, log->attributes_length);
  log->used += (size_t)(end - start);
  held->length = 0;
  clock_tick(&log->clock);
  return 0;
}

static int log_hold(struct log *log, int stream, const char *bytes, size_t length) {
  struct held *held = &log->held[stream];
  if (!held->text && !(held->text = malloc(LOG_LINE_MAX))) return -1;
  memcpy(held->text + held->length, bytes, length);
  held->length += length;
  return 0;
}

int log_append(struct log *log, int stream, const char *bytes, size_t length) {
  clock_read(&log->clock);
  while (length > 0) {
    size_t held = log->held[stream].length, room = LOG_LINE_MAX - held;
    size_t window = length < room ? length : room;
    const char *newline = memchr(bytes, '\n', window);
    size_t take = newline ? (size_t)(newline - bytes) + 1 : window;
    bool ready = newline || held + take == LOG_LINE_MAX;
    if ((ready ? log_entry : log_hold)(log, stream, bytes, take) < 0) return -1;
    bytes += take;
    length -= take;
  }
  return log_flush(log);
}

int log_finish(struct log *log, int stream) {
  struct held *held = &log->held[stream];
  bool waiting = held->length > 0;
  clock_read(&log->clock);
  if (waiting && log_entry(log, stream, "", 0) < 0) return -1;
  held->cut = false;
  return log_flush(log);
}

void log_position(const struct log *log, uint64_t *identity, uint64_t *offset) {
  struct stat st;
  /* One that was not opened yet goes on where the last run of the container ended. */
  cleanup_close int other = log->fd < 0 ? open(log->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
  int fd = log->fd < 0 ? other : log->fd;
  bool there = fd >= 0 && fstat(fd, &st) == 0;
  *identity = there ? log_identity(fd, false) : 0;
  *offset = there ? (uint64_t)st.st_size : 0;
}

const char *log_held(const struct log *log, int stream, size_t *length) {
  *length = log->held[stream].length;
  return log->held[stream].text;
}

void log_free(struct log *log) {
  if (!log) return;
  if (log->compressing > 0) compress_wait(&log->compressing);
  if (log->fd >= 0) close(log->fd);
  free(log->held[0].text);
  free(log->held[1].text);
  free(log->buffer);
  free(log);
}
