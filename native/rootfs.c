/*
 * See rootfs.h. Runs in the container's first process, which still is the helper: in the new mount namespace, in which
 * everything has been made private, so that nothing mounted here is seen outside.
 *
 * Every path inside the container is resolved by openat2(RESOLVE_IN_ROOT) on the root mount: links in the image are
 * followed as the container would follow them, and never lead out. Mounts are made detached and then moved onto the
 * opened target, so no path is looked up twice.
 */
#define _GNU_SOURCE
#include "rootfs.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "process.h"
#include "util.h"

/* glibc's <sys/mount.h> and <linux/mount.h> do not go together on every Debian: the few of the former's that we need. */
#define MNT_DETACH_FLAG 2

static int sys_open_tree(int dir, const char *path, unsigned flags) { return (int)syscall(SYS_open_tree, dir, path, flags); }
static int sys_move_mount(int from, int to) {
  return (int)syscall(SYS_move_mount, from, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}
static int sys_mount_setattr(int fd, unsigned flags, struct mount_attr *attr) {
  return (int)syscall(SYS_mount_setattr, fd, "", flags | AT_EMPTY_PATH, attr, sizeof *attr);
}

static int open_in(int root, const char *path, uint64_t flags) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  return (int)syscall(SYS_openat2, root, *path ? path : "/", &how, sizeof how);
}

/* The parent directory of path inside root, opened, and the last name of path. */
static int open_parent(int root, const char *path, const char **name) {
  char parent[4096];
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/') length--;
  const char *slash = memrchr(path, '/', length);
  *name = slash ? slash + 1 : path;
  size_t size = slash ? (size_t)(slash - path) : 0;
  if (size >= sizeof parent) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(parent, path, size);
  parent[size] = 0;
  return open_in(root, parent, O_PATH | O_DIRECTORY);
}

static int make_directories_by(int root, const char *path, unsigned mode, int links);

/* The name is there and yet cannot be opened: a link that dangles. What it leads to is made, as the container would see it. */
static int make_link_target(int root, int parent, const char *name, const char *part, unsigned mode, int links) {
  char target[4096], path[8192];
  ssize_t n = readlinkat(parent, name, target, sizeof target - 1);
  if (n < 0) return -1;
  target[n] = 0;
  size_t above = strlen(part) - strlen(name);
  int length = target[0] == '/' ? snprintf(path, sizeof path, "%s", target) : snprintf(path, sizeof path, "%.*s%s", (int)above, part, target);
  if (length >= (int)sizeof path || links == 0) {
    errno = ELOOP;
    return -1;
  }
  return make_directories_by(root, path, mode, links - 1);
}

static int make_directories_by(int root, const char *path, unsigned mode, int links) {
  char part[4096];
  size_t length = strlen(path);
  if (length >= sizeof part) {
    errno = ENAMETOOLONG;
    return -1;
  }
  for (size_t at = 1; at <= length; at++) {
    if (path[at] != '/' && path[at] != 0) continue;
    memcpy(part, path, at);
    part[at] = 0;
    cleanup_close int there = open_in(root, part, O_PATH | O_DIRECTORY);
    if (there >= 0) continue;
    if (errno != ENOENT) return -1;
    const char *name;
    cleanup_close int parent = open_parent(root, part, &name);
    if (parent < 0) return -1;
    if (mkdirat(parent, name, mode) == 0) continue;
    if (errno != EEXIST || make_link_target(root, parent, name, part, mode, links) < 0) return -1;
  }
  return 0;
}

int make_directories(int root, const char *path, unsigned mode) { return make_directories_by(root, path, mode, 10); }

/* mkdir of the last name in a parent that is there, which is nearly always so: opened. -1 with errno otherwise. */
static int make_last(int root, const char *path) {
  const char *name;
  cleanup_close int parent = open_parent(root, path, &name);
  if (parent < 0 || mkdirat(parent, name, 0755) < 0) return -1;
  return openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int make_file(int root, const char *path) {
  char parent_path[4096];
  const char *slash = strrchr(path, '/'), *name;
  size_t size = slash ? (size_t)(slash - path) : 0;
  if (size >= sizeof parent_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(parent_path, path, size);
  parent_path[size] = 0;
  if (size > 0 && make_directories(root, parent_path, 0755) < 0) return -1;
  cleanup_close int parent = open_parent(root, path, &name);
  if (parent < 0) return -1;
  cleanup_close int file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  return file < 0 ? -1 : open_in(root, path, O_PATH);
}

static int find_target(int root, const char *path, char create) {
  int fd = open_in(root, path, O_PATH);
  if (fd >= 0 || errno != ENOENT) return fd;
  if (create == 'f') return make_file(root, path);
  if (create != 'd') return -1;
  fd = make_last(root, path);
  if (fd >= 0) return fd;
  /* A parent is missing too, or a link dangles: step by step. */
  return make_directories(root, path, 0755) < 0 ? -1 : open_in(root, path, O_PATH);
}

/*
 * Opens a mount target; creates what is missing: 'd' a directory, 'f' an empty file, anything else nothing.
 *
 * Nothing is laid over the container's /proc, by whatever links that was reached: what is written there later, by whoever
 * enters, has to reach the kernel (CVE-2015-3631, CVE-2019-16884, CVE-2025-52881). Errors are EPERM. But for what says how
 * much there is of everything, which others put files of their own over, as runc permits.
 */
static int open_target(int root, const char *path, char create) {
  static const char *const harmless[] = {"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat",   "/proc/swaps",
                                         "/proc/uptime",  "/proc/loadavg",   "/proc/slabinfo", "/proc/net/dev"};
  cleanup_close int fd = find_target(root, path, create);
  struct statfs st;
  if (fd < 0 || fstatfs(fd, &st) < 0) return -1;
  bool permitted = st.f_type != PROC_SUPER_MAGIC;
  for (size_t i = 0; i < countof(harmless); i++) permitted = permitted || strcmp(path, harmless[i]) == 0;
  if (!permitted) {
    errno = EPERM;
    return -1;
  }
  int found = fd;
  fd = -1;
  return found;
}

/* --- new file systems --- */

/* What the kernel said about the last refused option. */
static void explain(int fs, char *text, size_t size) {
  ssize_t n = read(fs, text, size - 1);
  text[n > 0 ? n : 0] = 0;
  if (n > 0 && text[n - 1] == '\n') text[n - 1] = 0;
}

static int fs_option(int fs, const char *key, const char *value) {
  if (value) return (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0);
  return (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, key, NULL, 0);
}

/* "mode=755,size=65536k,ro": split in place. */
static int fs_options(int fs, char *options) {
  for (char *save, *word = strtok_r(options, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
    char *value = strchr(word, '=');
    if (value) *value++ = 0;
    if (fs_option(fs, word, value) < 0) return -1;
  }
  return 0;
}

static int fs_mount(int fs, unsigned attributes) {
  if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) return -1;
  return (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
}

/* mount TYPE SOURCE TARGET ATTRIBUTES OPTIONS */
static int op_mount(struct rootfs *root, const struct op *op) {
  const char *type = op_text(op, 1), *target = op_text(op, 3);
  char options[1024], said[256];
  cleanup_close int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
  if (fs < 0) return fail("mount", "fsopen", type);
  snprintf(options, sizeof options, "%s", op_text(op, 5));
  if (*op_text(op, 2)) (void)fs_option(fs, "source", op_text(op, 2));
  if (fs_options(fs, options) < 0) return fail("mount", "fsconfig", target);
  cleanup_close int mount = fs_mount(fs, (unsigned)op_number(op, 4, 0));
  if (mount < 0) {
    int saved = errno;
    explain(fs, said, sizeof said);
    errno = saved;
    return fail("mount", "fsmount", *said ? said : target);
  }
  cleanup_close int where = open_target(root->fd, target, 'd');
  if (where < 0) return fail("mount", "open", target);
  if (sys_move_mount(mount, where) < 0) return fail("mount", "move_mount", target);
  return 0;
}

/* --- the root itself --- */

/* Whatever the kernel's defaults are, what is above must say all by itself, since layers are made of it: a directory that was
 * moved is copied, and so is content whose owner was changed; and what is above may be looked at while it is mounted. A
 * kernel that knows none of this does none of it. */
static void overlay_plain(int fs) {
  static const char *const off[] = {"redirect_dir", "metacopy", "index"};
  for (size_t i = 0; i < countof(off); i++) (void)fs_option(fs, off[i], "off");
}

/* An overlay file system, not yet attached. From field `at` on: BASE UPPER WORK OPTIONS; the lowers, relative to BASE and
 * topmost first, begin at field `lower`. Without UPPER it is read-only. */
static int overlay(const char *stage, const struct op *op, unsigned at, unsigned lower) {
  const char *base = op_text(op, at), *upper = op_text(op, at + 1);
  char options[256], said[256];
  if (chdir(base) < 0) return fail(stage, "chdir", base);
  cleanup_close int fs = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
  if (fs < 0) return fail(stage, "fsopen", "overlay");
  (void)fs_option(fs, "source", "overlay");
  snprintf(options, sizeof options, "%s", op_text(op, at + 3));
  if (fs_options(fs, options) < 0) return fail(stage, "fsconfig", options);
  overlay_plain(fs);
  /* One string per layer (Linux 6.7): no page-sized limit on all of them together. */
  for (unsigned i = lower; i < op->count; i++)
    if (fs_option(fs, "lowerdir+", op_text(op, i)) < 0) {
      if (i > lower || errno != EINVAL) return fail(stage, "fsconfig", op_text(op, i));
      /* Older kernels know only the colon-separated list; the layers' short relative names keep it short. */
      size_t length = 1;
      for (unsigned k = lower; k < op->count; k++) length += strlen(op_text(op, k)) + 1;
      cleanup_free char *list = calloc(1, length);
      if (!list) return fail(stage, "malloc", "");
      for (unsigned k = lower; k < op->count; k++) {
        if (k > lower) strcat(list, ":");
        strcat(list, op_text(op, k));
      }
      if (fs_option(fs, "lowerdir", list) < 0) return fail(stage, "fsconfig", "lowerdir");
      break;
    }
  if (*upper) {
    if (fs_option(fs, "upperdir", upper) < 0) return fail(stage, "fsconfig", upper);
    if (fs_option(fs, "workdir", op_text(op, at + 2)) < 0) return fail(stage, "fsconfig", op_text(op, at + 2));
  }
  int mount = fs_mount(fs, 0);
  if (mount >= 0) return mount;
  int saved = errno;
  explain(fs, said, sizeof said);
  errno = saved;
  return fail(stage, "fsmount", *said ? said : base);
}

/* root-overlay MOUNTPOINT BASE UPPER WORK OPTIONS LOWER… */
static int op_root_overlay(struct rootfs *root, const struct op *op) {
  const char *mountpoint = op_text(op, 1);
  root->fd = overlay("root", op, 2, 6);
  if (root->fd < 0) return -1;
  if (syscall(SYS_move_mount, root->fd, "", AT_FDCWD, mountpoint, MOVE_MOUNT_F_EMPTY_PATH) < 0) return fail("root", "move_mount", mountpoint);
  return 0;
}

/* overlay TARGET ATTRIBUTES SUBPATH BASE UPPER WORK OPTIONS LOWER…: layers at a path of the container, or with SUBPATH
 * what is there in them, found as the container would find it. */
static int op_overlay(struct rootfs *root, const struct op *op) {
  const char *target = op_text(op, 1), *subpath = op_text(op, 3);
  struct mount_attr attr = {.attr_set = (uint64_t)op_number(op, 2, 0), .propagation = MS_PRIVATE};
  cleanup_close int whole = overlay("mount", op, 4, 8);
  if (whole < 0) return -1;
  cleanup_close int inside = *subpath ? open_in(whole, subpath, O_PATH) : -1;
  if (*subpath && inside < 0) return fail("mount", "open", subpath);
  cleanup_close int part = *subpath ? sys_open_tree(inside, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH) : -1;
  if (*subpath && part < 0) return fail("mount", "open_tree", subpath);
  int mount = *subpath ? part : whole;
  if (sys_mount_setattr(mount, 0, &attr) < 0) return fail("mount", "mount_setattr", target);
  struct stat st;
  if (fstat(mount, &st) < 0) return fail("mount", "fstat", target);
  cleanup_close int where = open_target(root->fd, target, S_ISDIR(st.st_mode) ? 'd' : 'f');
  if (where < 0) return fail("mount", "open", target);
  if (sys_move_mount(mount, where) < 0) return fail("mount", "move_mount", target);
  return 0;
}

void rootfs_forget_volatile(const char *work) {
  char path[4096];
  static const char *const names[] = {"work/incompat/volatile/dirty", "work/incompat/volatile", "work/incompat"};
  for (size_t i = 0; i < countof(names); i++)
    if (snprintf(path, sizeof path, "%s/%s", work, names[i]) < (int)sizeof path) (void)remove(path);
}

/* root-bind MOUNTPOINT DIRECTORY */
static int op_root_bind(struct rootfs *root, const struct op *op) {
  root->fd = sys_open_tree(AT_FDCWD, op_text(op, 2), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (root->fd < 0) return fail("root", "open_tree", op_text(op, 2));
  if (syscall(SYS_move_mount, root->fd, "", AT_FDCWD, op_text(op, 1), MOVE_MOUNT_F_EMPTY_PATH) < 0) return fail("root", "move_mount", op_text(op, 1));
  return 0;
}

/* --- binds --- */

static unsigned long propagation_of(const char *word) {
  if (strcmp(word, "shared") == 0) return MS_SHARED;
  return strcmp(word, "slave") == 0 ? MS_SLAVE : MS_PRIVATE;
}

/* What is to go on hearing of the host's mounts must be cloned while this namespace does so itself: sources are opened
 * before everything here is made private. */
int rootfs_early(struct rootfs *root, const struct plan *plan) {
  for (size_t i = 0; i < plan->count; i++) {
    const struct op *op = &plan->ops[i];
    if (!op_is(op, "bind") || propagation_of(op_text(op, 7)) == MS_PRIVATE) continue;
    if (root->early_count == countof(root->early)) {
      errno = E2BIG;
      return fail("bind", "open_tree", op_text(op, 1));
    }
    unsigned recursive = op_number(op, 4, 0) ? AT_RECURSIVE : 0;
    int tree = sys_open_tree(AT_FDCWD, op_text(op, 1), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive);
    if (tree < 0) return fail("bind", "open_tree", op_text(op, 1));
    root->early[root->early_count++] = (struct early_bind){op, tree};
  }
  return 0;
}

static int source_tree(struct rootfs *root, const struct op *op, unsigned recursive) {
  for (unsigned i = 0; i < root->early_count; i++)
    if (root->early[i].op == op) return root->early[i].tree;
  return sys_open_tree(AT_FDCWD, op_text(op, 1), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive);
}

/* bind SOURCE TARGET ATTRIBUTES RECURSIVE(0|1) CREATE(d|f|a|-) DEEP(0|1) PROPAGATION  SOURCE is the host's. With DEEP the
 * attributes are those of the mounts below, too. */
static int op_bind(struct rootfs *root, const struct op *op) {
  const char *source = op_text(op, 1), *target = op_text(op, 2);
  struct mount_attr attr = {.attr_set = (uint64_t)op_number(op, 3, 0), .propagation = propagation_of(op_text(op, 7))};
  unsigned recursive = op_number(op, 4, 0) ? AT_RECURSIVE : 0, deep = op_number(op, 6, 0) ? recursive : 0;
  cleanup_close int tree = source_tree(root, op, recursive);
  if (tree < 0) return fail("bind", "open_tree", source);
  if (attr.attr_set && deep != recursive) {
    struct mount_attr top = {.attr_set = attr.attr_set};
    if (sys_mount_setattr(tree, 0, &top) < 0) return fail("bind", "mount_setattr", target);
    attr.attr_set = 0;
  }
  if (sys_mount_setattr(tree, recursive, &attr) < 0) return fail("bind", "mount_setattr", target);
  struct stat st;
  if (fstat(tree, &st) < 0) return fail("bind", "fstat", source);
  char create = op_text(op, 5)[0];
  if (create == 'a') create = S_ISDIR(st.st_mode) ? 'd' : 'f';
  cleanup_close int where = open_target(root->fd, target, create);
  if (where < 0) return fail("bind", "open", target);
  if (sys_move_mount(tree, where) < 0) return fail("bind", "move_mount", target);
  return 0;
}

/* bind-of PID START_TIME SOURCE TARGET ATTRIBUTES: a mount of another container's, by way of its mount namespace: that of
 * a process which began then, so a reused pid is never taken for it. */
static int op_bind_of(struct rootfs *root, const struct op *op) {
  const char *source = op_text(op, 3), *target = op_text(op, 4);
  pid_t pid = (pid_t)op_number(op, 1, 0);
  struct mount_attr attr = {.attr_set = (uint64_t)op_number(op, 5, 0), .propagation = MS_PRIVATE};
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
  cleanup_close int theirs = open(path, O_RDONLY | O_CLOEXEC), ours = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (theirs < 0 || ours < 0) return fail("bind-of", "open", path);
  if (process_start_time(pid) != op_number(op, 2, -2)) {
    errno = ESRCH;
    return fail("bind-of", "open", path);
  }
  /* In there somebody may be waiting for us: nobody traces, and nobody opens what we hold. */
  int dumpable = prctl(PR_GET_DUMPABLE);
  (void)prctl(PR_SET_DUMPABLE, 0);
  if (setns(theirs, CLONE_NEWNS) < 0) return fail("bind-of", "setns", path);
  cleanup_close int tree = sys_open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
  int saved = errno;
  if (setns(ours, CLONE_NEWNS) < 0) return fail("bind-of", "setns", "/proc/self/ns/mnt");
  (void)prctl(PR_SET_DUMPABLE, dumpable);
  errno = saved;
  if (tree < 0) return fail("bind-of", "open_tree", source);
  if (sys_mount_setattr(tree, 0, &attr) < 0) return fail("bind-of", "mount_setattr", target);
  cleanup_close int where = open_target(root->fd, target, 'd');
  if (where < 0) return fail("bind-of", "open", target);
  return sys_move_mount(tree, where) < 0 ? fail("bind-of", "move_mount", target) : 0;
}

/* readonly PATH: where something is mounted, that becomes read-only; elsewhere a bind of the path on itself, with
 * everything below. Not there: nothing to protect. */
static int op_readonly(struct rootfs *root, const struct op *op) {
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
  cleanup_close int where = open_in(root->fd, op_text(op, 1), O_PATH);
  if (where < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : fail("readonly", "open", op_text(op, 1));
  if (sys_mount_setattr(where, 0, &attr) == 0) return 0;
  if (errno != EINVAL) return fail("readonly", "mount_setattr", op_text(op, 1));
  cleanup_close int tree = sys_open_tree(where, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
  if (tree < 0) return fail("readonly", "open_tree", op_text(op, 1));
  if (sys_mount_setattr(tree, AT_RECURSIVE, &attr) < 0) return fail("readonly", "mount_setattr", op_text(op, 1));
  if (sys_move_mount(tree, where) < 0) return fail("readonly", "move_mount", op_text(op, 1));
  return 0;
}

static int new_empty_directory(void) {
  cleanup_close int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
  if (fs < 0) return -1;
  (void)fs_option(fs, "source", "tmpfs");
  return fs_mount(fs, MOUNT_ATTR_RDONLY);
}

/* An empty, read-only directory to lay over others: one file system however many there are, where the kernel clones
 * mounts that are not attached (Linux 6.15). */
static int empty_directory(void) {
  static int empty = -1;
  if (empty < 0) empty = new_empty_directory();
  int clone = empty < 0 ? -1 : sys_open_tree(empty, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  return clone >= 0 ? clone : new_empty_directory();
}

/* mask PATH…: files become /dev/null, directories empty and read-only. */
static int op_mask(struct rootfs *root, const struct op *op) {
  for (unsigned i = 1; i < op->count; i++) {
    const char *path = op_text(op, i);
    cleanup_close int where = open_in(root->fd, path, O_PATH);
    if (where < 0) {
      if (errno == ENOENT || errno == ENOTDIR) continue;
      return fail("mask", "open", path);
    }
    struct stat st;
    if (fstat(where, &st) < 0) return fail("mask", "fstat", path);
    cleanup_close int cover = -1;
    if (S_ISDIR(st.st_mode)) {
      cover = empty_directory();
    } else {
      cleanup_close int null = open_in(root->fd, "/dev/null", O_PATH);
      if (null < 0) return fail("mask", "open", "/dev/null");
      /* CVE-2025-31133: with something else in its place, that would be laid over the host's kernel interfaces. */
      if (fstat(null, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) {
        errno = ENODEV;
        return fail("mask", "fstat", "/dev/null");
      }
      cover = sys_open_tree(null, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    }
    if (cover < 0) return fail("mask", "open_tree", path);
    if (sys_move_mount(cover, where) < 0) return fail("mask", "move_mount", path);
  }
  return 0;
}

/* --- files --- */

/* mkdir PATH MODE */
static int op_mkdir(struct rootfs *root, const struct op *op) {
  if (make_directories(root->fd, op_text(op, 1), (unsigned)op_number(op, 2, 0755)) < 0) return fail("mkdir", "mkdirat", op_text(op, 1));
  return 0;
}

/* mknod PATH (c|b) MAJOR MINOR MODE UID GID; replaces nothing. */
static int op_mknod(struct rootfs *root, const struct op *op) {
  const char *name;
  cleanup_close int parent = open_parent(root->fd, op_text(op, 1), &name);
  if (parent < 0) return fail("mknod", "open", op_text(op, 1));
  mode_t mode = (mode_t)op_number(op, 5, 0666), type = op_text(op, 2)[0] == 'b' ? S_IFBLK : S_IFCHR;
  dev_t device = makedev((unsigned)op_number(op, 3, 0), (unsigned)op_number(op, 4, 0));
  if (mknodat(parent, name, type | mode, device) < 0) return fail("mknod", "mknodat", op_text(op, 1));
  /* After the umask had its say. */
  if (fchmodat(parent, name, mode, 0) < 0) return fail("mknod", "fchmodat", op_text(op, 1));
  uid_t uid = (uid_t)op_number(op, 6, 0);
  gid_t gid = (gid_t)op_number(op, 7, 0);
  if ((uid || gid) && fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0) return fail("mknod", "fchownat", op_text(op, 1));
  return 0;
}

/* symlink TARGET PATH */
static int op_symlink(struct rootfs *root, const struct op *op) {
  const char *name;
  cleanup_close int parent = open_parent(root->fd, op_text(op, 2), &name);
  if (parent < 0) return fail("symlink", "open", op_text(op, 2));
  if (symlinkat(op_text(op, 1), parent, name) < 0 && errno != EEXIST) return fail("symlink", "symlinkat", op_text(op, 2));
  return 0;
}

/* root-readonly: the root mount alone, what is mounted on it keeps its own way. */
static int op_root_readonly(struct rootfs *root, const struct op *op) {
  (void)op;
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
  if (sys_mount_setattr(root->fd, 0, &attr) < 0) return fail("root", "mount_setattr", "/");
  return 0;
}

/* pivot: the old root is stacked below the new one and then let go of: no path leads back. */
static int op_pivot(struct rootfs *root, const struct op *op) {
  (void)op;
  if (fchdir(root->fd) < 0) return fail("pivot-root", "fchdir", "");
  if (syscall(SYS_pivot_root, ".", ".") < 0) return fail("pivot-root", "pivot_root", "");
  if (syscall(SYS_umount2, ".", MNT_DETACH_FLAG) < 0) return fail("pivot-root", "umount2", "");
  if (chdir("/") < 0) return fail("pivot-root", "chdir", "/");
  close(root->fd);
  root->fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return root->fd < 0 ? fail("pivot-root", "open", "/") : 0;
}

int rootfs_op(struct rootfs *root, const struct op *op, bool *known) {
  static const struct {
    const char *name;
    int (*run)(struct rootfs *, const struct op *);
  } ops[] = {
      {"root-overlay", op_root_overlay}, {"root-bind", op_root_bind}, {"root-readonly", op_root_readonly},
      {"mount", op_mount},               {"bind", op_bind},           {"overlay", op_overlay},
      {"readonly", op_readonly},         {"bind-of", op_bind_of},
      {"mask", op_mask},                 {"mkdir", op_mkdir},         {"mknod", op_mknod},
      {"symlink", op_symlink},           {"pivot", op_pivot},
  };
  for (size_t i = 0; i < countof(ops); i++)
    if (op_is(op, ops[i].name)) {
      *known = true;
      return ops[i].run(root, op);
    }
  *known = false;
  return 0;
}
