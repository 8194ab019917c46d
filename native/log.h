/* The log of one container, in the format of Docker's json-file driver. Written by the monitor, read by Node. */
#ifndef TSC_LOG_H
#define TSC_LOG_H

#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_MAX 16384u

struct log;

/* Opens nothing yet: the file appears with the first byte. max_size 0: never rotated. NULL when out of memory. */
struct log *log_new(const char *path, int64_t max_size, int max_files);
/* stream 0 is stdout, 1 stderr. Whole lines and pieces of LOG_LINE_MAX are written at once. 0, or -1 with errno. */
int log_append(struct log *log, int stream, const char *bytes, size_t length);
/* Writes what waits for its newline. */
int log_finish(struct log *log, int stream);
void log_free(struct log *log);

#endif
