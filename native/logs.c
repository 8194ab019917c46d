/*
 * Mode `logs`: reads the log of one container and hands on what is in it, filtered, as bytes or line by line.
 *
 * Parent: the launcher, which it does not need. It dies when it has read everything or, when it follows, after it was
 * told to end and has read everything; and when its connection closes. It parses what a container wrote, so the
 * directory of the log is all that it can see, and it has no capabilities.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "launch.h"
#include "layer_decode.h"
#include "log_parse.h"
#include "log_source.h"
#include "util.h"

#define FRAME_SIZE (128u * 1024u) /* handed on together */
#define FILES_MAX 1024
#define POLL_MS 100 /* where the kernel has no watches left */
#define EVENTS (IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)

struct reader {
  int connection, watch;
  struct log_files files;
  struct source source;
  struct seconds known;
  uint64_t since, until;
  int only; /* stream, or -1 */
  bool timestamps, lines, follow, ending;
  bool over; /* Behind `until`, or behind the place where to stop. */
  char *frame;
  size_t used, capacity;
  int stream;
};

/* --- what goes out --- */

static int flush(struct reader *reader) {
  if (reader->used == 0) return 0;
  char *frame = reader->frame;
  frame[0] = (char)(reader->stream ? WIRE_STDERR : WIRE_STDOUT);
  for (int i = 0; i < 4; i++) frame[1 + i] = (char)(reader->used >> (8 * i));
  size_t length = FRAME_HEADER + reader->used;
  reader->used = 0;
  return write_all(reader->connection, frame, length);
}

/* Room for so many bytes behind what waits. */
static char *reserve(struct reader *reader, size_t room) {
  if (FRAME_HEADER + reader->used + room > reader->capacity) {
    if (flush(reader) < 0) return NULL;
    if (FRAME_HEADER + room > reader->capacity) {
      char *more = realloc(reader->frame, FRAME_HEADER + room);
      if (!more) return NULL;
      reader->frame = more;
      reader->capacity = FRAME_HEADER + room;
    }
  }
  return reader->frame + FRAME_HEADER + reader->used;
}

static char *put_number(char *out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) *out++ = (char)(value >> (8 * i));
  return out;
}

/* Always nine digits, as `docker logs -t` has them. */
static char *put_timestamp(char *out, const struct line *line) {
  memcpy(out, line->time, 19);
  memset(out + 19, '0', 10);
  out[19] = '.';
  if (line->time_length > 21) memcpy(out + 20, line->time + 20, line->time_length - 21);
  memcpy(out + 29, "Z ", 2);
  return out + 31;
}

/* For whoever wants lines: u32 length of the text, u8 whether it is partial, u8 and u32 lengths of time and attributes, f64
 * milliseconds since 1970; then time, attributes, text. */
#define LINE_HEAD 18u
#define PREFIX_MAX 64u

static size_t put_line_head(char *out, const struct line *line) {
  double ms = (double)(line->nanos / 1000000);
  uint64_t bits;
  memcpy(&bits, &ms, sizeof bits);
  size_t attributes = line->attributes ? line->attributes_length : 0;
  out = put_number(out, line->length, 4);
  *out++ = (char)line->partial;
  *out++ = (char)line->time_length;
  out = put_number(out, attributes, 4);
  out = put_number(out, bits, 8);
  memcpy(out, line->time, line->time_length);
  if (attributes > 0) memcpy(out + line->time_length, line->attributes, attributes);
  return LINE_HEAD + line->time_length + attributes;
}

static bool wanted(const struct reader *reader, const struct line *line) {
  return line->nanos >= reader->since && (reader->only < 0 || reader->only == line->stream);
}

/* The text is decoded to where it will go, behind what comes before it; only then is it known what does. */
static int hand_on(struct reader *reader, const char *entry, size_t length) {
  struct line line;
  size_t before = reader->lines ? LINE_HEAD + PREFIX_MAX + length : reader->timestamps ? 31 : 0;
  char *out = reserve(reader, before + length + 16);
  if (!out) return -1;
  if (!(reader->files.local ? parse_local : parse_json)(entry, length, out + before, &line, &reader->known)) return 0;
  if (line.nanos > reader->until) {
    reader->over = true;
    return 0;
  }
  if (!wanted(reader, &line)) return 0;
  if (line.stream != reader->stream && reader->used > 0) {
    /* The other stream has a frame of its own; what was decoded stays in place behind the header. */
    size_t waiting = reader->used;
    if (flush(reader) < 0) return -1;
    memmove(reader->frame + FRAME_HEADER, reader->frame + FRAME_HEADER + waiting, before + line.length + 1);
    out = reader->frame + FRAME_HEADER;
  }
  reader->stream = line.stream;
  if (reader->lines) {
    size_t head = put_line_head(out, &line);
    memmove(out + head, out + before, line.length);
    reader->used += head + line.length;
    return 0;
  }
  if (reader->timestamps) (void)put_timestamp(out, &line);
  if (!line.partial) out[before + line.length++] = '\n';
  reader->used += before + line.length;
  return 0;
}

static int drain(struct reader *reader) {
  const char *entry;
  size_t length;
  while (!reader->over && (entry = source_next(&reader->source, &length)))
    if (hand_on(reader, entry, length) < 0) return -1;
  return 0;
}

/* --- which files --- */

/* The file after the one that was read, whatever both are called by now. false: there is none yet. */
static bool next_file(struct reader *reader) {
  struct source *source = &reader->source;
  uint64_t before = source->fd < 0 ? 0 : source->identity;
  int number = before == 0 ? -1 : source_number(&reader->files, before);
  if (number == 0) return false;
  source_close(source);
  /* One that is gone was the oldest: those that are left all come after it. */
  int next = number > 0 ? number - 1 : reader->files.count - 1;
  while (next >= 0 && !source_open(source, &reader->files, next)) next--;
  return next >= 0 && source->identity != before;
}

/* Opens the file in which the last `count` lines begin, there. */
static void open_tail(struct reader *reader, int newest, uint64_t count, uint64_t limit) {
  struct source *source = &reader->source;
  for (int number = newest; source_open(source, &reader->files, number); number++) {
    if (number == newest) source->limit = limit;
    uint64_t found = source_tail(source, &reader->files, number, count);
    if (found >= count) return;
    count -= found;
    source_close(source);
  }
  /* There are fewer: all of them. */
  (void)next_file(reader);
}

/* All that there is now, oldest first, up to a certain place if there is one. */
static int read_files(struct reader *reader, const struct op *tail, const struct op *upto) {
  struct source *source = &reader->source;
  uint64_t last = upto ? strtoull(op_text(upto, 1), NULL, 10) : source_current(&reader->files);
  uint64_t limit = upto ? strtoull(op_text(upto, 2), NULL, 10) : UINT64_MAX;
  int newest = upto ? source_number(&reader->files, last) : 0;
  if (newest < 0) return 0; /* Gone, and all before it. */
  if (tail) open_tail(reader, newest, strtoull(op_text(tail, 1), NULL, 10), limit);
  else (void)next_file(reader);
  while (source->fd >= 0) {
    bool is_last = source->identity == last;
    if (is_last) source->limit = limit;
    if (drain(reader) < 0) return -1;
    if (is_last || reader->over || !next_file(reader)) return 0;
  }
  return 0;
}

/* --- waiting for more --- */

static void take_op(struct reader *reader) {
  static char in[4096];
  static size_t have;
  ssize_t n = RETRY_EINTR(recv(reader->connection, in + have, sizeof in - have, MSG_DONTWAIT));
  if (n == 0 || (n < 0 && errno != EAGAIN)) _exit(0); /* Nobody listens any more. */
  if (n > 0) have += (size_t)n;
  /* The only thing that is ever said: that nothing comes after what is in the log now. */
  if (have >= FRAME_HEADER && in[0] == WIRE_OP) reader->ending = true;
}

static void await_more(struct reader *reader) {
  struct pollfd wait[] = {{.fd = reader->connection, .events = POLLIN}, {.fd = reader->watch, .events = POLLIN}};
  (void)poll(wait, countof(wait), reader->watch < 0 ? POLL_MS : -1);
  if (wait[0].revents) take_op(reader);
  if (wait[1].revents) {
    char events[4096];
    (void)!read(reader->watch, events, sizeof events);
  }
}

static int follow(struct reader *reader) {
  struct source *source = &reader->source;
  while (!reader->over) {
    bool ending = reader->ending; /* Told before we looked: then what we find is all. */
    if (source->fd >= 0 && drain(reader) < 0) return -1;
    if (flush(reader) < 0) return -1;
    uint64_t current = source_current(&reader->files);
    if (current != 0 && (source->fd < 0 || current != source->identity)) {
      /* Rotated. Once more: what was written between our reading and that. */
      if (source->fd >= 0 && drain(reader) < 0) return -1;
      if (next_file(reader)) continue;
    }
    if (ending) return 0;
    await_more(reader);
  }
  return 0;
}

/* --- life --- */

static int confine(const char *directory) {
  if (chdir(directory) < 0) return fail("logs", "chdir", directory);
  /* A user who may not can read what he may read anyhow. */
  if (chroot(".") < 0 && errno != EPERM) return fail("logs", "chroot", directory);
  if (drop_capabilities(0) < 0) return fail("logs", "capset", "");
  return 0;
}

static uint64_t nanos_of(const struct op *op, uint64_t otherwise) { return op ? strtoull(op_text(op, 1), NULL, 10) : otherwise; }

int logs_main(const struct plan *plan, int connection) {
  static struct reader reader;
  const struct op *log = plan_find(plan, "log-read"), *stream = plan_find(plan, "stream");
  prctl(PR_SET_NAME, "tsc-logs");
  if (!log) {
    errno = EINVAL;
    return fail("logs", "plan", ""), 1;
  }
  if (confine(op_text(log, 1)) < 0) return 1;
  long long count = op_number(log, 3, 1);
  reader = (struct reader){
      .connection = connection,
      .watch = -1,
      .files = {op_text(log, 2), count < 1 ? 1 : count > FILES_MAX ? FILES_MAX : (int)count, strcmp(op_text(log, 4), "local") == 0},
      .source = {.fd = -1},
      .since = nanos_of(plan_find(plan, "since"), 0),
      .until = nanos_of(plan_find(plan, "until"), UINT64_MAX),
      .only = !stream ? -1 : strcmp(op_text(stream, 1), "stderr") == 0,
      .timestamps = plan_find(plan, "timestamps") != NULL,
      .lines = plan_find(plan, "lines") != NULL,
      .follow = plan_find(plan, "follow") != NULL,
      .capacity = FRAME_SIZE,
      .frame = malloc(FRAME_SIZE),
  };
  if (!reader.frame) return fail("logs", "malloc", ""), 1;
  if (reader.follow) {
    /* Before anything is read: what is written meanwhile is told of. */
    reader.watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (reader.watch >= 0 && inotify_add_watch(reader.watch, ".", EVENTS) < 0) {
      close(reader.watch);
      reader.watch = -1;
    }
  }
  if (read_files(&reader, plan_find(plan, "tail"), plan_find(plan, "upto")) < 0 || flush(&reader) < 0) return 1;
  if (reader.follow && !reader.over && follow(&reader) < 0) return 1;
  if (flush(&reader) < 0) return 1;
  fact("done", NULL);
  return 0;
}
