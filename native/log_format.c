/*
 * See log_format.h. A json-file entry is {"log":"text\n","stream":"stdout","attrs":{…},"time":"2026-01-02T03:04:05.1Z"}
 * and a newline, with Go's escapes, so that whatever reads Docker's files reads ours. A line over 16 KiB is cut into
 * pieces, all but the last without the newline in "log": that is how Docker marks partial lines.
 */
#define _GNU_SOURCE
#include "log_format.h"

#include <stdio.h>
#include <string.h>

typedef unsigned char block __attribute__((vector_size(16)));

void clock_read(struct log_clock *clock) { clock_gettime(CLOCK_REALTIME, &clock->now); }

void clock_tick(struct log_clock *clock) {
  if (++clock->now.tv_nsec < 1000000000) return;
  clock->now.tv_nsec = 0;
  clock->now.tv_sec++;
}

/* RFC 3339 with as many digits as are needed, as Go's RFC3339Nano. */
static char *put_time(char *out, struct stamp *stamp, const struct timespec *time) {
  if (stamp->second_length == 0 || stamp->second != time->tv_sec) {
    struct tm tm;
    gmtime_r(&time->tv_sec, &tm);
    stamp->second_length = strftime(stamp->text, sizeof stamp->text, "%Y-%m-%dT%H:%M:%S", &tm);
    stamp->second = time->tv_sec;
  }
  memcpy(out, stamp->text, stamp->second_length);
  out += stamp->second_length;
  if (time->tv_nsec > 0) {
    uint32_t rest = (uint32_t)time->tv_nsec;
    int digits = 9;
    while (rest % 10 == 0) rest /= 10, digits--;
    *out = '.';
    for (int i = digits; i > 0; i--, rest /= 10) out[i] = (char)('0' + rest % 10);
    out += digits + 1;
  }
  *out++ = 'Z';
  return out;
}

/* Bytes that stand in JSON as they are: printable ASCII but for " \ < > &. */
static inline bool is_plain(unsigned char c) { return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'; }

static inline bool all_plain(block b) {
  block bad = (block)(b < 0x20) | (block)(b >= 0x80) | (block)(b == '"') | (block)(b == '\\') | (block)(b == '<') | (block)(b == '>') | (block)(b == '&');
  uint64_t halves[2];
  memcpy(halves, &bad, sizeof halves);
  return (halves[0] | halves[1]) == 0;
}

/* Copies what needs no escape; returns how much. Writes up to 15 bytes more than that. */
static size_t copy_plain(char *out, const char *text, size_t length) {
  size_t i = 0;
  for (; i + sizeof(block) <= length; i += sizeof(block)) {
    block b;
    memcpy(&b, text + i, sizeof b);
    memcpy(out + i, &b, sizeof b);
    if (!all_plain(b)) break;
  }
  for (; i < length && is_plain((unsigned char)text[i]); i++) out[i] = text[i];
  return i;
}

/* How many bytes a character of UTF-8 beginning here has, or 0 when it is none. */
static size_t utf8_length(const unsigned char *text, size_t length) {
  unsigned char c = text[0];
  size_t n = c >= 0xf0 && c <= 0xf4 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 0;
  if (n == 0 || n > length) return 0;
  for (size_t k = 1; k < n; k++)
    if ((text[k] & 0xc0) != 0x80) return 0;
  if (n == 2) return n;
  unsigned char d = text[1];
  return (c == 0xe0 && d < 0xa0) || (c == 0xed && d > 0x9f) || (c == 0xf0 && d < 0x90) || (c == 0xf4 && d > 0x8f) ? 0 : n;
}

static char *put_control(char *out, unsigned char c) {
  static const char hex[] = "0123456789abcdef";
  *out++ = '\\';
  switch (c) {
    case '"': case '\\': *out++ = (char)c; return out;
    case '\n': *out++ = 'n'; return out;
    case '\r': *out++ = 'r'; return out;
  }
  memcpy(out, "u00", 3);
  out[3] = hex[c >> 4];
  out[4] = hex[c & 15];
  return out + 5;
}

/* As Docker writes it: short escapes for \n and \r only, \u00XX for the rest and for < > &, U+2028 and U+2029 escaped, U+FFFD for what is no UTF-8. */
static char *go_escape(char *out, const char *text, size_t length) {
  for (size_t i = 0; i < length;) {
    size_t plain = copy_plain(out, text + i, length - i);
    out += plain;
    i += plain;
    if (i == length) break;
    const unsigned char *at = (const unsigned char *)text + i;
    if (*at < 0x80) {
      out = put_control(out, *at);
      i++;
      continue;
    }
    size_t n = utf8_length(at, length - i);
    if (n == 3 && at[0] == 0xe2 && at[1] == 0x80 && (at[2] & 0xfe) == 0xa8) {
      memcpy(out, at[2] & 1 ? "\\u2029" : "\\u2028", 6);
      out += 6;
    } else if (n > 0) {
      memcpy(out, at, n);
      out += n;
    } else {
      memcpy(out, "\\ufffd", 6);
      out += 6;
      n = 1;
    }
    i += n;
  }
  return out;
}

static char *put(char *out, const char *text, size_t length) {
  if (length > 0) memcpy(out, text, length); /* Nothing may be NULL. */
  return out + length;
}
#define PUT(out, text) put(out, text, sizeof text - 1)

char *entry_json(char *out, const struct entry *entry, struct stamp *stamp, const char *attributes, size_t attributes_length) {
  out = PUT(out, "{\"log\":\"");
  out = go_escape(out, entry->head, entry->head_length);
  out = go_escape(out, entry->tail, entry->tail_length);
  out = entry->stream ? PUT(out, "\",\"stream\":\"stderr\"") : PUT(out, "\",\"stream\":\"stdout\"");
  if (attributes_length > 0) {
    out = PUT(out, ",\"attrs\":");
    out = put(out, attributes, attributes_length);
  }
  out = PUT(out, ",\"time\":\"");
  out = put_time(out, stamp, &entry->time);
  return PUT(out, "\"}\n");
}

static char *put_number(char *out, uint64_t number, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) out[i] = (char)(number >> (8 * i));
  return out + bytes;
}

char *entry_local(char *out, const struct entry *entry) {
  size_t tail = entry->tail_length;
  bool whole = tail > 0 && entry->tail[tail - 1] == '\n';
  if (whole) tail--;
  uint32_t length = (uint32_t)(9 + entry->head_length + tail);
  out = put_number(out, length, 4);
  *out++ = (char)((entry->stream ? LOCAL_STDERR : 0) | (whole ? 0 : LOCAL_PARTIAL));
  out = put_number(out, (uint64_t)entry->time.tv_sec * 1000000000u + (uint64_t)entry->time.tv_nsec, 8);
  out = put(out, entry->head, entry->head_length);
  out = put(out, entry->tail, tail);
  return put_number(out, length, 4);
}
