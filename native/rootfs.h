/* Ops that build the container's root file system, carried out inside its new mount namespace, before pivot_root. */
#ifndef TSC_ROOTFS_H
#define TSC_ROOTFS_H

#include <stdbool.h>

#include "wire.h"

/* The source of a bind that was opened ahead of its turn. */
struct early_bind {
  const struct op *op;
  int tree;
};

struct rootfs {
  int fd; /* the root mount; every target is resolved inside it */
  struct early_bind early[64];
  unsigned early_count;
};

/* Opens what has to be opened before the mounts of the host are cut off. 0, or -1 after fail(). */
int rootfs_early(struct rootfs *root, const struct plan *plan);

/* Carries out op if it is one of ours and sets *known; 0, or -1 after fail(). */
int rootfs_op(struct rootfs *root, const struct op *op, bool *known);
/* mkdir -p inside the current root, as the current user sees it. */
int make_directories(int root, const char *path, unsigned mode);

/*
 * Takes away what the kernel leaves of a volatile mount in its work directory, so that nobody mounts it again unawares:
 * here it was unmounted in order, and whoever asks holds the lock of the upper directory.
 */
void rootfs_forget_volatile(const char *work);

#endif
