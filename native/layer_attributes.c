/* See layer_attributes.h. */
#define _GNU_SOURCE
#include "layer_attributes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "layer_walk.h"
#include "util.h"
#include "wire.h"

static bool map_id(const struct id_range *ranges, size_t count, uint32_t id, uint32_t *out) {
  if (count == 0) {
    *out = id;
    return true;
  }
  for (size_t i = 0; i < count; i++)
    if (id >= ranges[i].inside && id - ranges[i].inside < ranges[i].count) {
      *out = ranges[i].outside + (id - ranges[i].inside);
      return true;
    }
  return false;
}

int owner_of(const struct tree *tree, const struct tar_entry *entry, const char *path, struct owner *owner) {
  if (tree->ignore_owners) {
    *owner = (struct owner){geteuid(), getegid()};
    return 0;
  }
  if (tree->one_owner) {
    *owner = (struct owner){tree->owner_uid, tree->owner_gid};
    return 0;
  }
  if (map_id(tree->uids, tree->uid_count, entry->uid, &owner->uid) && map_id(tree->gids, tree->gid_count, entry->gid, &owner->gid)) return 0;
  errno = EOVERFLOW;
  return fail("layer-owner", "chown", path);
}

/* overlayfs's own attributes would let a layer redirect directories and forge metadata; only this program sets them. */
static bool is_overlay_xattr(const char *name) {
  return strncmp(name, "trusted.overlay.", 16) == 0 || strncmp(name, "user.overlay.", 13) == 0;
}

int set_xattrs(struct tree *tree, int fd, const char *base, const struct tar_entry *entry, const char *path) {
  for (size_t i = 0; i < entry->xattr_count; i++) {
    const struct tar_xattr *xattr = &entry->xattrs[i];
    if (is_overlay_xattr(xattr->name)) {
      tree->skipped_xattrs++;
      continue;
    }
    if (strcmp(xattr->name, "system.posix_acl_default") == 0) tree->always_chmod = true;
    /* The kernel has no *at form before 6.13: by name it goes through the working directory, which is then the parent. */
    if (fd < 0 && fchdir(tree->parent) < 0) return fail("layer-xattr", "fchdir", path);
    int result = fd >= 0 ? fsetxattr(fd, xattr->name, xattr->value, xattr->length, 0)
                         : lsetxattr(base, xattr->name, xattr->value, xattr->length, 0);
    if (result == 0) continue;
    if (errno != ENOTSUP && errno != EPERM) return fail("layer-xattr", "setxattr", path);
    tree->skipped_xattrs++;
  }
  return 0;
}

void times_of(const struct tar_entry *entry, struct timespec times[2]) {
  static const struct timespec epoch;
  times[1] = entry->mtime.tv_sec < 0 ? epoch : entry->mtime;
  times[0] = entry->atime;
  if (times[0].tv_sec < times[1].tv_sec || (times[0].tv_sec == times[1].tv_sec && times[0].tv_nsec < times[1].tv_nsec)) times[0] = times[1];
}

int set_times_later(struct tree *tree, const struct tar_entry *entry, const char *path) {
  if (tree->time_count == tree->time_capacity) {
    size_t capacity = tree->time_capacity ? tree->time_capacity * 2 : 256;
    struct directory_time *grown = reallocarray(tree->times, capacity, sizeof *grown);
    if (!grown) return fail("layer-times", "malloc", path);
    tree->times = grown;
    tree->time_capacity = capacity;
  }
  struct directory_time *time = &tree->times[tree->time_count];
  time->path = strdup(path);
  if (!time->path) return fail("layer-times", "malloc", path);
  times_of(entry, time->times);
  tree->time_count++;
  return 0;
}

int tree_finish(struct tree *tree) {
  /* In the archive's order: the last entry of a path is the one that counts. Setting one time changes no other. */
  for (size_t i = 0; i < tree->time_count; i++) {
    struct directory_time *time = &tree->times[i];
    struct stat st;
    if (time->path[0] == 0) {
      if (futimens(tree->root, time->times) < 0) return fail("layer-times", "futimens", "/");
      continue;
    }
    char parent[TREE_PATH_MAX + 1];
    strcpy(parent, time->path);
    const char *base = tree_split(parent);
    if (!tree->parent_known || strcmp(tree->parent_path, parent) != 0) {
      tree_forget_parent(tree);
      int fd = walk(tree, parent, false);
      if (fd < 0 && tree->directory_removed) continue; /* It was there once, and a later entry took it away. */
      if (fd < 0) return fail("layer-times", "openat", time->path);
      tree->parent = fd;
      strcpy(tree->parent_path, parent);
      tree->parent_known = true;
    }
    if (tree->directory_removed && (fstatat(tree->parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))) continue;
    if (utimensat(tree->parent, base, time->times, AT_SYMLINK_NOFOLLOW) < 0) return fail("layer-times", "utimensat", time->path);
  }
  return 0;
}
