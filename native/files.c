/*
 * Mode `files`: reads or changes the files of a container, a layer or the host, in one job.
 *
 * Its parent is Node, which started it for this job alone and reads its facts on descriptor 4; it ends with the job, or
 * when Node goes. What it finds in a container is hostile. So it first goes where it is to work and cannot leave: into a
 * copy of the container's own mount namespace, or a new one in which the container's root is mounted as it is for a start.
 * From there no symbolic link, however it is swapped, leads to the host (CVE-2018-15664), and since this program is static,
 * nothing of what is found there is ever executed (CVE-2019-14271). Then it drops all privileges but those over files.
 *
 * Plan: where, then what. "hold" UPPER [WORK] (not while a container runs on that upper directory); "enter" PID START_TIME,
 * then "hide" PATH…, or "only-root" (without what is mounted on it); or the ops of a root file system, see rootfs.h, ended
 * by "pivot"; or "target" DIRECTORY of the host. Then a job, see files.h.
 */
#define _GNU_SOURCE
#include "files.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "layer_decode.h"
#include "modes.h"
#include "process.h"
#include "rootfs.h"
#include "util.h"

#define FACTS_FD 4
#define BIT(capability) (1ull << (capability))
/* glibc's <sys/mount.h> does not go together with <linux/mount.h> everywhere. */
#define MNT_DETACH_FLAG 2
#define UMOUNT_NOFOLLOW_FLAG 8

int files_confine(bool attributes) {
  uint64_t keep = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_MKNOD) | BIT(CAP_SETFCAP);
  if (attributes) keep |= BIT(CAP_SYS_ADMIN);
  (void)prctl(PR_SET_DUMPABLE, 0);
  if (drop_capabilities(keep) < 0) return fail("files", "capset", "");
  umask(0);
  /* A deep tree holds one descriptor per level. */
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
  }
  return 0;
}

int files_parent(const char *path, char name[256]) {
  char parent[4096];
  size_t length = strlen(path);
  if (length >= sizeof parent) {
    errno = ENAMETOOLONG;
    return -1;
  }
  const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
  bool whole = *base == 0 || strcmp(base, ".") == 0 || strcmp(base, "..") == 0;
  if (!whole && strlen(base) > 255) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(name, whole ? "." : base);
  size_t size = whole ? length : slash ? (size_t)(slash - path) : 0;
  memcpy(parent, path, size);
  parent[size] = 0;
  struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return root < 0 ? -1 : (int)syscall(SYS_openat2, root, *parent ? parent : "/", &how, sizeof how);
}

/* ---- where ---- */

static int make_private(void) {
  struct mount_attr attr = {.propagation = MS_PRIVATE};
  if (unshare(CLONE_NEWNS) < 0) return fail("files", "unshare", "mnt");
  if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof attr) < 0) return fail("files", "mount_setattr", "/");
  return 0;
}

/* enter PID START_TIME: pinned by a pidfd first and compared then, so that a reused pid is never entered. What we enter
 * is copied at once, so that nothing which is unmounted here is unmounted there. */
static int op_enter(const struct op *op) {
  pid_t pid = (pid_t)op_number(op, 1, 0);
  cleanup_close int target = (int)syscall(SYS_pidfd_open, pid, 0);
  if (target < 0) return fail("target", "pidfd_open", op_text(op, 1));
  if (process_start_time(pid) != op_number(op, 2, -2)) {
    errno = ESRCH;
    return fail("target", "pidfd_open", op_text(op, 1));
  }
  if (setns(target, CLONE_NEWNS) < 0) return fail("target", "setns", "mnt");
  return make_private();
}

static int op_hide(const struct op *op) {
  for (unsigned i = 1; i < op->count; i++)
    for (int stacked = 0; stacked < 16; stacked++) {
      if (syscall(SYS_umount2, op_text(op, i), MNT_DETACH_FLAG | UMOUNT_NOFOLLOW_FLAG) == 0) continue;
      if (errno != EINVAL && errno != ENOENT && errno != ENOTDIR && errno != ELOOP) return fail("files", "umount2", op_text(op, i));
      break;
    }
  return 0;
}

static int change_root(int fd, const char *what) {
  if (fchdir(fd) < 0) return fail("files", "fchdir", what);
  if (chroot(".") == 0) return 0;
  /* An ordinary user, on files of their own: every path is resolved below this directory all the same. */
  return errno == EPERM && geteuid() != 0 ? 0 : fail("files", "chroot", what);
}

static int op_only_root(void) {
  cleanup_close int tree = (int)syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  return tree < 0 ? fail("files", "open_tree", "/") : change_root(tree, "/");
}

static int op_target(const struct op *op) {
  cleanup_close int fd = open(op_text(op, 1), O_PATH | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? fail("files", "open", op_text(op, 1)) : change_root(fd, op_text(op, 1));
}

/* hold UPPER [WORK]: the monitor of a container that runs on this upper directory holds the same lock, for as long as it lives. */
static int op_hold(const struct op *op) {
  int fd = open(op_text(op, 1), O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* Held to the end. */
  if (fd < 0) return fail("files", "open", op_text(op, 1));
  if (flock(fd, LOCK_EX | LOCK_NB) < 0) return fail("files-busy", "flock", op_text(op, 1));
  if (*op_text(op, 2)) rootfs_forget_volatile(op_text(op, 2));
  return 0;
}

/* ---- what ---- */

static const struct {
  const char *name;
  int (*run)(const struct op *);
} jobs[] = {
    {"archive", files_archive}, {"extract", files_extract}, {"layer", files_layer},   {"changes", files_changes}, {"stat", files_stat},
    {"readdir", files_readdir}, {"read", files_read},       {"write", files_write},   {"mkdir", files_mkdir},     {"rm", files_remove},
    {"stay", files_stay},
};

static int run_job(const struct op *op) {
  /* From here on it may be fed. */
  fact("ready", NULL);
  for (size_t i = 0; i < countof(jobs); i++)
    if (op_is(op, jobs[i].name)) return jobs[i].run(op);
  errno = EINVAL;
  return fail("files", "plan", op_text(op, 0));
}

static int run_op(const struct op *op, struct rootfs *root, bool *mounted) {
  bool known = false;
  if (op_is(op, "enter")) return op_enter(op);
  if (op_is(op, "hide")) return op_hide(op);
  if (op_is(op, "only-root")) return op_only_root();
  if (op_is(op, "target")) return op_target(op);
  if (op_is(op, "hold")) return op_hold(op);
  if (!*mounted && strncmp(op_text(op, 0), "root-", 5) == 0) {
    if (make_private() < 0) return -1;
    *mounted = true;
  }
  /* Only a root that was mounted here is worked on; without one, the names of its ops are those of jobs. */
  if (*mounted && root->fd >= -1 && rootfs_op(root, op, &known) < 0) return -1;
  if (!known) return run_job(op);
  if (op_is(op, "pivot")) {
    close(root->fd);
    root->fd = -2; /* The rest are jobs. */
  }
  return 0;
}

int files_main(const struct plan *plan) {
  struct rootfs root = {.fd = -1};
  bool mounted = false;
  wire_open(FACTS_FD, false);
  (void)fcntl(FACTS_FD, F_SETFD, FD_CLOEXEC);
  for (size_t i = 0; i < plan->count; i++)
    if (run_op(&plan->ops[i], &root, &mounted) < 0) return 1;
  return 0;
}
