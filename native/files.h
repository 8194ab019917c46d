/* The jobs of mode `files`, each carried out when the process sees the files that it is to see, and nothing else. */
#ifndef TSC_FILES_H
#define TSC_FILES_H

#include "wire.h"

/* archive PATH AS: a tar archive of it on stdout. */
int files_archive(const struct op *op);
/* extract DIR OWNERS: the tar archive on stdin into that directory. */
int files_extract(const struct op *op);
/* layer DIR overlay|BEFORE IGNORED…: the layer that a directory is, on stdout; compared with another where it is no overlay's. */
int files_layer(const struct op *op);
/* changes DIR overlay|plain BEFORE IGNORED…: one fact for each; BEFORE is where what was before is mounted, or is. */
int files_changes(const struct op *op);

/* stay: says its process id on stdout, and is there for others to look in through /proc until stdin ends. */
int files_stay(const struct op *op);

/* Small things: stat, readdir, read, write, mkdir, rm. */
int files_stat(const struct op *op);
int files_readdir(const struct op *op);
int files_read(const struct op *op);
int files_write(const struct op *op);
int files_mkdir(const struct op *op);
int files_remove(const struct op *op);

/*
 * Opens the directory that a path lies in, as the root that we are in shows it, and splits off its last name; "." when the
 * path ends in a slash or "/.". -1 with errno.
 */
int files_parent(const char *path, char name[256]);
/* No privileges but those over files; with `attributes` also over trusted.* ones, which are overlayfs's. 0, or -1 after fail(). */
int files_confine(bool attributes);

#endif
