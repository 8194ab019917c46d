/* See wire.h. */
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

static int wire = -1;
static bool wire_framed;
static void (*sink)(void *context, const char *frame, size_t length);
static void *sink_context;

static uint32_t u32(const char *p) {
  const unsigned char *b = (const unsigned char *)p;
  return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}
static uint16_t u16(const char *p) {
  const unsigned char *b = (const unsigned char *)p;
  return (uint16_t)(b[0] | b[1] << 8);
}

static int malformed(void) {
  errno = EPROTO;
  return -1;
}

/* First pass: is every length inside, and how many ops and fields are there? */
static int plan_measure(const char *buffer, size_t length, size_t *ops, size_t *fields) {
  size_t at = 0;
  *ops = *fields = 0;
  while (at < length) {
    if (length - at < 2) return malformed();
    uint16_t count = u16(buffer + at);
    if (count == 0) return malformed();
    at += 2;
    for (uint16_t i = 0; i < count; i++) {
      if (length - at < 4) return malformed();
      uint32_t size = u32(buffer + at);
      at += 4;
      if (size >= length - at || buffer[at + size] != 0) return malformed();
      at += (size_t)size + 1;
    }
    *ops += 1;
    *fields += count;
  }
  return 0;
}

int plan_parse(char *buffer, size_t length, struct plan *plan) {
  size_t ops = 0, fields = 0;
  memset(plan, 0, sizeof *plan);
  plan->buffer = buffer;
  if (plan_measure(buffer, length, &ops, &fields) < 0) goto broken;
  plan->ops = calloc(ops ? ops : 1, sizeof *plan->ops);
  plan->fields = calloc(fields ? fields : 1, sizeof *plan->fields);
  if (!plan->ops || !plan->fields) {
    errno = ENOMEM;
    goto broken;
  }
  struct field *field = plan->fields;
  for (size_t at = 0; at < length;) {
    struct op *op = &plan->ops[plan->count++];
    op->count = u16(buffer + at);
    op->fields = field;
    at += 2;
    for (uint16_t i = 0; i < op->count; i++, field++) {
      field->length = u32(buffer + at);
      field->text = buffer + at + 4;
      at += 4 + (size_t)field->length + 1;
    }
  }
  return 0;
broken: {
  int saved = errno;
  plan_free(plan);
  errno = saved;
  return -1;
}
}

int plan_read(int fd, struct plan *plan) {
  char header[4];
  memset(plan, 0, sizeof *plan);
  if (read_all(fd, header, sizeof header) < 0) return -1;
  uint32_t length = u32(header);
  if (length > PLAN_MAX) {
    errno = E2BIG;
    return -1;
  }
  char *buffer = malloc(length ? length : 1);
  if (!buffer) return -1;
  if (read_all(fd, buffer, length) < 0) {
    int saved = errno;
    free(buffer);
    errno = saved;
    return -1;
  }
  return plan_parse(buffer, length, plan);
}

void plan_free(struct plan *plan) {
  free(plan->ops);
  free(plan->fields);
  free(plan->buffer);
  memset(plan, 0, sizeof *plan);
}

bool op_is(const struct op *op, const char *name) { return strcmp(op->fields[0].text, name) == 0; }

const char *op_text(const struct op *op, unsigned i) { return i < op->count ? op->fields[i].text : ""; }

long long op_number(const struct op *op, unsigned i, long long fallback) {
  const char *text = op_text(op, i);
  char *end;
  if (*text == 0) return fallback;
  /* Callers ask in the middle of handling a failure. */
  int saved = errno;
  errno = 0;
  long long value = strtoll(text, &end, text[0] == '0' ? 8 : 10);
  bool whole = errno == 0 && *end == 0;
  errno = saved;
  return whole ? value : fallback;
}

const struct op *plan_find(const struct plan *plan, const char *name) {
  for (size_t i = 0; i < plan->count; i++)
    if (op_is(&plan->ops[i], name)) return &plan->ops[i];
  return NULL;
}

void wire_open(int fd, bool framed) {
  wire = fd;
  wire_framed = framed;
  sink = NULL;
}
struct wire_sink wire_swap(struct wire_sink to) {
  struct wire_sink before = {sink, sink_context};
  sink = to.send;
  sink_context = to.context;
  return before;
}

void wire_divert(void (*to)(void *context, const char *frame, size_t length), void *context) {
  sink = to;
  sink_context = context;
}

/* One write per fact, so that facts of two processes on one wire never mix. */
static void send_fact(char *buffer, size_t length) {
  if (wire < 0 && !sink) return;
  if (wire_framed || sink) {
    buffer[0] = WIRE_FACT;
    for (int i = 0; i < 4; i++) buffer[1 + i] = (char)(length >> (8 * i));
    if (sink) sink(sink_context, buffer, FRAME_HEADER + length);
    else (void)!write_all(wire, buffer, FRAME_HEADER + length);
  } else {
    buffer[FRAME_HEADER + length] = '\n';
    (void)!write_all(wire, buffer + FRAME_HEADER, length + 1);
  }
}

size_t json_escape(char *out, size_t size, const char *text, size_t length) {
  size_t used = 0;
#define PUT(c) do { if (used < size) out[used] = (char)(c); used++; } while (0)
  for (size_t i = 0; i < length;) {
    unsigned char c = (unsigned char)text[i];
    if (c == '"' || c == '\\') {
      PUT('\\');
      PUT(c);
      i++;
    } else if (c < 0x20 || c == 0x7f) {
      static const char hex[] = "0123456789abcdef";
      PUT('\\'); PUT('u'); PUT('0'); PUT('0'); PUT(hex[c >> 4]); PUT(hex[c & 15]);
      i++;
    } else if (c < 0x80) {
      PUT(c);
      i++;
    } else {
      size_t n = c >= 0xf0 && c <= 0xf4 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 0;
      bool ok = n > 0 && i + n <= length;
      for (size_t k = 1; ok && k < n; k++) ok = ((unsigned char)text[i + k] & 0xc0) == 0x80;
      if (ok && n == 3) {
        unsigned char d = (unsigned char)text[i + 1];
        ok = !(c == 0xe0 && d < 0xa0) && !(c == 0xed && d > 0x9f);
      } else if (ok && n == 4) {
        unsigned char d = (unsigned char)text[i + 1];
        ok = !(c == 0xf0 && d < 0x90) && !(c == 0xf4 && d > 0x8f);
      }
      if (ok) {
        for (size_t k = 0; k < n; k++) PUT(text[i + k]);
        i += n;
      } else {
        PUT(0xef); PUT(0xbf); PUT(0xbd);
        i++;
      }
    }
  }
#undef PUT
  return used;
}

void fact(const char *name, ...) {
  char buffer[8192];
  size_t limit = sizeof buffer - 8;
  size_t used = FRAME_HEADER;
  used += (size_t)snprintf(buffer + used, 64, "{\"fact\":\"%s\"", name);
  va_list list;
  va_start(list, name);
  for (const char *key; (key = va_arg(list, const char *)) != NULL;) {
    const char *text = va_arg(list, const char *);
    if (text == NULL) continue;
    if (used + strlen(key) + 8 > limit) break;
    used += (size_t)snprintf(buffer + used, limit - used, ",\"%s\":\"", key);
    size_t length = strlen(text);
    /* A path may be as long as PATH_MAX and grow sixfold: cut rather than lose the fact. */
    while (used + json_escape(NULL, 0, text, length) > limit - 4 && length > 0) length /= 2;
    used += json_escape(buffer + used, limit - used, text, length);
    buffer[used++] = '"';
  }
  va_end(list);
  buffer[used++] = '}';
  send_fact(buffer, used - FRAME_HEADER);
}

void fact_json(const char *name, const char *format, ...) {
  char buffer[4096];
  size_t used = FRAME_HEADER;
  used += (size_t)snprintf(buffer + used, 64, "{\"fact\":\"%s\",", name);
  va_list list;
  va_start(list, format);
  int n = vsnprintf(buffer + used, sizeof buffer - used - 4, format, list);
  va_end(list);
  if (n < 0) return;
  used += (size_t)n < sizeof buffer - used - 4 ? (size_t)n : sizeof buffer - used - 5;
  buffer[used++] = '}';
  send_fact(buffer, used - FRAME_HEADER);
}

const char *errno_name(int number) {
  const char *name = strerrorname_np(number);
  return name ? name : "EUNKNOWN";
}

int fail(const char *stage, const char *syscall, const char *path) {
  int saved = errno;
  fact("error", "stage", stage, "syscall", syscall, "errno", errno_name(saved), "path", path, NULL);
  errno = saved;
  return -1;
}
