/* See layer_diff.h. */
#define _GNU_SOURCE
#include "layer_diff.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "layer_make.h"
#include "util.h"
#include "wire.h"

/* A directory on the way to where we are. It is told of when something in it has changed, if not before. */
struct step {
  struct step *above;
  int parent;
  const char *name;
  size_t path_length;
  bool told;
};

static int tell(struct diff *diff, char kind, int parent, const char *name) { return diff->change(diff, kind, parent, name); }

/* Tells of the directories above, the topmost first. */
static int tell_above(struct diff *diff, struct step *step) {
  if (!step || step->told) return 0;
  if (tell_above(diff, step->above) < 0) return -1;
  step->told = true;
  char *end = diff->path.text + step->path_length, kept = *end;
  size_t length = diff->path.length;
  *end = 0;
  diff->path.length = step->path_length;
  int result = tell(diff, 'C', step->parent, step->name);
  diff->path.length = length;
  *end = kept;
  return result;
}

static ssize_t capability(int parent, const char *name, char *value, size_t size) {
  if (fchdir(parent) < 0) return -1;
  return lgetxattr(name, "security.capability", value, size);
}

static bool same_capability(int a, int b, const char *name) {
  char one[64], other[64];
  ssize_t n = capability(a, name, one, sizeof one), m = capability(b, name, other, sizeof other);
  if (n <= 0 || m <= 0) return n <= 0 && m <= 0;
  return n == m && memcmp(one, other, (size_t)n) == 0;
}

/* A file system may keep seconds only: then these decide. */
static bool same_time(struct timespec a, struct timespec b) {
  return a.tv_sec == b.tv_sec && (a.tv_nsec == b.tv_nsec || a.tv_nsec == 0 || b.tv_nsec == 0);
}

/* The size and time of a directory say nothing about it. */
static bool differs(const struct stat *a, const struct stat *b) {
  if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid || a->st_rdev != b->st_rdev) return true;
  return !S_ISDIR(a->st_mode) && (a->st_size != b->st_size || !same_time(a->st_mtim, b->st_mtim));
}

static int open_below(int parent, const char *name) {
  return parent < 0 ? -1 : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int diff_directory(struct diff *diff, int now, int before, bool through, struct step *above);

static int diff_below(struct diff *diff, int now, int before, const char *name, bool through, struct step *step) {
  cleanup_close int one = open_below(now, name);
  if (one < 0) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : fail("diff", "openat", diff->path.text);
  cleanup_close int other = open_below(before, name);
  return diff_directory(diff, one, other, through && !is_opaque(one), step);
}

static bool is_ignored(const struct diff *diff) {
  for (unsigned i = diff->ignore_from; diff->ignore && i < diff->ignore->count; i++)
    if (strcmp(op_text(diff->ignore, i), diff->path.text) == 0) return true;
  return false;
}

static int diff_entry(struct diff *diff, int now, int before, const char *name, bool through, struct step *above) {
  struct stat st, old;
  struct step step = {.above = above, .parent = now, .name = name, .path_length = diff->path.length};
  bool is_now = fstatat(now, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
  if (!is_now && errno != ENOENT) return fail("diff", "fstatat", diff->path.text);
  bool was = before >= 0 && fstatat(before, name, &old, AT_SYMLINK_NOFOLLOW) == 0;
  if (is_now && diff->upper && is_whiteout_at(now, name, &st)) is_now = false;
  if (!is_now) return !was ? 0 : tell_above(diff, above) < 0 ? -1 : tell(diff, 'D', now, name);
  bool ignored = !was && is_ignored(diff);
  if (ignored && !S_ISDIR(st.st_mode)) return 0;
  bool changed = !ignored && (!was || differs(&st, &old) || !same_capability(now, before, name));
  if (changed) {
    step.told = true;
    if (tell_above(diff, above) < 0 || tell(diff, was ? 'C' : 'A', now, name) < 0) return -1;
  }
  if (!S_ISDIR(st.st_mode)) return 0;
  /* Where there was something else before, all below is new. */
  return diff_below(diff, now, was && S_ISDIR(old.st_mode) ? before : -1, name, through, &step);
}

/* Goes through the names of both, in order, each once. */
static int diff_names(struct diff *diff, int now, int before, bool through, struct step *above, const struct name_list *a, const struct name_list *b) {
  size_t length = diff->path.length;
  for (size_t i = 0, j = 0; i < a->count || j < b->count;) {
    int order = i == a->count ? 1 : j == b->count ? -1 : strcmp(a->names[i], b->names[j]);
    const char *name = order <= 0 ? a->names[i] : b->names[j];
    if (order <= 0) i++;
    if (order >= 0) j++;
    if (path_push(&diff->path, name) < 0) return fail("diff", "malloc", name);
    if (diff_entry(diff, now, before, name, through, above) < 0) return -1;
    path_cut(&diff->path, length);
  }
  return 0;
}

static int diff_directory(struct diff *diff, int now, int before, bool through, struct step *above) {
  struct name_list a = {0}, b = {0};
  int result = list_names(now, &a);
  /* What an upper directory does not have is as it was. */
  if (result == 0 && before >= 0 && !through) result = list_names(before, &b);
  if (result < 0) result = fail("diff", "readdir", diff->path.text);
  else result = diff_names(diff, now, before, through, above, &a, &b);
  list_free(&a);
  list_free(&b);
  return result;
}

int diff_trees(struct diff *diff, int now, int before, bool upper) {
  memset(&diff->path, 0, sizeof diff->path);
  diff->upper = upper;
  if (path_push(&diff->path, "") < 0) return fail("diff", "malloc", "");
  int result = diff_directory(diff, now, before, upper && !is_opaque(now), NULL);
  free(diff->path.text);
  return result;
}
