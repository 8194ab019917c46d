/*
 * The log of one container, as the monitor writes it: Docker's json-file format, or a smaller one of our own (local).
 * Files are rotated by size, and compressed, if so asked, by a child.
 */
#ifndef TSC_LOG_H
#define TSC_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

#define LOG_LINE_MAX 16384u

struct log;

/* log FILE BYTES FILES FORMAT COMPRESS ATTRIBUTES. Opens nothing yet: the file appears with the first byte. NULL when out of memory. */
struct log *log_new(const struct op *op);
/* stream 0 is stdout, 1 stderr. Whole lines and pieces of LOG_LINE_MAX are written at once. 0, or -1 with errno. */
int log_append(struct log *log, int stream, const char *bytes, size_t length);
/* Writes what waits for its newline. */
int log_finish(struct log *log, int stream);
/* Where the next entry will be: which file (log_identity) and its size. Both 0 when there is none yet. */
void log_position(const struct log *log, uint64_t *identity, uint64_t *offset);
/* What was read but is in no entry yet, since its line is not over. */
const char *log_held(const struct log *log, int stream, size_t *length);
void log_free(struct log *log);

#endif
