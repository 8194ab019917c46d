/* What is refused: paths of the kernel to read and to write, device nodes to make and to open. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "probe.h"

static const char *const paths[] = {
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
    "/proc/timer_list", "/proc/timer_stats", "/sys/firmware", "/sys/devices/virtual/powercap", "/proc/interrupts",
    "/sys/devices/system/cpu/cpu0/thermal_throttle", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/vm/drop_caches",
    "/proc/sys/kernel/modprobe", "/proc/self/oom_score_adj", "/proc/self/attr/current", "/proc/1/environ", "/proc/self/uid_map",
    "/proc/self/setgroups", "/proc/kmsg", "/proc/kallsyms", "/proc/config.gz", "/proc/modules", "/proc/key-users",
    "/proc/slabinfo", "/proc/vmallocinfo", "/proc/pagetypeinfo", "/proc/iomem", "/proc/ioports", "/proc/mtrr",
    "/sys/kernel/mm/ksm/run", "/sys/kernel/debug", "/sys/kernel/security", "/sys/fs/cgroup", "/sys/fs/cgroup/cgroup.procs",
    "/sys/fs/cgroup/memory/cgroup.procs", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/pids/pids.max",
    "/sys/module", "/sys/class/net", "/dev/mem", "/dev/kmsg", "/dev/fuse", "/dev/null", "/dev/full", "/dev/tty", "/dev/ptmx",
    "/dev/console", "/dev/shm", "/dev/mqueue", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab",
};

/* A directory counts as read when it has an entry; a file when there is a byte in it. */
static void look(const char *path) {
  char byte;
  struct stat st;
  if (stat(path, &st) < 0) {
    printf("%s %s\n", path, errno_name(errno));
    return;
  }
  printf("%s %06o", path, st.st_mode);
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  printf(" read=%s", fd < 0 ? errno_name(errno) : "ok");
  if (fd >= 0 && S_ISREG(st.st_mode)) {
    ssize_t n = read(fd, &byte, 1);
    printf(":%s", n < 0 ? errno_name(errno) : n == 0 ? "empty" : "bytes");
  }
  if (fd >= 0) close(fd);
  if (S_ISDIR(st.st_mode)) {
    char inside[512];
    snprintf(inside, sizeof inside, "%s/.probe", path);
    fd = open(inside, O_CREAT | O_WRONLY, 0600);
    printf(" create=%s", fd < 0 ? errno_name(errno) : "ok");
    if (fd >= 0) {
      close(fd);
      unlink(inside);
    }
  } else {
    fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY);
    printf(" write=%s", fd < 0 ? errno_name(errno) : "ok");
    if (fd >= 0) close(fd);
  }
  printf("\n");
}

static void node(const char *what, mode_t type, unsigned int major_number, unsigned int minor_number) {
  char path[64];
  snprintf(path, sizeof path, "/tmp/node-%u-%u", major_number, minor_number);
  int made = mknod(path, type | 0600, makedev(major_number, minor_number)) == 0 ? 0 : errno;
  printf("%s %u:%u mknod=%s", what, major_number, minor_number, errno_name(made));
  if (made == 0) {
    int fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY);
    printf(" open=%s", errno_name(fd < 0 ? errno : 0));
    if (fd >= 0) close(fd);
    unlink(path);
  }
  printf("\n");
}

int probe_access(void) {
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) look(paths[i]);
  node("null", S_IFCHR, 1, 3);
  node("zero", S_IFCHR, 1, 5);
  node("full", S_IFCHR, 1, 7);
  node("random", S_IFCHR, 1, 8);
  node("urandom", S_IFCHR, 1, 9);
  node("mem", S_IFCHR, 1, 1);
  node("kmsg", S_IFCHR, 1, 11);
  node("tty", S_IFCHR, 5, 0);
  node("console", S_IFCHR, 5, 1);
  node("ptmx", S_IFCHR, 5, 2);
  node("pts", S_IFCHR, 136, 0);
  node("tty0", S_IFCHR, 4, 0);
  node("ttyS0", S_IFCHR, 4, 64);
  node("tun", S_IFCHR, 10, 200);
  node("fuse", S_IFCHR, 10, 229);
  node("kvm", S_IFCHR, 10, 232);
  node("loop-control", S_IFCHR, 10, 237);
  node("loop0", S_IFBLK, 7, 0);
  node("vda", S_IFBLK, 254, 0);
  node("sda", S_IFBLK, 8, 0);
  printf("remount / %s\n", errno_name(mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0 ? errno : 0));
  printf("unmount /proc %s\n", errno_name(umount2("/proc", MNT_DETACH) < 0 ? errno : 0));
  printf("mount tmpfs %s\n", errno_name(mount("none", "/tmp", "tmpfs", 0, NULL) < 0 ? errno : 0));
  return 0;
}
