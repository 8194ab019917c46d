/* See util.h. */
#define _GNU_SOURCE
#include "util.h"

#include <fcntl.h>
#include <time.h>

int read_all(int fd, void *buffer, size_t length) {
  char *p = buffer;
  while (length > 0) {
    ssize_t n = RETRY_EINTR(read(fd, p, length));
    if (n < 0) return -1;
    if (n == 0) {
      errno = EPIPE;
      return -1;
    }
    p += n;
    length -= (size_t)n;
  }
  return 0;
}

int write_all(int fd, const void *buffer, size_t length) {
  const char *p = buffer;
  while (length > 0) {
    ssize_t n = RETRY_EINTR(write(fd, p, length));
    if (n < 0) return -1;
    p += n;
    length -= (size_t)n;
  }
  return 0;
}

int write_file(int dirfd, const char *path, const char *text, size_t length) {
  cleanup_close int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return -1;
  /* One write: cgroup and proc files take a value whole or refuse it. */
  ssize_t n = RETRY_EINTR(write(fd, text, length));
  if (n < 0) return -1;
  if ((size_t)n != length) {
    errno = EIO;
    return -1;
  }
  return 0;
}

ssize_t read_file(int dirfd, const char *path, char *buffer, size_t size) {
  cleanup_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  size_t used = 0;
  while (used + 1 < size) {
    ssize_t n = RETRY_EINTR(read(fd, buffer + used, size - 1 - used));
    if (n < 0) return -1;
    if (n == 0) break;
    used += (size_t)n;
  }
  buffer[used] = 0;
  return (ssize_t)used;
}

int move_fd(int fd, int minimum) {
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, minimum);
  int saved = errno;
  close(fd);
  errno = saved;
  return moved;
}

int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
