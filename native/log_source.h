/*
 * The files of one log, oldest first, in the current directory: NAME.3, NAME.2.gz, NAME.1, NAME. The monitor may rotate them
 * while they are read; a file is known again by its identity (log_compress.h).
 */
#ifndef TSC_LOG_SOURCE_H
#define TSC_LOG_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct log_files {
  const char *name;
  int count; /* Files that are kept, the current one included. */
  bool local;
};

/* One of them, open. */
struct source {
  int fd; /* -1: none */
  pid_t inflate; /* Its text comes from this child; 0: from the file itself. */
  int pipe;
  uint64_t identity;
  uint64_t limit; /* Nothing behind this many bytes is read. */
  uint64_t taken;
  char *buffer;
  size_t start, end, capacity;
  bool local;
};

/* The one with that number, 0 being the current. false: there is none. */
bool source_open(struct source *source, const struct log_files *files, int number);
void source_close(struct source *source);
/* The number that the file has by now, or -1. */
int source_number(const struct log_files *files, uint64_t identity);
/* The identity of the current file; 0 when there is none. */
uint64_t source_current(const struct log_files *files);

/* The next whole entry, without its newline, valid until the next call; NULL when there is none (yet). */
const char *source_next(struct source *source, size_t *length);
/* Goes to where the last `count` entries begin, or to the beginning; returns how many there are from there. */
uint64_t source_tail(struct source *source, const struct log_files *files, int number, uint64_t count);

#endif
