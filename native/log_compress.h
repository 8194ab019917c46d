/*
 * Compresses a file that a log was rotated to, FILE -> FILE.gz, in a child of its own, at the lowest priority: whoever
 * writes the log does not wait for it, but for the one before when the next is due.
 */
#ifndef TSC_LOG_COMPRESS_H
#define TSC_LOG_COMPRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The child's pid, or -1: then the file stays as it is. */
pid_t compress_start(const char *path);
/* Waits for it and forgets it. */
void compress_wait(pid_t *pid);

/*
 * Which file of a log this is, whatever its name is by now, and also once it is compressed: from its inode and the time of
 * its birth, since an inode alone is soon another file's. 0 when there is no telling.
 */
uint64_t log_identity(int fd, bool compressed);

#endif
