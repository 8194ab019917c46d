/*
 * Puts the entries of one layer into a directory tree: the process's root directory is that tree. Every step goes through
 * the descriptor of the entry's parent, and parents that are symlinks are followed inside the root only.
 */
#ifndef TSC_LAYER_TREE_H
#define TSC_LAYER_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "layer_tar.h"

#define TREE_PATH_MAX 4096

struct id_range {
  uint32_t inside, outside, count;
};
struct name_set { /* Directory entries that this layer wrote: (directory's device and inode, name). */
  struct name_key *keys;
  size_t count, capacity;
  uint64_t seed;
};
struct directory_time {
  char *path;
  struct timespec times[2];
};

struct tree {
  /* Set by whoever opens it. */
  int root;
  bool overlay;             /* Whiteouts become what overlayfs reads; else they are carried out. */
  const char *opaque;       /* The extended attribute that makes a directory opaque. */
  bool ignore_owners;       /* Single-id user namespace: chown and mknod may be refused. */
  bool literal;             /* No layer but any archive: no whiteouts; a directory and anything else do not replace each other. */
  const char *prefix;       /* Literal: the directory, from the root, that the entries go into. */
  bool one_owner;           /* Literal: everything belongs to `owner_uid` and `owner_gid`. */
  uint32_t owner_uid, owner_gid;
  const struct id_range *uids, *gids;
  size_t uid_count, gid_count;

  /* Out: how much the files hold; what could not be kept, and is no failure. */
  uint64_t content_bytes, skipped_xattrs, skipped_devices;

  dev_t root_dev;
  ino_t root_ino;
  bool always_chmod; /* Default ACLs are about, so that a new file's mode is not what open was told. */
  int parent;
  bool parent_known, parent_setgid;
  dev_t parent_dev;
  ino_t parent_ino;
  char parent_path[TREE_PATH_MAX];
  struct name_set written;
  struct directory_time *times;
  size_t time_count, time_capacity;
  bool directory_removed;
};

int tree_open(struct tree *tree);
void tree_close(struct tree *tree);
/* Places one entry; takes a file's content from the reader. A directory made opaque is a fact of its own. 0, or -1 after fail(). */
int tree_place(struct tree *tree, struct tar_reader *reader, const struct tar_entry *entry);
/* Sets the times of directories, which writing into them has changed. 0, or -1 after fail(). */
int tree_finish(struct tree *tree);

/*
 * Makes tree->parent the directory of that path, with what is missing on the way. It stays open as long as the entries are
 * neighbours, which in a tar they mostly are. -1 with errno, for tree_fail_walk.
 */
int tree_use_parent(struct tree *tree, const char *path);
/* After something that may have been on its way was replaced. */
void tree_forget_parent(struct tree *tree);
/* Says why a directory could not be reached. Always -1. */
int tree_fail_walk(const char *path, const char *call);

/* Splits a clean path in place; the parent of a name at the top is "". */
const char *tree_split(char *path);

/* As fail(), with a reason in words: for what is wrong with the archive and not with the machine. Always -1. */
int tree_refuse(const char *stage, const char *path, const char *reason);
/* Fails with what the reader says: layer-parse, layer-limit, layer-decode or layer-read. Always -1. */
int tree_fail_reader(const struct tar_reader *reader, const char *path);

/* Lexical clean, as Go's path.Clean, but relative to the root: "" is the root. -1 when it leaves the root or is too long. */
int clean_path(const char *path, char out[TREE_PATH_MAX]);

#endif
