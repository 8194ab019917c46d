/* Owners, extended attributes and times of what a layer has placed. */
#ifndef TSC_LAYER_ATTRIBUTES_H
#define TSC_LAYER_ATTRIBUTES_H

#include "layer_tree.h"

struct owner {
  uint32_t uid, gid;
};

/* Whom the entry belongs to in the tree. 0, or -1 after fail(). */
int owner_of(const struct tree *tree, const struct tar_entry *entry, const char *path, struct owner *owner);
/*
 * fd: the open file, or -1 and it is done by name. Attributes that this file system or this process may not keep are
 * counted and left out, as Docker does.
 */
int set_xattrs(struct tree *tree, int fd, const char *base, const struct tar_entry *entry, const char *path);
/* Docker keeps no time before 1970, and an access time that is no older than the modification. */
void times_of(const struct tar_entry *entry, struct timespec times[2]);
/* For a directory, whose time would not last: tree_finish sets it. */
int set_times_later(struct tree *tree, const struct tar_entry *entry, const char *path);

#endif
