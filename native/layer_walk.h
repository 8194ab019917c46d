/* The file-system half of the layer mode: finding directories inside the root, and removing trees. */
#ifndef TSC_LAYER_WALK_H
#define TSC_LAYER_WALK_H

#include "layer_tree.h"

/*
 * Opens (O_PATH) the directory that `path` names, symlinks followed inside the root. -1 with errno; EXDEV when a symlink
 * leads out by "..". With `create`, missing directories are made (0755, root), and in delete mode every name on the way is
 * remembered as written by this layer.
 */
int walk(struct tree *tree, const char *path, bool create);

/* Removes name and everything below it. 0 also when there is nothing; -1 with errno. */
int remove_all(int parent, const char *name);
/* Removes what is below the directory, but nothing that this layer wrote. */
int remove_unwritten(struct tree *tree, int parent, const char *name);

/* Makes a directory (O_PATH will do) opaque: what lower layers have in it is hidden. Told as a fact. Moves the working directory. */
int mark_opaque(struct tree *tree, int fd);
int make_opaque(struct tree *tree, int parent, const char *name);

int written_add(struct name_set *set, dev_t dev, ino_t ino, const char *name);
void written_free(struct name_set *set);
bool written_has(const struct name_set *set, dev_t dev, ino_t ino, const char *name);

#endif
