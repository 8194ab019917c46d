/* The program in the images of the differential tests: static, so that it needs nothing beside it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "probe.h"

void print_word(const char *bytes, long length) {
  for (long i = 0; i < length; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (c > 0x20 && c < 0x7f && c != '\\') putchar(c);
    else printf("\\x%02x", c);
  }
}

const char *errno_name(int number) {
  const char *name = number == 0 ? "ok" : strerrorname_np(number);
  return name ? name : "?";
}

static int on_signal_exit = 0;
static void leave(int signal) {
  (void)signal;
  _exit(on_signal_exit);
}

/* Says "ready", then waits; a signal that is named ends it with the code that is named. */
static _Noreturn void linger(int argc, char **argv) {
  for (int i = 0; i + 1 < argc; i += 2) {
    on_signal_exit = atoi(argv[i + 1]);
    signal(atoi(argv[i]), on_signal_exit < 0 ? SIG_IGN : leave);
  }
  puts("ready");
  fflush(stdout);
  for (;;) pause();
}

/* Writes bytes that are given in hexadecimal, `NxHEX` for N times. */
static int raw(int argc, char **argv, int fd) {
  for (int i = 0; i < argc; i++) {
    char *hex = strchr(argv[i], 'x');
    long times = hex ? atol(argv[i]) : 1;
    hex = hex ? hex + 1 : argv[i];
    size_t length = strlen(hex) / 2;
    char *bytes = malloc(length * (size_t)times + 1);
    for (size_t k = 0; k < length * (size_t)times; k++) {
      char pair[3] = {hex[2 * (k % length)], hex[2 * (k % length) + 1], 0};
      bytes[k] = (char)strtol(pair, NULL, 16);
    }
    for (size_t at = 0; at < length * (size_t)times;) {
      ssize_t n = write(fd, bytes + at, length * (size_t)times - at);
      if (n < 0) return 1;
      at += (size_t)n;
    }
    free(bytes);
  }
  return 0;
}

/* Touches so many MiB. */
static int eat(long mebibytes) {
  for (long i = 0; i < mebibytes; i++) {
    char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return printf("mmap: %s\n", errno_name(errno)), 3;
    memset(block, 1, 1 << 20);
  }
  printf("ate %ld MiB\n", mebibytes);
  return 0;
}

/* How many children it can have at once, and what ends it. */
static int forks(int most) {
  int made = 0;
  while (made < most) {
    pid_t pid = fork();
    if (pid == 0) {
      pause();
      _exit(0);
    }
    if (pid < 0) break;
    made++;
  }
  printf("%d %s\n", made, made < most ? errno_name(errno) : "ok");
  fflush(stdout);
  return 0;
}

static int standard_input(void) {
  char buffer[4096];
  long total = 0;
  ssize_t n;
  while ((n = read(0, buffer, sizeof buffer)) > 0) total += n;
  printf("%ld bytes, then %s\n", total, n == 0 ? "end" : errno_name(errno));
  return 0;
}

static int terminal(void) {
  for (int fd = 0; fd < 3; fd++) {
    struct termios t;
    char name[128] = "";
    printf("%d isatty=%d name=%s", fd, isatty(fd), ttyname_r(fd, name, sizeof name) == 0 ? name : "");
    if (tcgetattr(fd, &t) == 0) {
      printf(" i=%x o=%x c=%x l=%x cc=", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
      for (int i = 0; i < NCCS; i++) printf("%02x", t.c_cc[i]);
    }
    printf("\n");
  }
  struct winsize size;
  if (ioctl(0, TIOCGWINSZ, &size) == 0) printf("size %dx%d\n", size.ws_row, size.ws_col);
  printf("session %d group %d foreground %d TERM=%s\n", getsid(0) == getpid(), getpgrp() == getpid(), tcgetpgrp(0) == getpgrp(), getenv("TERM"));
  return 0;
}

static int identity(void) {
  gid_t groups[64];
  int count = getgroups(64, groups);
  printf("%u:%u", getuid(), getgid());
  for (int i = 0; i < count; i++) printf(" %u", groups[i]);
  printf(" HOME=%s\n", getenv("HOME"));
  return 0;
}

/* The working directory, and who owns what is above it: some of it was made for us. */
static int where(void) {
  char path[4096];
  struct stat st;
  if (!getcwd(path, sizeof path)) return printf("%s\n", errno_name(errno)), 1;
  for (char *slash = path + strlen(path); slash && slash > path; slash = strrchr(path, '/')) {
    *slash = 0;
    if (path[0] && stat(path, &st) == 0) printf("%s %o %u:%u\n", path, st.st_mode, st.st_uid, st.st_gid);
  }
  return 0;
}

static int environment(void) {
  for (char **entry = environ; *entry; entry++) puts(*entry);
  return 0;
}

int main(int argc, char **argv) {
  /* The name that it was called by does not matter; the first word does. */
  const char *verb = argc > 1 ? argv[1] : "";
  int rest = argc > 2 ? argc - 2 : 0;
  char **words = argv + 2;
  if (strcmp(verb, "tree") == 0) return probe_tree(rest > 0 ? words[0] : "/");
  if (strcmp(verb, "view") == 0) return probe_view();
  if (strcmp(verb, "access") == 0) return probe_access();
  if (strcmp(verb, "syscalls") == 0) return probe_syscalls();
  if (strcmp(verb, "linger") == 0) linger(rest, words);
  if (strcmp(verb, "stdout") == 0) return raw(rest, words, 1);
  if (strcmp(verb, "stderr") == 0) return raw(rest, words, 2);
  if (strcmp(verb, "stdin") == 0) return standard_input();
  if (strcmp(verb, "terminal") == 0) return terminal();
  if (strcmp(verb, "identity") == 0) return identity();
  if (strcmp(verb, "where") == 0) return where();
  if (strcmp(verb, "environment") == 0) return environment();
  if (strcmp(verb, "eat") == 0) return eat(rest > 0 ? atol(words[0]) : 1);
  if (strcmp(verb, "forks") == 0) return forks(rest > 0 ? atoi(words[0]) : 1);
  if (strcmp(verb, "exit") == 0) return rest > 0 ? atoi(words[0]) : 0;
  if (strcmp(verb, "die") == 0) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    /* The first process of a pid namespace is not killed by its own signals: a child is. */
    pid_t child = fork();
    int status;
    if (child == 0) {
      raise(atoi(words[0]));
      _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  for (int i = 0; i < argc; i++) {
    print_word(argv[i], (long)strlen(argv[i]));
    printf("\n");
  }
  return 0;
}
