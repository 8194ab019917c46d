/*
 * Small things that every mode of the helper uses: descriptors that close themselves, calls that survive a signal,
 * whole reads and writes. Nothing here knows of containers.
 */
#ifndef TSC_UTIL_H
#define TSC_UTIL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static inline void cleanup_closep(int *fd) {
  if (*fd >= 0) {
    int saved = errno;
    close(*fd);
    errno = saved;
  }
}
static inline void cleanup_freep(void *p) {
  int saved = errno;
  free(*(void **)p);
  errno = saved;
}
#define cleanup_close __attribute__((cleanup(cleanup_closep)))
#define cleanup_free __attribute__((cleanup(cleanup_freep)))

#define RETRY_EINTR(expression)                         \
  ({                                                    \
    long long retry_result;                             \
    do retry_result = (long long)(expression);          \
    while (retry_result == -1 && errno == EINTR);       \
    retry_result;                                       \
  })

#define countof(array) (sizeof(array) / sizeof((array)[0]))

/* Reads or writes all of it. 0 on success; -1 with errno (EPIPE when the other side ended early). */
int read_all(int fd, void *buffer, size_t length);
int write_all(int fd, const void *buffer, size_t length);

/* Writes a short string to an existing file (cgroup files, /proc). 0 or -1 with errno. */
int write_file(int dirfd, const char *path, const char *text, size_t length);

/* Reads a small file whole into buffer, NUL-terminated. Bytes read, or -1 with errno. */
ssize_t read_file(int dirfd, const char *path, char *buffer, size_t size);

/* A descriptor moved to >= minimum, close-on-exec. The old one is closed. -1 with errno. */
int move_fd(int fd, int minimum);

/* Monotonic milliseconds. */
int64_t now_ms(void);

#endif
