/*
 * Mode `probe`: what does this host allow? Started by Node when somebody asks for engine.features(), and gone a moment later.
 *
 * The only honest answer is to try. Each op is tried in a child of its own, in namespaces of its own, so that nothing of it is
 * left but the answer: a fact "probe" with "ok", or with the errno and the step that failed. A probe never fails as a whole.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "modes.h"
#include "rtnl.h"
#include "util.h"
#include "wire.h"

/* What a child says to its parent. */
struct answer {
  int error; /* 0: it works */
  char stage[40];
  char detail[80];
};

/* One step failed: notes which. Returns -1 as the step did. */
static int step(struct answer *answer, const char *stage) {
  answer->error = errno ? errno : EIO;
  snprintf(answer->stage, sizeof answer->stage, "%s", stage);
  return -1;
}

/* A user namespace in which we are root, for whoever is not root outside. */
static int become_root(struct answer *answer) {
  char map[64];
  uid_t uid = geteuid();
  gid_t gid = getegid();
  if (unshare(CLONE_NEWUSER) < 0) return step(answer, "unshare(CLONE_NEWUSER)");
  if (write_file(AT_FDCWD, "/proc/self/setgroups", "deny", 4) < 0 && errno != ENOENT) return step(answer, "setgroups");
  int n = snprintf(map, sizeof map, "0 %u 1", uid);
  if (write_file(AT_FDCWD, "/proc/self/uid_map", map, (size_t)n) < 0) return step(answer, "uid_map");
  n = snprintf(map, sizeof map, "0 %u 1", gid);
  if (write_file(AT_FDCWD, "/proc/self/gid_map", map, (size_t)n) < 0) return step(answer, "gid_map");
  return 0;
}

static int try_namespaces(const struct op *op, struct answer *answer) {
  static const struct { int flag; const char *name; } kinds[] = {
    {CLONE_NEWNS, "unshare(CLONE_NEWNS)"},   {CLONE_NEWPID, "unshare(CLONE_NEWPID)"}, {CLONE_NEWIPC, "unshare(CLONE_NEWIPC)"},
    {CLONE_NEWUTS, "unshare(CLONE_NEWUTS)"}, {CLONE_NEWNET, "unshare(CLONE_NEWNET)"},
  };
  (void)op;
  if (geteuid() != 0 && become_root(answer) < 0) return -1;
  for (size_t i = 0; i < countof(kinds); i++)
    if (unshare(kinds[i].flag) < 0) return step(answer, kinds[i].name);
  return 0;
}

static int try_user_namespace(const struct op *op, struct answer *answer) {
  (void)op;
  return become_root(answer);
}

/* overlay DIRECTORY: an empty directory of the store's, with lower, upper, work and merged in it. */
static int try_overlay(const struct op *op, struct answer *answer) {
  char options[2 * PATH_MAX];
  bool root = geteuid() == 0;
  if (chdir(op_text(op, 1)) < 0) return step(answer, "chdir");
  if (!root && become_root(answer) < 0) return -1;
  if (unshare(CLONE_NEWNS) < 0) return step(answer, "unshare(CLONE_NEWNS)");
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return step(answer, "mount(MS_PRIVATE)");
  snprintf(options, sizeof options, "lowerdir=lower,upperdir=upper,workdir=work%s", root ? "" : ",userxattr");
  if (mount("overlay", "merged", "overlay", 0, options) < 0) return step(answer, "mount(overlay)");
  /* A mount may succeed read-only where the upper directory's file system lacks what overlayfs needs. */
  if (unlink("merged/file") < 0) return step(answer, "whiteout");
  struct stat st;
  if (lstat("upper/file", &st) < 0) return step(answer, "whiteout");
  if (umount2("merged", MNT_DETACH) < 0) return step(answer, "umount");
  return 0;
}

/* reflink DIRECTORY: clones a file in it. */
static int try_reflink(const struct op *op, struct answer *answer) {
  cleanup_close int directory = open(op_text(op, 1), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return step(answer, "open");
  cleanup_close int from = openat(directory, "from", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  cleanup_close int to = openat(directory, "to", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (from < 0 || to < 0) return step(answer, "create");
  char block[4096] = {1};
  if (write_all(from, block, sizeof block) < 0) return step(answer, "write");
  if (ioctl(to, FICLONE, from) < 0) return step(answer, "ioctl(FICLONE)");
  return 0;
}

/* seccomp [PROGRAM]: loads the filter, or one that allows everything; then tries unshare(0), which is harmless. */
static int try_seccomp(const struct op *op, struct answer *answer) {
  static struct sock_filter allow[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  struct sock_fprog program = {countof(allow), allow};
  cleanup_free struct sock_filter *given = NULL;
  if (op->count > 1) {
    size_t size = op->fields[1].length;
    if (size == 0 || size % sizeof *given != 0) {
      errno = EINVAL;
      return step(answer, "program");
    }
    /* The plan's fields are not aligned. */
    given = malloc(size);
    if (!given) return step(answer, "malloc");
    memcpy(given, op_text(op, 1), size);
    program.len = (unsigned short)(size / sizeof *given);
    program.filter = given;
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return step(answer, "prctl(NO_NEW_PRIVS)");
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0) return step(answer, "seccomp");
  errno = 0;
  long result = syscall(SYS_unshare, 0);
  snprintf(answer->detail, sizeof answer->detail, "%s", result < 0 ? errno_name(errno) : "unfiltered");
  return 0;
}

static void put_link(struct rtnl *rtnl, const char *name, const char *kind) {
  struct ifinfomsg link = {.ifi_family = AF_UNSPEC};
  rtnl_request(rtnl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link, name);
  rtnl_put_text(rtnl, IFLA_IFNAME, name);
  size_t info = rtnl_begin(rtnl, IFLA_LINKINFO, NULL, 0);
  rtnl_put_text(rtnl, IFLA_INFO_KIND, kind);
  rtnl_end(rtnl, info);
}

/* Not in a user namespace of our own, where it nearly always works: bridges belong to the host. */
static int try_bridge(const struct op *op, struct answer *answer) {
  (void)op;
  if (unshare(CLONE_NEWNET) < 0) return step(answer, "unshare(CLONE_NEWNET)");
  struct rtnl rtnl;
  if (rtnl_open(&rtnl) < 0) return step(answer, "netlink");
  int failed = 0;
  static const char *const kinds[] = {"bridge", "veth"};
  for (size_t i = 0; i < countof(kinds) && !failed; i++) {
    put_link(&rtnl, i == 0 ? "probe0" : "probe1", kinds[i]);
    if (rtnl_send(&rtnl, "probe", 0) < 0) failed = step(answer, kinds[i]);
  }
  rtnl_close(&rtnl);
  return failed;
}

/* masquerade PROGRAM: nft makes the rule that bridges need, in a network namespace of its own. */
static int try_masquerade(const struct op *op, struct answer *answer) {
  static const char script[] =
    "table ip probe {\n chain postrouting {\n type nat hook postrouting priority 100\n ip saddr 10.0.0.0/8 masquerade\n }\n}\n";
  if (unshare(CLONE_NEWNET) < 0) return step(answer, "unshare(CLONE_NEWNET)");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return step(answer, "pipe");
  pid_t pid = fork();
  if (pid < 0) return step(answer, "fork");
  if (pid == 0) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (dup2(ends[0], 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0) _exit(126);
    execl(op_text(op, 1), "nft", "-f", "-", (char *)NULL);
    _exit(127);
  }
  close(ends[0]);
  int written = write_all(ends[1], script, sizeof script - 1);
  close(ends[1]);
  int status = 0;
  if (RETRY_EINTR(waitpid(pid, &status, 0)) < 0) return step(answer, "waitpid");
  if (written == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  snprintf(answer->detail, sizeof answer->detail, "nft exited with %d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  errno = EOPNOTSUPP;
  return step(answer, "nft");
}

struct probe {
  const char *name;
  int (*attempt)(const struct op *op, struct answer *answer);
  /* Needs a directory of its own below field 1, which is handed on instead. */
  bool directory;
};

static const struct probe probes[] = {
  {"namespaces", try_namespaces, false}, {"userNamespaces", try_user_namespace, false}, {"overlay", try_overlay, true},
  {"reflink", try_reflink, true},        {"seccomp", try_seccomp, false},               {"bridge", try_bridge, false},
  {"masquerade", try_masquerade, false},
};

/* In a child: whatever it does to itself ends with it. */
static void attempt(const struct probe *probe, const struct op *op, struct answer *answer) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) {
    step(answer, "pipe");
    return;
  }
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    /* Parts that are shared with other modes would report their failures as the whole job's. */
    wire_open(-1, false);
    probe->attempt(op, answer);
    _exit(write_all(ends[1], answer, sizeof *answer) < 0);
  }
  close(ends[1]);
  if (pid < 0) step(answer, "fork");
  else {
    struct answer said;
    if (read_all(ends[0], &said, sizeof said) == 0) *answer = said;
    else {
      errno = ECHILD;
      step(answer, "child");
    }
    RETRY_EINTR(waitpid(pid, NULL, 0));
  }
  close(ends[0]);
}

static const char *const inside[] = {"lower", "upper", "work", "merged"};

static int make_directory(char *path, size_t size, const char *parent) {
  snprintf(path, size, "%s/.probe-XXXXXX", parent);
  if (!mkdtemp(path)) return -1;
  cleanup_close int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return -1;
  for (size_t i = 0; i < countof(inside); i++)
    if (mkdirat(directory, inside[i], 0755) < 0) return -1;
  cleanup_close int file = openat(directory, "lower/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  return file < 0 ? -1 : 0;
}

/* overlayfs keeps whiteouts that it made in advance in its own directory, without a mode, below the work directory. */
static void empty_work(int directory) {
  (void)!fchmodat(directory, "work/work", 0700, 0);
  int fd = openat(directory, "work/work", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *list = fd < 0 ? NULL : fdopendir(fd);
  if (!list) {
    if (fd >= 0) close(fd);
    return;
  }
  for (struct dirent *entry; (entry = readdir(list)) != NULL;) unlinkat(fd, entry->d_name, 0);
  closedir(list);
}

/* Everything that any probe makes in its directory. */
static void remove_directory(const char *path) {
  cleanup_close int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  static const char *const made[] = {"lower/file", "upper/file", "from", "to"};
  for (size_t i = 0; i < countof(made); i++) unlinkat(directory, made[i], 0);
  empty_work(directory);
  unlinkat(directory, "work/work", AT_REMOVEDIR);
  for (size_t i = 0; i < countof(inside); i++) unlinkat(directory, inside[i], AT_REMOVEDIR);
  rmdir(path);
}

static void run_probe(const struct probe *probe, const struct op *op) {
  struct answer answer;
  memset(&answer, 0, sizeof answer);
  char path[PATH_MAX];
  struct field fields[2];
  struct op own = *op;
  if (probe->directory) {
    if (make_directory(path, sizeof path, op_text(op, 1)) < 0) step(&answer, "mkdir");
    fields[0] = op->fields[0];
    fields[1] = (struct field){path, (uint32_t)strlen(path)};
    own = (struct op){2, fields};
  }
  if (answer.error == 0) attempt(probe, &own, &answer);
  if (probe->directory) remove_directory(path);
  if (answer.error == 0) fact("probe", "name", probe->name, "ok", "1", "detail", answer.detail, NULL);
  else fact("probe", "name", probe->name, "errno", errno_name(answer.error), "stage", answer.stage, "detail", answer.detail, NULL);
}

int probe_main(const struct plan *plan) {
  for (size_t i = 0; i < plan->count; i++)
    for (size_t k = 0; k < countof(probes); k++)
      if (op_is(&plan->ops[i], probes[k].name)) run_probe(&probes[k], &plan->ops[i]);
  return 0;
}
