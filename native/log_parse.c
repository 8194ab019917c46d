/* See log_parse.h. */
#define _GNU_SOURCE
#include "log_parse.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "log_format.h"

#define NANOS 1000000000ull
#define LOCAL_MAX (1u << 20)

typedef unsigned char block __attribute__((vector_size(16)));

static inline bool has_special(block b) {
  block found = (block)(b == '"') | (block)(b == '\\');
  uint64_t halves[2];
  memcpy(halves, &found, sizeof halves);
  return (halves[0] | halves[1]) != 0;
}

static int hex4(const char *p) {
  int value = 0;
  for (int i = 0; i < 4; i++) {
    int c = p[i], digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return -1;
    value = value << 4 | digit;
  }
  return value;
}

static char *put_utf8(char *out, int c) {
  if (c < 0x80) *out++ = (char)c;
  else if (c < 0x800) {
    *out++ = (char)(0xc0 | c >> 6);
    *out++ = (char)(0x80 | (c & 0x3f));
  } else {
    *out++ = (char)(0xe0 | c >> 12);
    *out++ = (char)(0x80 | (c >> 6 & 0x3f));
    *out++ = (char)(0x80 | (c & 0x3f));
  }
  return out;
}

/* One escape, p behind its backslash. Where it ends, or NULL. */
static const char *unescape(const char *p, const char *end, char **out) {
  if (p == end) return NULL;
  switch (*p) {
    case 'n': *(*out)++ = '\n'; return p + 1;
    case 'r': *(*out)++ = '\r'; return p + 1;
    case 't': *(*out)++ = '\t'; return p + 1;
    case 'b': *(*out)++ = '\b'; return p + 1;
    case 'f': *(*out)++ = '\f'; return p + 1;
    case '"': case '\\': case '/': *(*out)++ = *p; return p + 1;
    case 'u': break;
    default: return NULL;
  }
  int c = end - p >= 5 ? hex4(p + 1) : -1;
  if (c < 0) return NULL;
  *out = put_utf8(*out, c);
  return p + 5;
}

/* A JSON string, p behind its first quote. Behind its last one, or NULL. */
static const char *read_string(const char *p, const char *end, char *text, size_t *length) {
  char *out = text;
  for (;;) {
    while (end - p >= (ptrdiff_t)sizeof(block)) {
      block b;
      memcpy(&b, p, sizeof b);
      memcpy(out, &b, sizeof b);
      if (has_special(b)) break;
      p += sizeof b;
      out += sizeof b;
    }
    while (p < end && *p != '"' && *p != '\\') *out++ = *p++;
    if (p == end) return NULL;
    if (*p++ == '"') break;
    p = unescape(p, end, &out);
    if (!p) return NULL;
  }
  *length = (size_t)(out - text);
  return p;
}

static bool skip(const char **p, const char *end, const char *text, size_t length) {
  if ((size_t)(end - *p) < length || memcmp(*p, text, length) != 0) return false;
  *p += length;
  return true;
}
#define SKIP(p, end, text) skip(p, end, text, sizeof text - 1)

static int digits(const char *p, int count) {
  int value = 0;
  for (int i = 0; i < count; i++) {
    if (p[i] < '0' || p[i] > '9') return -1;
    value = value * 10 + p[i] - '0';
  }
  return value;
}

static bool read_seconds(const char *p, struct seconds *known) {
  if (memcmp(p, known->text, 19) == 0) return true;
  struct tm tm = {.tm_year = digits(p, 4) - 1900, .tm_mon = digits(p + 5, 2) - 1, .tm_mday = digits(p + 8, 2), .tm_hour = digits(p + 11, 2), .tm_min = digits(p + 14, 2), .tm_sec = digits(p + 17, 2)};
  if (tm.tm_year < 0 || tm.tm_mon < 0 || tm.tm_mday < 0 || tm.tm_hour < 0 || tm.tm_min < 0 || tm.tm_sec < 0) return false;
  time_t epoch = timegm(&tm);
  if (epoch < 0) return false;
  memcpy(known->text, p, 19);
  known->epoch = (uint64_t)epoch;
  return true;
}

/* 2026-01-02T03:04:05[.123456789]Z */
static bool read_time(const char *p, size_t length, struct line *line, struct seconds *known) {
  if (length < 20 || length > 30 || p[length - 1] != 'Z' || !read_seconds(p, known)) return false;
  uint64_t fraction = 0;
  if (length > 20) {
    int count = (int)length - 21, value = p[19] == '.' ? digits(p + 20, count) : -1;
    if (value < 0) return false;
    fraction = (uint64_t)value;
    for (int i = count; i < 9; i++) fraction *= 10;
  }
  line->nanos = known->epoch * NANOS + fraction;
  memcpy(line->time, p, length);
  line->time_length = length;
  return true;
}

bool parse_json(const char *entry, size_t length, char *text, struct line *line, struct seconds *known) {
  const char *p = entry, *end = entry + length;
  if (!SKIP(&p, end, "{\"log\":\"") || !(p = read_string(p, end, text, &line->length))) return false;
  if (!SKIP(&p, end, ",\"stream\":\"std") || end - p < 4) return false;
  line->stream = *p == 'e';
  p += 4;
  /* The time comes last, and has no quote in it: what lies before it and is not the stream are attributes. */
  if (end - p < 2 || end[-1] != '}' || end[-2] != '"') return false;
  const char *quote = memrchr(p, '"', (size_t)(end - p) - 2);
  static const char key[] = ",\"time\":";
  if (!quote || (size_t)(quote - p) < sizeof key - 1 || memcmp(quote - (sizeof key - 1), key, sizeof key - 1) != 0) return false;
  const char *rest = quote - (sizeof key - 1);
  line->attributes = NULL;
  if (rest > p) {
    if (!SKIP(&p, rest, ",\"attrs\":")) return false;
    line->attributes = p;
    line->attributes_length = (size_t)(rest - p);
  }
  line->partial = line->length == 0 || text[line->length - 1] != '\n';
  if (!line->partial) line->length--;
  return read_time(quote + 1, (size_t)(end - 2 - (quote + 1)), line, known);
}

static uint64_t number(const char *p, int bytes) {
  uint64_t value = 0;
  for (int i = bytes - 1; i >= 0; i--) value = value << 8 | (unsigned char)p[i];
  return value;
}

ssize_t local_length(const char *bytes, size_t length) {
  if (length < 4) return 0;
  uint64_t body = number(bytes, 4);
  if (body < 9 || body > LOCAL_MAX) return -1;
  return (ssize_t)(4 + body + LOCAL_TAIL);
}

bool parse_local(const char *entry, size_t length, char *text, struct line *line, struct seconds *known) {
  if (memcmp(entry, entry + length - LOCAL_TAIL, LOCAL_TAIL) != 0) return false;
  unsigned flags = (unsigned char)entry[4];
  line->stream = flags & LOCAL_STDERR ? 1 : 0;
  line->partial = flags & LOCAL_PARTIAL;
  line->nanos = number(entry + 5, 8);
  line->attributes = NULL;
  line->length = length - LOCAL_HEAD - LOCAL_TAIL;
  memcpy(text, entry + LOCAL_HEAD, line->length);
  time_t second = (time_t)(line->nanos / NANOS);
  if (known->text[0] == 0 || known->epoch != (uint64_t)second) {
    struct tm tm;
    char formatted[32];
    if (!gmtime_r(&second, &tm) || strftime(formatted, sizeof formatted, "%Y-%m-%dT%H:%M:%S", &tm) != 19) return false;
    memcpy(known->text, formatted, 19);
    known->epoch = (uint64_t)second;
  }
  memcpy(line->time, known->text, 19);
  line->time_length = 19;
  uint32_t rest = (uint32_t)(line->nanos % NANOS);
  if (rest > 0) {
    int n = snprintf(line->time + 19, 12, ".%09u", rest);
    while (line->time[19 + n - 1] == '0') n--;
    line->time_length += (size_t)n;
  }
  line->time[line->time_length++] = 'Z';
  return true;
}
