/* See files.h: the jobs on one file. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "files.h"
#include "layer_list.h"
#include "layer_walk.h"
#include "util.h"

static const char *type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "file";
    case S_IFDIR:
      return "directory";
    case S_IFLNK:
      return "symlink";
    case S_IFCHR:
      return "character";
    case S_IFBLK:
      return "block";
    case S_IFIFO:
      return "fifo";
    default:
      return "socket";
  }
}

static int fail_at(const char *call, const struct op *op) { return fail("fs", call, op_text(op, 1)); }

/* stat PATH follow|link */
int files_stat(const struct op *op) {
  char name[256], target[4097];
  struct stat st;
  if (files_confine(false) < 0) return -1;
  cleanup_close int parent = files_parent(op_text(op, 1), name);
  if (parent < 0) return fail_at("stat", op);
  if (fstatat(parent, name, &st, strcmp(op_text(op, 2), "follow") == 0 ? 0 : AT_SYMLINK_NOFOLLOW) < 0) return fail_at("stat", op);
  if (S_ISLNK(st.st_mode)) {
    ssize_t n = readlinkat(parent, name, target, sizeof target - 1);
    if (n < 0) return fail_at("readlink", op);
    target[n] = 0;
    fact("link", "target", target, NULL);
  }
  fact_json("stat", "\"type\":\"%s\",\"mode\":%u,\"uid\":%u,\"gid\":%u,\"size\":%lld,\"mtimeSeconds\":%lld,\"mtimeNanoseconds\":%ld,\"links\":%llu,\"inode\":%llu,\"major\":%u,\"minor\":%u",
            type_of(st.st_mode), st.st_mode & 07777, st.st_uid, st.st_gid, (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
            (unsigned long long)st.st_nlink, (unsigned long long)st.st_ino, major(st.st_rdev), minor(st.st_rdev));
  return 0;
}

/* readdir PATH */
int files_readdir(const struct op *op) {
  struct name_list list;
  struct stat st;
  if (files_confine(false) < 0) return -1;
  cleanup_close int fd = open(op_text(op, 1), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || list_names(fd, &list) < 0) return fail_at("readdir", op);
  for (size_t i = 0; i < list.count; i++)
    if (fstatat(fd, list.names[i], &st, AT_SYMLINK_NOFOLLOW) == 0) fact("entry", "name", list.names[i], "type", type_of(st.st_mode), NULL);
  list_free(&list);
  return 0;
}

static int copy_out(int fd) {
  char buffer[65536];
  for (;;) {
    ssize_t n = RETRY_EINTR(sendfile(STDOUT_FILENO, fd, NULL, 1u << 30));
    if (n == 0) return 0;
    if (n > 0) continue;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    n = RETRY_EINTR(read(fd, buffer, sizeof buffer));
    if (n <= 0) return (int)n;
    if (write_all(STDOUT_FILENO, buffer, (size_t)n) < 0) return -1;
  }
}

/* A fifo must not make us wait, and a device is nothing to be read as a file. */
static int open_regular(const char *path, int flags, mode_t mode) {
  struct stat st;
  int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, mode);
  if (fd < 0) return -1;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) return fd;
  close(fd);
  errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
  return -1;
}

/* read PATH */
int files_read(const struct op *op) {
  if (files_confine(false) < 0) return -1;
  cleanup_close int fd = open_regular(op_text(op, 1), O_RDONLY, 0);
  if (fd < 0) return fail_at("open", op);
  if (copy_out(fd) < 0) return fail_at("read", op);
  fact("done", NULL);
  return 0;
}

/* write PATH replace|append|create MODE [UID GID]: what comes on stdin. Mode and owner are those of a new file; given, they are set. */
int files_write(const struct op *op) {
  char buffer[65536];
  const char *how = op_text(op, 2);
  int flags = O_WRONLY | O_CREAT | (strcmp(how, "append") == 0 ? O_APPEND : strcmp(how, "create") == 0 ? O_EXCL : O_TRUNC);
  if (files_confine(false) < 0) return -1;
  cleanup_close int fd = open_regular(op_text(op, 1), flags, (mode_t)op_number(op, 3, 0644));
  if (fd < 0) return fail_at("open", op);
  for (ssize_t n; (n = RETRY_EINTR(read(STDIN_FILENO, buffer, sizeof buffer))) != 0;) {
    if (n < 0) return fail("fs", "read", "stdin");
    if (write_all(fd, buffer, (size_t)n) < 0) return fail_at("write", op);
  }
  if (op->count > 4 && *op_text(op, 4) && fchown(fd, (uid_t)op_number(op, 4, 0), (gid_t)op_number(op, 5, 0)) < 0) return fail_at("chown", op);
  if (*op_text(op, 3) && fchmod(fd, (mode_t)op_number(op, 3, 0644)) < 0) return fail_at("chmod", op);
  fact("done", NULL);
  return 0;
}

/* mkdir PATH MODE parents|alone */
int files_mkdir(const struct op *op) {
  char path[4096];
  mode_t mode = (mode_t)op_number(op, 2, 0755);
  bool parents = strcmp(op_text(op, 3), "parents") == 0;
  struct stat st;
  if (files_confine(false) < 0) return -1;
  if (snprintf(path, sizeof path, "%s", op_text(op, 1)) >= (int)sizeof path) {
    errno = ENAMETOOLONG;
    return fail_at("mkdir", op);
  }
  for (char *slash = path; parents && (slash = strchr(slash + 1, '/'));) {
    *slash = 0;
    if (mkdir(path, 0755) < 0 && errno != EEXIST) return fail_at("mkdir", op);
    *slash = '/';
  }
  if (mkdir(path, mode) < 0) {
    bool there = parents && errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (!there) {
      errno = parents && errno == EEXIST ? ENOTDIR : errno;
      return fail_at("mkdir", op);
    }
  }
  fact("done", NULL);
  return 0;
}

/* rm PATH recursive|alone force|strict */
int files_remove(const struct op *op) {
  char name[256];
  bool recursive = strcmp(op_text(op, 2), "recursive") == 0, force = strcmp(op_text(op, 3), "force") == 0;
  struct stat st;
  if (files_confine(false) < 0) return -1;
  cleanup_close int parent = files_parent(op_text(op, 1), name);
  bool gone = parent < 0 || fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0;
  if (gone && !(force && (errno == ENOENT || errno == ENOTDIR))) return fail_at("rm", op);
  if (!gone && strcmp(name, ".") == 0) {
    errno = EINVAL;
    return fail_at("rm", op);
  }
  if (!gone && S_ISDIR(st.st_mode) && !recursive) {
    errno = EISDIR;
    return fail_at("rm", op);
  }
  if (!gone && remove_all(parent, name) < 0) return fail_at("rm", op);
  fact("done", NULL);
  return 0;
}
