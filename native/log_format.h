/*
 * How an entry of a log is written: Docker's json-file and our own, smaller one.
 *
 * An entry of `local`, all numbers little endian: u32 length of what lies between the two lengths, u8 flags, u64 nanoseconds
 * since 1970, the text without its newline, u32 the same length again, so that a file can be read backwards.
 */
#ifndef TSC_LOG_FORMAT_H
#define TSC_LOG_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define LOCAL_STDERR 1u
#define LOCAL_PARTIAL 2u
#define LOCAL_HEAD 13u /* u32, u8, u64 */
#define LOCAL_TAIL 4u

/* A time as RFC 3339 in UTC; the text of its seconds is kept while they last, since that is most of the work. */
struct stamp {
  time_t second;
  char text[40];
  size_t second_length;
};

/* Now, for all lines that were read together: each later one gets a nanosecond more, so that no two are alike. */
struct log_clock {
  struct timespec now;
  struct stamp stamp;
};

void clock_read(struct log_clock *clock);
void clock_tick(struct log_clock *clock);

/* One line, or a piece of one: head was held back until tail came. */
struct entry {
  int stream;
  struct timespec time;
  const char *head, *tail;
  size_t head_length, tail_length;
};

/* The most that an entry of that many bytes can take, without attributes. */
static inline size_t entry_bound(size_t length) { return length * 6 + 128; }

/* Each appends one entry to out and returns its end. */
char *entry_json(char *out, const struct entry *entry, struct stamp *stamp, const char *attributes, size_t attributes_length);
char *entry_local(char *out, const struct entry *entry);

#endif
