/* What a process is and sees, in sections: "=== name", then a line per fact. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "probe.h"

extern char **environ;

static void print_file(const char *path) {
  char buffer[65536];
  int fd = open(path, O_RDONLY);
  if (fd < 0) {
    printf("%s: %s\n", path, errno_name(errno));
    return;
  }
  for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) fwrite(buffer, 1, (size_t)n, stdout);
  close(fd);
}

static void print_value(const char *path) {
  char buffer[4096];
  int fd = open(path, O_RDONLY);
  ssize_t n = fd < 0 ? -1 : read(fd, buffer, sizeof buffer);
  if (n < 0) printf("%s: %s\n", path, errno_name(errno));
  else printf("%s: %.*s%s", path, (int)n, buffer, n > 0 && buffer[n - 1] == '\n' ? "" : "\n");
  if (fd >= 0) close(fd);
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

/* Names with type, mode, owner, device and link; all that is below as well. */
static void list(const char *directory) {
  struct dirent **entries;
  int count = scandir(directory, &entries, NULL, by_name);
  for (int i = 0; i < count; i++) {
    struct stat st;
    char path[4096], target[4096];
    if (strcmp(entries[i]->d_name, ".") == 0 || strcmp(entries[i]->d_name, "..") == 0) continue;
    snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
    if (lstat(path, &st) < 0) continue;
    printf("%s %06o %u:%u", path, st.st_mode, st.st_uid, st.st_gid);
    if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) printf(" device=%u:%u", major(st.st_rdev), minor(st.st_rdev));
    if (S_ISLNK(st.st_mode)) printf(" to=%.*s", (int)readlink(path, target, sizeof target), target);
    printf("\n");
    if (S_ISDIR(st.st_mode)) list(path);
  }
}

static void interfaces(void) {
  struct if_nameindex *all = if_nameindex();
  for (struct if_nameindex *each = all; each && each->if_index; each++) {
    static const char *const files[] = {"/sys/class/net/%s/mtu", "/sys/class/net/%s/flags", "/sys/class/net/%s/tx_queue_len"};
    char path[256];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
      snprintf(path, sizeof path, files[i], each->if_name);
      print_value(path);
    }
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", each->if_name);
    print_value(path);
  }
  print_file("/proc/net/route");
}

static void standard_streams(void) {
  for (int fd = 0; fd < 64; fd++) {
    char path[64], target[256];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0) continue;
    target[n] = 0;
    char *inode = strchr(target, '[');
    if (inode) *inode = 0;
    printf("%d %s flags=%o cloexec=%d\n", fd, target, fcntl(fd, F_GETFL) & ~02100000, fcntl(fd, F_GETFD));
  }
}

static void section(const char *name) { printf("=== %s\n", name); }

int probe_view(void) {
  struct utsname names;
  char cwd[4096];
  section("streams");
  standard_streams();
  section("status");
  print_file("/proc/self/status");
  section("environment");
  for (char **entry = environ; *entry; entry++) puts(*entry);
  section("names");
  uname(&names);
  printf("hostname %s\ndomainname %s\n", names.nodename, names.domainname);
  section("directory");
  puts(getcwd(cwd, sizeof cwd) ? cwd : errno_name(errno));
  section("limits");
  print_file("/proc/self/limits");
  section("process");
  printf("pid %d ppid %d session %d group %d\n", getpid(), getppid(), getsid(0), getpgrp());
  printf("nice %d personality %x dumpable %d\n", getpriority(PRIO_PROCESS, 0), personality(0xffffffff), prctl(PR_GET_DUMPABLE));
  int death = 0;
  prctl(PR_GET_PDEATHSIG, &death);
  printf("death-signal %d securebits %x keep-caps %d no-new-privileges %d subreaper\n", death, prctl(PR_GET_SECUREBITS), prctl(PR_GET_KEEPCAPS), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  print_value("/proc/self/oom_score_adj");
  print_value("/proc/self/timerslack_ns");
  print_value("/proc/self/coredump_filter");
  section("mounts");
  print_file("/proc/self/mountinfo");
  section("devices");
  list("/dev");
  section("cgroup");
  print_file("/proc/self/cgroup");
  section("hosts");
  print_file("/etc/hosts");
  section("hostname");
  print_file("/etc/hostname");
  section("resolv.conf");
  print_file("/etc/resolv.conf");
  section("interfaces");
  interfaces();
  section("sysctls");
  static const char *const sysctls[] = {
      "/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/net/ipv4/ping_group_range", "/proc/sys/net/ipv4/ip_forward",
      "/proc/sys/net/ipv6/conf/all/disable_ipv6", "/proc/sys/net/ipv6/conf/default/disable_ipv6", "/proc/sys/kernel/shmmax",
      "/proc/sys/kernel/msgmax", "/proc/sys/kernel/sem", "/proc/sys/fs/mqueue/msg_max", "/proc/sys/user/max_user_namespaces",
  };
  for (size_t i = 0; i < sizeof sysctls / sizeof *sysctls; i++) print_value(sysctls[i]);
  section("limits of the group");
  static const char *const groups[] = {
      "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes",
      "/sys/fs/cgroup/memory/memory.soft_limit_in_bytes", "/sys/fs/cgroup/memory/memory.swappiness",
      "/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/pids/pids.max",
      "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "/sys/fs/cgroup/cpu/cpu.shares",
      "/sys/fs/cgroup/cpuset/cpuset.cpus", "/sys/fs/cgroup/cpuset/cpuset.mems", "/sys/fs/cgroup/devices/devices.list",
      "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.swap.max", "/sys/fs/cgroup/memory.low",
      "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu.weight", "/sys/fs/cgroup/cpuset.cpus",
  };
  for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) print_value(groups[i]);
  return 0;
}
