/* See files.h: the jobs that stream. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "files.h"
#include "layer_diff.h"
#include "layer_make.h"
#include "layer_tar.h"
#include "layer_tree.h"
#include "util.h"

/* ---- archive ---- */

static int finish_archive(struct maker *m, bool digest) {
  char hex[65] = "";
  if (make_finish(m) < 0) return -1;
  if (digest) sha256_final(&m->out.digest, hex);
  fact_json("done", "\"entries\":%llu,\"bytes\":%llu,\"tarBytes\":%llu,\"sha256\":\"%s\",\"skippedNames\":%llu", (unsigned long long)m->entries,
            (unsigned long long)m->content_bytes, (unsigned long long)m->out.bytes, hex, (unsigned long long)m->skipped_names);
  return 0;
}

int files_archive(const struct op *op) {
  char name[256];
  struct maker maker;
  if (files_confine(false) < 0) return -1;
  cleanup_close int parent = files_parent(op_text(op, 1), name);
  if (parent < 0) return fail("archive-open", "openat", op_text(op, 1));
  struct stat st;
  if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return fail("archive-open", "fstatat", op_text(op, 1));
  if (make_open(&maker, STDOUT_FILENO, false, false) < 0) return fail("archive-open", "malloc", op_text(op, 1));
  int result = make_add(&maker, parent, name, op_text(op, 2));
  if (result == 0) result = finish_archive(&maker, false);
  make_close(&maker);
  return result;
}

/* ---- extract ---- */

/* OWNERS: keep, ignore (all is ours), or UID:GID. */
static int read_owners(struct tree *tree, const char *text) {
  unsigned uid, gid;
  if (strcmp(text, "keep") == 0) return 0;
  if (strcmp(text, "ignore") == 0) {
    tree->ignore_owners = true;
    return 0;
  }
  if (sscanf(text, "%u:%u", &uid, &gid) != 2) {
    errno = EINVAL;
    return fail("files", "plan", text);
  }
  tree->one_owner = true;
  tree->owner_uid = uid;
  tree->owner_gid = gid;
  return 0;
}

static int extract_all(struct tree *tree, struct tar_reader *reader) {
  struct tar_entry entry;
  uint64_t entries = 0;
  int found;
  while ((found = tar_next(reader, &entry)) > 0) {
    entries++;
    if (tree_place(tree, reader, &entry) < 0) return -1;
  }
  if (found < 0) return tree_fail_reader(reader, "");
  if (tree_finish(tree) < 0 || tar_drain(reader) < 0) return -1;
  fact_json("done", "\"entries\":%llu,\"bytes\":%llu", (unsigned long long)entries, (unsigned long long)tree->content_bytes);
  return 0;
}

int files_extract(const struct op *op) {
  static struct tree tree;
  static char prefix[TREE_PATH_MAX];
  struct tar_reader reader;
  struct stat st;
  tree.literal = true;
  if (read_owners(&tree, op_text(op, 2)) < 0 || files_confine(false) < 0) return -1;
  /* "." is the target: where we could not make it our root, it still is where we are. */
  tree.root = open(op_text(op, 1)[0] == '/' ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (tree.root < 0 || tree_open(&tree) < 0) return fail("extract-open", "open", "/");
  if (op_text(op, 1)[0] == '/') {
    char name[256];
    cleanup_close int parent = files_parent(op_text(op, 1), name);
    if (parent < 0 || fstatat(parent, name, &st, 0) < 0) return fail("extract-open", "openat", op_text(op, 1));
    if (!S_ISDIR(st.st_mode)) {
      errno = ENOTDIR;
      return fail("extract-open", "openat", op_text(op, 1));
    }
    size_t length = strlen(op_text(op, 1));
    if (length >= sizeof prefix) {
      errno = ENAMETOOLONG;
      return fail("extract-open", "openat", op_text(op, 1));
    }
    strcpy(prefix, op_text(op, 1) + 1);
    while (length > 1 && prefix[length - 2] == '/') prefix[--length - 1] = 0;
    tree.prefix = prefix;
  }
  if (tar_open(&reader, STDIN_FILENO, UINT64_MAX) < 0) return fail("extract-open", "malloc", "");
  int result = extract_all(&tree, &reader);
  tar_close(&reader);
  tree_close(&tree);
  return result;
}

/* ---- layers, changes ---- */

static int open_directory(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) fail("layer-open", "open", path);
  return fd;
}

/* Into a directory, of which nothing leads out: the descriptors that we hold are those of trees that are to be read. */
static int enter_directory(int fd, const char *path) {
  if (fchdir(fd) < 0) return fail("layer-open", "fchdir", path);
  if (chroot(".") < 0) return fail("layer-open", "chroot", path);
  return files_confine(true);
}

static int layer_change(struct diff *diff, char kind, int parent, const char *name) {
  struct maker *m = diff->context;
  path_cut(&m->path, 0);
  if (path_push(&m->path, diff->path.text) < 0) return fail("layer-read", "malloc", name);
  return kind == 'D' ? make_whiteout(m) : make_one(m, parent, name);
}

int files_layer(const struct op *op) {
  struct maker maker;
  bool overlay = strcmp(op_text(op, 2), "overlay") == 0;
  cleanup_close int now = open_directory(op_text(op, 1));
  if (now < 0) return -1;
  cleanup_close int before = overlay ? -1 : open_directory(op_text(op, 2));
  if ((!overlay && before < 0) || enter_directory(now, op_text(op, 1)) < 0) return -1;
  if (make_open(&maker, STDOUT_FILENO, true, overlay) < 0) return fail("layer-open", "malloc", "");
  struct diff diff = {.change = layer_change, .context = &maker, .ignore = op, .ignore_from = 3};
  int result = overlay ? make_add(&maker, now, ".", "") : diff_trees(&diff, now, before, false);
  if (result == 0) result = finish_archive(&maker, true);
  make_close(&maker);
  return result;
}

static int tell_change(struct diff *diff, char kind, int parent, const char *name) {
  (void)parent;
  (void)name;
  char letter[2] = {kind, 0};
  fact("change", "kind", letter, "path", diff->path.text, NULL);
  return 0;
}

int files_changes(const struct op *op) {
  bool overlay = strcmp(op_text(op, 2), "overlay") == 0;
  cleanup_close int now = open_directory(op_text(op, 1));
  if (now < 0) return -1;
  cleanup_close int before = open_directory(op_text(op, 3));
  if (before < 0 || enter_directory(now, op_text(op, 1)) < 0) return -1;
  struct diff diff = {.change = tell_change, .ignore = op, .ignore_from = 4};
  if (diff_trees(&diff, now, before, overlay) < 0) return -1;
  fact("done", NULL);
  return 0;
}

/* ---- stay ---- */

int files_stay(const struct op *op) {
  char byte, text[32];
  (void)op;
  if (files_confine(false) < 0) return -1;
  int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
  if (write_all(STDOUT_FILENO, text, (size_t)length) < 0) return fail("files", "write", "stdout");
  while (RETRY_EINTR(read(STDIN_FILENO, &byte, 1)) > 0) continue;
  return 0;
}
