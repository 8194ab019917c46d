/* See layer_tree.h. */
#define _GNU_SOURCE
#include "layer_tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "layer_attributes.h"
#include "layer_walk.h"
#include "layer_whiteout.h"
#include "util.h"
#include "wire.h"

int tree_refuse(const char *stage, const char *path, const char *reason) {
  errno = EBADMSG;
  fact("error", "stage", stage, "syscall", "layer", "errno", "EBADMSG", "path", path, "reason", reason, NULL);
  return -1;
}

int tree_fail_reader(const struct tar_reader *reader, const char *path) {
  int saved = errno;
  if (!reader->reason) return fail("layer-read", "read", path);
  if (saved == EFBIG || saved == EIO) {
    const char *stage = saved == EIO ? "layer-decode" : "layer-limit";
    fact("error", "stage", stage, "syscall", "layer", "errno", errno_name(saved), "path", path, "reason", reader->reason, NULL);
    return -1;
  }
  return tree_refuse("layer-parse", path, reader->reason);
}

int clean_path(const char *path, char out[TREE_PATH_MAX]) {
  size_t used = 0;
  while (*path) {
    const char *end = strchrnul(path, '/');
    size_t length = (size_t)(end - path);
    if (length == 2 && path[0] == '.' && path[1] == '.') {
      if (used == 0) return -1;
      while (used > 0 && out[--used] != '/') continue;
    } else if (length > 1 || (length == 1 && path[0] != '.')) {
      if (used + 1 + length >= TREE_PATH_MAX) return -1;
      if (used > 0) out[used++] = '/';
      memcpy(out + used, path, length);
      used += length;
    }
    path = *end ? end + 1 : end;
  }
  out[used] = 0;
  return 0;
}

int tree_open(struct tree *tree) {
  struct stat st;
  if (fstat(tree->root, &st) < 0) return fail("layer-target", "fstat", "/");
  tree->root_dev = st.st_dev;
  tree->root_ino = st.st_ino;
  tree->parent = -1;
  tree->parent_known = false;
  /* A default ACL is inherited by what is made below it. In delete mode it may be anywhere. */
  tree->always_chmod = !tree->overlay || fgetxattr(tree->root, "system.posix_acl_default", NULL, 0) >= 0;
  /* Names are the archive's: without a seed it could choose them to collide. */
  if (getrandom(&tree->written.seed, sizeof tree->written.seed, GRND_NONBLOCK) < 0) tree->written.seed = 0;
  return 0;
}

void tree_forget_parent(struct tree *tree) {
  if (tree->parent >= 0) close(tree->parent);
  tree->parent = -1;
  tree->parent_known = false;
}

void tree_close(struct tree *tree) {
  tree_forget_parent(tree);
  for (size_t i = 0; i < tree->time_count; i++) free(tree->times[i].path);
  free(tree->times);
  tree->times = NULL;
  tree->time_count = 0;
  written_free(&tree->written);
}

int tree_use_parent(struct tree *tree, const char *path) {
  struct stat st;
  if (tree->parent_known && strcmp(tree->parent_path, path) == 0) return 0;
  tree_forget_parent(tree);
  int fd = walk(tree, path, true);
  if (fd < 0) return -1;
  tree->parent = fd;
  if (fstat(fd, &st) < 0) return -1;
  tree->parent_dev = st.st_dev;
  tree->parent_ino = st.st_ino;
  tree->parent_setgid = (st.st_mode & S_ISGID) != 0;
  strcpy(tree->parent_path, path);
  tree->parent_known = true;
  return 0;
}

int tree_fail_walk(const char *path, const char *what) {
  switch (errno) {
    case EXDEV:
      return tree_refuse("layer-path", path, "it leads out of the root through a symlink");
    case ENOTDIR:
      return tree_refuse("layer-path", path, "a parent of it is not a directory");
    case ELOOP:
      return tree_refuse("layer-path", path, "its parents are a loop of symlinks");
    case ENAMETOOLONG:
      return tree_refuse("layer-path", path, "its name is too long");
    case EEXIST:
      return tree_refuse("layer-path", path, "a parent of it is a symlink to nothing");
    default:
      return fail("layer-path", what, path);
  }
}

struct place {
  struct tree *tree;
  struct tar_reader *reader;
  const struct tar_entry *entry;
  const char *path; /* Clean, for messages. */
  const char *base; /* Its last name. */
  struct owner owner;
};

/* What is in the way goes, whole. A directory over a directory stays; the caller has seen to that. */
static int clear_way(struct place *p) {
  struct stat st;
  struct tree *tree = p->tree;
  if (fstatat(tree->parent, p->base, &st, AT_SYMLINK_NOFOLLOW) < 0) return errno == ENOENT ? 0 : fail("layer-replace", "fstatat", p->path);
  if (tree->literal && S_ISDIR(st.st_mode)) return tree_refuse("archive-replace", p->path, "cannot overwrite directory with non-directory");
  if (remove_all(tree->parent, p->base) < 0) return fail("layer-replace", "unlinkat", p->path);
  if (S_ISDIR(st.st_mode)) tree->directory_removed = true;
  /* The parent's own path may have led through it (a symlink to "." does): it is looked up anew for the next entry. */
  if (S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode)) tree->parent_known = false;
  return 0;
}

static bool needs_chown(const struct place *p) {
  return p->tree->parent_setgid || p->owner.uid != geteuid() || p->owner.gid != getegid();
}

static int write_at(struct place *p, int fd, const char *data, size_t length, uint64_t offset) {
  while (length > 0) {
    ssize_t n = RETRY_EINTR(pwrite(fd, data, length, (off_t)offset));
    if (n < 0) return fail("layer-write", "pwrite", p->path);
    data += n;
    length -= (size_t)n;
    offset += (uint64_t)n;
  }
  return 0;
}

static int write_sparse(struct place *p, int fd) {
  const struct tar_entry *entry = p->entry;
  size_t extent = 0;
  uint64_t into = 0; /* How far into the extent. */
  const char *data;
  ssize_t n;
  while ((n = tar_data(p->reader, &data)) > 0) {
    while (n > 0) {
      const struct tar_extent *e = &entry->extents[extent];
      uint64_t take = e->length - into < (uint64_t)n ? e->length - into : (uint64_t)n;
      if (write_at(p, fd, data, (size_t)take, e->offset + into) < 0) return -1;
      data += take;
      n -= (ssize_t)take;
      into += take;
      if (into == e->length) extent++, into = 0;
    }
  }
  if (n < 0) return tree_fail_reader(p->reader, p->path);
  return ftruncate(fd, (off_t)entry->size) < 0 ? fail("layer-write", "ftruncate", p->path) : 0;
}

static int write_plain(struct place *p, int fd) {
  const char *data;
  ssize_t n;
  while ((n = tar_data(p->reader, &data)) > 0)
    if (write_all(fd, data, (size_t)n) < 0) return fail("layer-write", "write", p->path);
  return n < 0 ? tree_fail_reader(p->reader, p->path) : 0;
}

static int place_file(struct place *p) {
  const struct tar_entry *entry = p->entry;
  struct timespec times[2];
  int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  cleanup_close int fd = openat(p->tree->parent, p->base, flags, entry->mode & 0777);
  if (fd < 0 && errno == EEXIST) {
    if (clear_way(p) < 0) return -1;
    fd = openat(p->tree->parent, p->base, flags, entry->mode & 0777);
  }
  if (fd < 0) return fail("layer-file", "openat", p->path);
  if ((entry->sparse ? write_sparse(p, fd) : write_plain(p, fd)) < 0) return -1;
  /* Owner before mode: chown clears setuid. Attributes after both: chown and writing clear capabilities. */
  if (needs_chown(p) && fchown(fd, p->owner.uid, p->owner.gid) < 0) return fail("layer-owner", "fchown", p->path);
  if ((p->tree->always_chmod || entry->mode & 07000) && fchmod(fd, entry->mode) < 0) return fail("layer-mode", "fchmod", p->path);
  if (set_xattrs(p->tree, fd, NULL, entry, p->path) < 0) return -1;
  times_of(entry, times);
  return futimens(fd, times) < 0 ? fail("layer-times", "futimens", p->path) : 0;
}

static int place_directory(struct place *p) {
  struct tree *tree = p->tree;
  const struct tar_entry *entry = p->entry;
  struct stat st;
  if (mkdirat(tree->parent, p->base, entry->mode & 0777) < 0) {
    if (errno != EEXIST) return fail("layer-directory", "mkdirat", p->path);
    if (fstatat(tree->parent, p->base, &st, AT_SYMLINK_NOFOLLOW) < 0) return fail("layer-directory", "fstatat", p->path);
    if (!S_ISDIR(st.st_mode) && tree->literal) return tree_refuse("archive-replace", p->path, "cannot overwrite non-directory with directory");
    if (!S_ISDIR(st.st_mode)) {
      /* What this layer had here before, whiteout or file, hid the lower layers' directory: that must stay so. */
      if (clear_way(p) < 0) return -1;
      if (mkdirat(tree->parent, p->base, entry->mode & 0777) < 0) return fail("layer-directory", "mkdirat", p->path);
      if (tree->overlay && make_opaque(tree, tree->parent, p->base) < 0) return fail("layer-opaque", "setxattr", p->path);
    }
  }
  if (fchownat(tree->parent, p->base, p->owner.uid, p->owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
    return fail("layer-owner", "fchownat", p->path);
  if (fchmodat(tree->parent, p->base, entry->mode, 0) < 0) return fail("layer-mode", "fchmodat", p->path);
  if (set_xattrs(tree, -1, p->base, entry, p->path) < 0) return -1;
  return set_times_later(tree, entry, p->path);
}

/* The root is there already, and stays what it is: a layer that replaces it by a symlink was CVE-2021-29136. */
static int place_root(struct tree *tree, const struct tar_entry *entry) {
  struct owner owner;
  if (entry->type != '5') return tree_refuse("layer-path", "/", "the root can only be a directory");
  if (tree->literal) return 0; /* What it is copied into stays as it is. */
  if (owner_of(tree, entry, "/", &owner) < 0) return -1;
  tree_forget_parent(tree);
  if (fchown(tree->root, owner.uid, owner.gid) < 0) return fail("layer-owner", "fchown", "/");
  if (fchmod(tree->root, entry->mode) < 0) return fail("layer-mode", "fchmod", "/");
  if (set_xattrs(tree, tree->root, NULL, entry, "/") < 0) return -1;
  return set_times_later(tree, entry, "");
}

const char *tree_split(char *path) {
  char *slash = strrchr(path, '/');
  if (!slash) {
    memmove(path + 1, path, strlen(path) + 1);
    path[0] = 0;
    return path + 1;
  }
  *slash = 0;
  return slash + 1;
}

/* Where a name in the archive is in the tree: "" is the root of the archive, which only for a layer is that of the tree. -1 when it leaves that. */
static int place_path(const struct tree *tree, const char *name, char out[TREE_PATH_MAX]) {
  char inside[TREE_PATH_MAX];
  if (!tree->literal || !tree->prefix || !*tree->prefix) return clean_path(name, out);
  if (clean_path(name, inside) < 0) return -1;
  if (!*inside) {
    out[0] = 0;
    return 0;
  }
  return snprintf(out, TREE_PATH_MAX, "%s/%s", tree->prefix, inside) >= TREE_PATH_MAX ? -1 : 0;
}

static int link_from(struct place *p, int from, const char *name) {
  if (linkat(from, name, p->tree->parent, p->base, 0) == 0) return 0;
  if (errno != EEXIST) return -1;
  struct stat a, b;
  /* A link to itself, or a name that is already that link: removing it first would lose the file. */
  if (fstatat(from, name, &a, AT_SYMLINK_NOFOLLOW) == 0 && fstatat(p->tree->parent, p->base, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
      a.st_dev == b.st_dev && a.st_ino == b.st_ino)
    return 0;
  if (clear_way(p) < 0) return 1;
  return linkat(from, name, p->tree->parent, p->base, 0);
}

static int place_link(struct place *p) {
  char target[TREE_PATH_MAX + 1];
  if (place_path(p->tree, p->entry->link, target) < 0) return tree_refuse("layer-path", p->path, "its hard link leaves the root");
  if (target[0] == 0) return tree_refuse("layer-path", p->path, "a hard link to the root is not possible");
  const char *name = tree_split(target);
  cleanup_close int from = walk(p->tree, target, false);
  if (from < 0) return errno == ENOENT ? tree_refuse("layer-path", p->path, "its hard link's target is not in this layer") : tree_fail_walk(p->path, "link");
  int result = link_from(p, from, name);
  if (result == 0) return 0;
  if (result > 0) return -1; /* Said already. */
  if (errno == ENOENT) return tree_refuse("layer-path", p->path, "its hard link's target is not in this layer");
  struct stat st;
  int saved = errno;
  if (saved == EPERM && fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
    return tree_refuse("layer-path", p->path, "a hard link to a directory is not possible");
  errno = saved;
  return fail("layer-link", "linkat", p->path);
}

static int make_node(struct place *p) {
  const struct tar_entry *entry = p->entry;
  int parent = p->tree->parent;
  switch (entry->type) {
    case '2':
      return symlinkat(entry->link, parent, p->base);
    case '3':
      return mknodat(parent, p->base, S_IFCHR | (entry->mode & 0777), makedev(entry->major, entry->minor));
    case '4':
      return mknodat(parent, p->base, S_IFBLK | (entry->mode & 0777), makedev(entry->major, entry->minor));
    default:
      return mknodat(parent, p->base, S_IFIFO | (entry->mode & 0777), 0);
  }
}

static int place_node(struct place *p) {
  struct tree *tree = p->tree;
  const struct tar_entry *entry = p->entry;
  const char *call = entry->type == '2' ? "symlinkat" : "mknodat";
  if (entry->type == '2' && (entry->link[0] == 0 || strlen(entry->link) >= TREE_PATH_MAX))
    return tree_refuse("layer-path", p->path, entry->link[0] ? "its target is too long" : "it is a symlink to nothing at all");
  int result = make_node(p);
  if (result < 0 && errno == EEXIST) {
    if (clear_way(p) < 0) return -1;
    result = make_node(p);
  }
  if (result < 0 && errno == EPERM && tree->ignore_owners && (entry->type == '3' || entry->type == '4')) {
    tree->skipped_devices++;
    return 0;
  }
  if (result < 0) return fail(entry->type == '2' ? "layer-symlink" : "layer-device", call, p->path);
  if (needs_chown(p) && fchownat(tree->parent, p->base, p->owner.uid, p->owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
    return fail("layer-owner", "fchownat", p->path);
  /* A symlink has no mode of its own. */
  if (entry->type != '2' && fchmodat(tree->parent, p->base, entry->mode, 0) < 0) return fail("layer-mode", "fchmodat", p->path);
  if (set_xattrs(tree, -1, p->base, entry, p->path) < 0) return -1;
  struct timespec times[2];
  times_of(entry, times);
  return utimensat(tree->parent, p->base, times, AT_SYMLINK_NOFOLLOW) < 0 ? fail("layer-times", "utimensat", p->path) : 0;
}

int tree_place(struct tree *tree, struct tar_reader *reader, const struct tar_entry *entry) {
  char path[TREE_PATH_MAX], parent[TREE_PATH_MAX + 1];
  struct place p = {.tree = tree, .reader = reader, .entry = entry, .path = path};
  if (place_path(tree, entry->name, path) < 0)
    return tree_refuse("layer-path", entry->name, strlen(entry->name) < TREE_PATH_MAX ? "it leaves the root" : "its name is too long");
  if (path[0] == 0) return place_root(tree, entry);
  strcpy(parent, path);
  p.base = tree_split(parent);
  if (strlen(p.base) > 255) return tree_refuse("layer-path", path, "its name is too long");
  if (!tree->literal && strncmp(p.base, ".wh.", 4) == 0) return place_whiteout(tree, parent, p.base);
  if (tree_use_parent(tree, parent) < 0) return tree_fail_walk(path, "openat");
  if (owner_of(tree, entry, path, &p.owner) < 0) return -1;

  int result = entry->type == '0' ? place_file(&p) : entry->type == '5' ? place_directory(&p) : entry->type == '1' ? place_link(&p) : place_node(&p);
  if (result < 0) return -1;
  /* As Docker counts: a symlink is as long as its target. */
  tree->content_bytes += entry->type == '0' ? entry->size : entry->type == '2' ? strlen(entry->link) : 0;
  if (!tree->overlay && !tree->literal && written_add(&tree->written, tree->parent_dev, tree->parent_ino, p.base) < 0) return fail("layer-whiteout", "malloc", path);
  return 0;
}
