/* What differs between two trees, as `docker diff` says it: by mode, owner, device, size, time and capability. */
#ifndef TSC_LAYER_DIFF_H
#define TSC_LAYER_DIFF_H

#include <stdbool.h>

#include "layer_list.h"
#include "wire.h"

struct diff {
  /* `kind` is A, C or D; the path is that of the entry, which `name` in `parent` is unless it was deleted. 0 or -1. */
  int (*change)(struct diff *diff, char kind, int parent, const char *name);
  void *context;
  const struct op *ignore; /* Paths, from this field on, that do not count when they are new; NULL for none. */
  unsigned ignore_from;
  bool upper; /* Set by diff_trees, as the path. */
  struct long_path path;
};

/*
 * Compares the directory `now` with `before`. With `upper`, `now` is an overlay's upper directory: what it does not have
 * is as it was, unless a mark of overlayfs says that it is gone. Sorted by name; a directory in which something has
 * changed comes before that. 0, or -1 after fail().
 */
int diff_trees(struct diff *diff, int now, int before, bool upper);

#endif
