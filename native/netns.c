/* See netns.h. */
#define _GNU_SOURCE
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int home = -1;

int netns_open(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
  return open(path, O_RDONLY | O_CLOEXEC);
}

int netns_enter(int netns) {
  if (home < 0) home = netns_open(getpid());
  if (home < 0) return -1;
  return setns(netns, CLONE_NEWNET);
}

void netns_leave(void) {
  int saved = errno;
  if (setns(home, CLONE_NEWNET) < 0) _exit(1);
  errno = saved;
}

int netns_socket(int netns, int family, int type) {
  if (netns >= 0 && netns_enter(netns) < 0) return -1;
  int fd = socket(family, type | SOCK_CLOEXEC, 0);
  if (netns >= 0) netns_leave();
  return fd;
}
