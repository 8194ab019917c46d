/* See layer_whiteout.h. */
#define _GNU_SOURCE
#include "layer_whiteout.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "layer_walk.h"
#include "util.h"
#include "wire.h"

/*
 * A whiteout hides lower layers only (image-spec, layer.md, "Whiteouts"), and may come after an entry for the same path in
 * its own layer. So what this layer wrote stays, whatever the order.
 */
static int whiteout_overlay(struct tree *tree, const char *path, const char *name) {
  struct stat st;
  if (name == NULL) {
    tree_forget_parent(tree);
    cleanup_close int fd = walk(tree, path, true);
    if (fd < 0) return tree_fail_walk(path, "openat");
    return mark_opaque(tree, fd) < 0 ? fail("layer-opaque", "setxattr", path) : 0;
  }
  if (tree_use_parent(tree, path) < 0) return tree_fail_walk(path, "openat");
  if (fstatat(tree->parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno != ENOENT) return fail("layer-whiteout", "fstatat", path);
    return mknodat(tree->parent, name, S_IFCHR, makedev(0, 0)) < 0 ? fail("layer-whiteout", "mknodat", path) : 0;
  }
  if (!S_ISDIR(st.st_mode)) return 0;
  return make_opaque(tree, tree->parent, name) < 0 ? fail("layer-opaque", "setxattr", path) : 0;
}

static int whiteout_delete(struct tree *tree, const char *path, const char *name) {
  struct stat parent, child;
  cleanup_close int fd = walk(tree, path, false);
  if (fd < 0) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : tree_fail_walk(path, "openat");
  tree->directory_removed = true;
  tree_forget_parent(tree);
  if (name == NULL) return remove_unwritten(tree, fd, ".") < 0 ? fail("layer-whiteout", "unlinkat", path) : 0;
  if (fstat(fd, &parent) < 0) return fail("layer-whiteout", "fstat", path);
  if (!written_has(&tree->written, parent.st_dev, parent.st_ino, name))
    return remove_all(fd, name) < 0 ? fail("layer-whiteout", "unlinkat", path) : 0;
  if (fstatat(fd, name, &child, AT_SYMLINK_NOFOLLOW) < 0) return errno == ENOENT ? 0 : fail("layer-whiteout", "fstatat", path);
  if (!S_ISDIR(child.st_mode)) return 0;
  return remove_unwritten(tree, fd, name) < 0 ? fail("layer-whiteout", "unlinkat", path) : 0;
}

int place_whiteout(struct tree *tree, const char *parent, const char *base) {
  const char *name = base + 4;
  if (strcmp(base, ".wh..wh..opq") == 0) name = NULL;
  /* AUFS's own book-keeping (.wh..wh.plnk, .wh..wh.aufs): nothing of the image. */
  else if (strncmp(base, ".wh..wh.", 8) == 0) return 0;
  else if (*name == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
    return tree_refuse("layer-path", parent, "a whiteout names no entry, or its own directory");
  }
  return tree->overlay ? whiteout_overlay(tree, parent, name) : whiteout_delete(tree, parent, name);
}
