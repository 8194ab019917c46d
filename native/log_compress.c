/* See log_compress.h. Parent: a monitor; it ends with its one file. */
#define _GNU_SOURCE
#include "log_compress.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "deflate.h"
#include "layer_crc32.h"
#include "util.h"

/* RFC 1952 with an extra field "TS" of eight bytes: the identity of the file that it was. */
#define HEADER 24u

static void put_le(unsigned char *out, uint64_t number, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) out[i] = (unsigned char)(number >> (8 * i));
}

static int write_gzip(int in, int out, uint64_t identity) {
  static struct deflate deflate; /* Static: a quarter of a megabyte, and this process has one. */
  unsigned char header[HEADER] = {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 12, 0, 'T', 'S', 8, 0}, trailer[8];
  uint32_t crc = 0, size = 0;
  put_le(header + 16, identity, 8);
  if (write_all(out, header, sizeof header) < 0) return -1;
  for (bool last = false; !last;) {
    unsigned char *room = deflate_room(&deflate);
    size_t length = 0;
    while (length < DEFLATE_BLOCK) {
      ssize_t n = RETRY_EINTR(read(in, room + length, DEFLATE_BLOCK - length));
      if (n < 0) return -1;
      if (n == 0) break;
      length += (size_t)n;
    }
    last = length < DEFLATE_BLOCK;
    crc = crc32_update(crc, room, length);
    size += (uint32_t)length;
    deflate_block(&deflate, length, last);
    if (write_all(out, deflate.out, deflate.out_length) < 0) return -1;
  }
  put_le(trailer, crc, 4);
  put_le(trailer + 4, size, 4);
  return write_all(out, trailer, sizeof trailer);
}

static int compress_file(const char *path) {
  char temporary[4096], final[4096];
  snprintf(temporary, sizeof temporary, "%s.gz.tmp", path);
  snprintf(final, sizeof final, "%s.gz", path);
  int in = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  int out = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (in < 0 || out < 0) return -1;
  /* Whole, or not at all: until the last step the file that it is made of is the one that counts. */
  if (write_gzip(in, out, log_identity(in, false)) < 0 || rename(temporary, final) < 0) {
    (void)unlink(temporary);
    return -1;
  }
  return unlink(path);
}

pid_t compress_start(const char *path) {
  pid_t parent = getpid(), child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != parent) _exit(1);
  /* The monitor's connections above all: whoever waits for them to close must not wait for us. */
  (void)syscall(SYS_close_range, 0, ~0u, 0);
  prctl(PR_SET_NAME, "tsc-compress");
  (void)!nice(19);
  crc32_init();
  _exit(compress_file(path) < 0);
}

void compress_wait(pid_t *pid) {
  while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) continue;
  *pid = 0;
}

static uint64_t origin(int fd) {
  unsigned char header[HEADER];
  uint64_t identity = 0;
  if (pread(fd, header, sizeof header, 0) != (ssize_t)sizeof header) return 0;
  if (header[0] != 0x1f || header[1] != 0x8b || header[3] != 4 || header[12] != 'T' || header[13] != 'S') return 0;
  for (int i = 7; i >= 0; i--) identity = identity << 8 | header[16 + i];
  return identity;
}

uint64_t log_identity(int fd, bool compressed) {
  struct statx st;
  if (compressed) return origin(fd);
  if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st) < 0) return 0;
  uint64_t born = st.stx_mask & STATX_BTIME ? (uint64_t)st.stx_btime.tv_sec * 1000000000u + st.stx_btime.tv_nsec : 0;
  return st.stx_ino ^ born << 20 ^ born >> 44;
}
