/*
 * Makes an archive of a directory tree: sorted, with hard links, extended attributes, devices; sockets are left out.
 * With `upper`, the tree is an overlay's upper directory and its marks become whiteouts (image-spec, layer.md).
 */
#ifndef TSC_LAYER_MAKE_H
#define TSC_LAYER_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "layer_list.h"
#include "layer_out.h"

struct maker {
  struct tar_out out;
  bool upper;
  struct long_path path; /* Of the entry, in the archive. */
  struct seen_link *links;
  size_t link_count, link_capacity;
  struct out_xattr *xattrs;
  size_t xattr_capacity;
  char *values;
  size_t values_capacity;
  uint64_t entries, content_bytes;
  uint64_t skipped_names; /* Files called .wh.…: in a layer that means something else. */
};

int make_open(struct maker *m, int fd, bool hash, bool upper);
void make_close(struct maker *m);
/*
 * Adds what `name` in `parent` is, with all below it where it is a directory, under `as` in the archive. "" is the
 * top of the archive, without an entry of its own. 0, or -1 after fail().
 */
int make_add(struct maker *m, int parent, const char *name, const char *as);
/* Adds one entry alone, under m->path. 0, or -1 after fail(). */
int make_one(struct maker *m, int parent, const char *name);
/* Adds the whiteout of m->path. 0, or -1 after fail(). */
int make_whiteout(struct maker *m);
/* Ends the archive. 0, or -1 after fail(). */
int make_finish(struct maker *m);

/* Whether it is overlayfs's mark that lower layers' entry of that name is deleted. */
bool is_whiteout_at(int parent, const char *name, const struct stat *st);
/* Whether an open directory of an upper hides all that lower layers have in it. */
bool is_opaque(int directory);

#endif
