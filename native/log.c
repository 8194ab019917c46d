/*
 * See log.h. An entry is {"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.123456789Z"} and a newline, with
 * Go's escapes, so that whatever reads Docker's files reads ours. A line over 16 KiB is cut into pieces, all but the
 * last without the newline in "log": that is how Docker marks partial lines.
 */
#define _GNU_SOURCE
#include "log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "util.h"

/* An escaped byte takes six at most ("\u0000"); the frame around a line less than 128. */
#define BUFFER (256u * 1024u)
#define ENTRY_MAX (LOG_LINE_MAX * 6u + 128u)

struct log {
  int fd;
  char *path;
  int64_t size, max_size;
  int max_files;
  size_t held[2];
  char *line[2];
  size_t used;
  char *buffer;
};

struct log *log_new(const char *path, int64_t max_size, int max_files) {
  struct log *log = calloc(1, sizeof *log);
  if (!log || !(log->path = strdup(path))) {
    free(log);
    return NULL;
  }
  log->fd = -1;
  log->max_size = max_size;
  log->max_files = max_files < 1 ? 1 : max_files;
  return log;
}

static int log_open(struct log *log) {
  struct stat st;
  if (!log->buffer && !(log->buffer = malloc(BUFFER))) return -1;
  log->fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (log->fd < 0) return -1;
  log->size = fstat(log->fd, &st) == 0 ? st.st_size : 0;
  return 0;
}

/* path -> path.1 -> path.2 …, as Docker numbers them; a reader that follows notices by the inode. */
static int log_rotate(struct log *log) {
  char from[4096], to[4096];
  close(log->fd);
  log->fd = -1;
  for (int i = log->max_files - 1; i >= 1; i--) {
    if (i == 1) snprintf(from, sizeof from, "%s", log->path);
    else snprintf(from, sizeof from, "%s.%d", log->path, i - 1);
    snprintf(to, sizeof to, "%s.%d", log->path, i);
    (void)rename(from, to);
  }
  if (log->max_files == 1) (void)unlink(log->path);
  return log_open(log);
}

static int log_flush(struct log *log) {
  if (log->used == 0) return 0;
  if (log->fd < 0 && log_open(log) < 0) return -1;
  size_t used = log->used;
  log->used = 0;
  if (write_all(log->fd, log->buffer, used) < 0) return -1;
  log->size += (int64_t)used;
  return log->max_size > 0 && log->size >= log->max_size ? log_rotate(log) : 0;
}

/* As Docker writes it: short escapes for \n and \r only, \u00XX for the rest and for < > &, U+2028 and U+2029 escaped, U+FFFD for what is no UTF-8. */
static char *go_escape(char *out, const char *text, size_t length) {
  static const char hex[] = "0123456789abcdef";
  for (size_t i = 0; i < length;) {
    unsigned char c = (unsigned char)text[i];
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&') {
      *out++ = (char)c;
      i++;
      continue;
    }
    if (c < 0x80) {
      i++;
      *out++ = '\\';
      switch (c) {
        case '"': case '\\': *out++ = (char)c; break;
        case '\n': *out++ = 'n'; break;
        case '\r': *out++ = 'r'; break;
        default:
          memcpy(out, "u00", 3);
          out[3] = hex[c >> 4];
          out[4] = hex[c & 15];
          out += 5;
      }
      continue;
    }
    size_t n = c >= 0xf0 && c <= 0xf4 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 0;
    bool ok = n > 0 && i + n <= length;
    for (size_t k = 1; ok && k < n; k++) ok = ((unsigned char)text[i + k] & 0xc0) == 0x80;
    if (ok && n > 2) {
      unsigned char d = (unsigned char)text[i + 1];
      ok = !(c == 0xe0 && d < 0xa0) && !(c == 0xed && d > 0x9f) && !(c == 0xf0 && d < 0x90) && !(c == 0xf4 && d > 0x8f);
    }
    if (!ok) {
      memcpy(out, "\\ufffd", 6);
      out += 6;
      i++;
    } else if (n == 3 && c == 0xe2 && (unsigned char)text[i + 1] == 0x80 && ((unsigned char)text[i + 2] & 0xfe) == 0xa8) {
      memcpy(out, text[i + 2] & 1 ? "\\u2029" : "\\u2028", 6);
      out += 6;
      i += 3;
    } else {
      memcpy(out, text + i, n);
      out += n;
      i += n;
    }
  }
  return out;
}

/* RFC 3339 with as many nanosecond digits as are needed, as Go's RFC3339Nano. */
static char *timestamp(char *out) {
  struct timespec now;
  struct tm tm;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &tm);
  out += strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
  if (now.tv_nsec > 0) {
    char digits[16];
    int n = snprintf(digits, sizeof digits, ".%09ld", now.tv_nsec);
    while (digits[n - 1] == '0') n--;
    memcpy(out, digits, (size_t)n);
    out += n;
  }
  *out++ = 'Z';
  return out;
}

static int log_entry(struct log *log, int stream, const char *head, size_t head_length, const char *tail, size_t tail_length) {
  if (log->used + ENTRY_MAX > BUFFER && log_flush(log) < 0) return -1;
  if (!log->buffer && log_open(log) < 0) return -1;
  char *start = log->buffer + log->used, *out = start;
  memcpy(out, "{\"log\":\"", 8);
  out = go_escape(out + 8, head, head_length);
  out = go_escape(out, tail, tail_length);
  memcpy(out, "\",\"stream\":\"std", 15);
  out += 15;
  memcpy(out, stream ? "err" : "out", 3);
  out += 3;
  memcpy(out, "\",\"time\":\"", 10);
  out = timestamp(out + 10);
  memcpy(out, "\"}\n", 3);
  log->used += (size_t)(out + 3 - start);
  return 0;
}

int log_append(struct log *log, int stream, const char *bytes, size_t length) {
  while (length > 0) {
    size_t held = log->held[stream];
    size_t room = LOG_LINE_MAX - held;
    size_t window = length < room ? length : room;
    const char *newline = memchr(bytes, '\n', window);
    size_t take = newline ? (size_t)(newline - bytes) + 1 : window;
    if (newline || held + take == LOG_LINE_MAX) {
      if (log_entry(log, stream, log->line[stream], held, bytes, take) < 0) return -1;
      log->held[stream] = 0;
      /* A file is rotated by the line, however much comes at once. */
      if (log->max_size > 0 && log->size + (int64_t)log->used >= log->max_size && log_flush(log) < 0) return -1;
    } else {
      if (!log->line[stream] && !(log->line[stream] = malloc(LOG_LINE_MAX))) return -1;
      memcpy(log->line[stream] + held, bytes, take);
      log->held[stream] = held + take;
    }
    bytes += take;
    length -= take;
  }
  return log_flush(log);
}

int log_finish(struct log *log, int stream) {
  if (log->held[stream] == 0) return 0;
  if (log_entry(log, stream, log->line[stream], log->held[stream], "", 0) < 0) return -1;
  log->held[stream] = 0;
  return log_flush(log);
}

void log_free(struct log *log) {
  if (!log) return;
  if (log->fd >= 0) close(log->fd);
  free(log->line[0]);
  free(log->line[1]);
  free(log->buffer);
  free(log->path);
  free(log);
}
