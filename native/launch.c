/*
 * The launcher: one child of each engine. It listens on a socket in the engine's private run directory, and for every
 * connection forks a process that reads its plan there and carries it out: a monitor, or a process inside a container.
 * Forking this small program takes a tenth of a millisecond, forking Node several.
 *
 * Parent: the Node process, which holds our stdin. Dies when that closes, so also when Node is killed; what it forked
 * has sessions of its own and decides by its own connection.
 *
 * It first moves into a sealed copy of itself in memory. A container that execs /proc/self/exe, or finds us through
 * /proc, then holds a file that nobody can write to, instead of the host's helper (CVE-2019-5736).
 */
#define _GNU_SOURCE
#include "launch.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "util.h"

#define SEALED "TSC_SEALED=1"

static int seal_self(const char *socket_path) {
  extern char **environ;
  for (char **e = environ; *e; e++)
    if (strcmp(*e, SEALED) == 0) return 0;
  cleanup_close int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (self < 0) return fail("seal", "open", "/proc/self/exe");
  int copy = memfd_create("tscontainer-helper", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (copy < 0) return fail("seal", "memfd_create", "");
  struct stat st;
  if (fstat(self, &st) < 0) return fail("seal", "fstat", "/proc/self/exe");
  for (off_t left = st.st_size; left > 0;) {
    ssize_t n = sendfile(copy, self, NULL, (size_t)left);
    if (n <= 0) return fail("seal", "sendfile", "/proc/self/exe");
    left -= n;
  }
  if (fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) return fail("seal", "fcntl", "F_ADD_SEALS");
  char *argv[] = {"tscontainer-helper", "launch", (char *)socket_path, NULL};
  char *env[] = {SEALED, NULL};
  fexecve(copy, argv, env);
  return fail("seal", "execve", "memfd");
}

static int listen_at(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return fail("launch", "bind", path);
  }
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail("launch", "socket", path);
  mode_t old = umask(077);
  int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
  umask(old);
  if (bound < 0 || listen(fd, 1024) < 0) {
    fail("launch", "bind", path);
    close(fd);
    return -1;
  }
  return fd;
}

/* The directory is private already; this holds even if somebody opened it up. */
static bool is_ours(int connection) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

/*
 * A network namespace made in advance. Making one is the largest part of making a container, most of a millisecond, and
 * an idle moment after the last start is a better time for it than the next start. None where we may not: then each
 * container makes its own.
 */
static int spare_network = -1, host_network = -1;

static void make_spare_network(void) {
  if (host_network == -1) host_network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (host_network < 0 || unshare(CLONE_NEWNET) < 0) {
    host_network = -2; /* Not tried again. */
    return;
  }
  spare_network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  /* Whatever comes next must not run in there. */
  if (setns(host_network, CLONE_NEWNET) < 0) _exit(1);
}

int launch_enter_spare_network(void) { return spare_network < 0 ? -1 : setns(spare_network, CLONE_NEWNET); }
int launch_leave_spare_network(void) { return setns(host_network, CLONE_NEWNET); }
void launch_drop_spare_network(void) {
  cleanup_closep(&spare_network);
  spare_network = -1;
}

static int serve(int connection) {
  struct plan plan;
  setsid();
  signal(SIGCHLD, SIG_DFL);
  wire_open(connection, true);
  if (plan_read(connection, &plan) < 0) {
    if (errno != EPIPE) fail("plan", "read", "");
    return 1;
  }
  const struct op *mode = plan_find(&plan, "mode");
  const char *name = mode ? op_text(mode, 1) : "";
  if (strcmp(name, "unshare") == 0) return unshare_main(&plan, connection);
  if (strcmp(name, "nsenter") == 0) return nsenter_main(&plan, connection);
  if (strcmp(name, "logs") == 0) return logs_main(&plan, connection);
  errno = ENOSYS;
  fail("plan", "mode", name);
  return 2;
}

int launch_main(const char *socket_path) {
  wire_open(STDOUT_FILENO, false);
  if (seal_self(socket_path) < 0) return 1;
  /* Children are never waited for: each says on its own connection how it went. */
  signal(SIGCHLD, SIG_IGN);
  /* A container whose monitor was killed comes to us, and goes at once instead of staying a zombie. */
  (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
  signal(SIGPIPE, SIG_IGN);
  /* Ctrl-C in a terminal goes to the whole foreground group; Node decides what it means. */
  signal(SIGINT, SIG_IGN);
  cleanup_close int listener = listen_at(socket_path);
  if (listener < 0) return 1;
  fact("ready", NULL);
  struct pollfd wait[] = {{.fd = listener, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
  for (;;) {
    bool idle = spare_network < 0 && host_network != -2;
    int ready = poll(wait, countof(wait), idle ? 0 : -1);
    if (ready < 0) {
      if (errno == EINTR) continue;
      break;
    }
    if (ready == 0) make_spare_network();
    if (wait[1].revents) break;
    if (!wait[0].revents) continue;
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) continue;
    pid_t child = is_ours(connection) ? fork() : -1;
    if (child == 0) {
      close(listener);
      /* What the monitor inherits must not keep Node's pipes open. */
      int null = open("/dev/null", O_RDWR | O_CLOEXEC);
      for (int fd = 0; fd < 3; fd++) dup2(null, fd);
      if (null > 2) close(null);
      _exit(serve(connection));
    }
    if (child < 0 && is_ours(connection)) {
      wire_open(connection, true);
      fail("launch", "fork", "");
      wire_open(STDOUT_FILENO, false);
    }
    close(connection);
    /* It is the child's now. One that does not need it lets it go. */
    cleanup_closep(&spare_network);
    spare_network = -1;
  }
  unlink(socket_path);
  return 0;
}
