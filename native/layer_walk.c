/* See layer_walk.h. */
#define _GNU_SOURCE
#include "layer_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "util.h"
#include "wire.h"

#define LINKS_MAX 40 /* As the kernel. */

/* ---- the set of written names ---- */

struct name_key {
  char *name; /* NULL: free. */
  dev_t dev;
  ino_t ino;
};

static uint64_t hash_name(const struct name_set *set, dev_t dev, ino_t ino, const char *name) {
  uint64_t h = set->seed ^ (uint64_t)ino * 0x9e3779b97f4a7c15u ^ (uint64_t)dev;
  for (; *name; name++) h = (h ^ (unsigned char)*name) * 0x100000001b3u;
  return h ^ h >> 29;
}

static struct name_key *find_name(const struct name_set *set, dev_t dev, ino_t ino, const char *name) {
  size_t at = hash_name(set, dev, ino, name) & (set->capacity - 1);
  for (;; at = (at + 1) & (set->capacity - 1)) {
    struct name_key *key = &set->keys[at];
    if (!key->name || (key->ino == ino && key->dev == dev && strcmp(key->name, name) == 0)) return key;
  }
}

bool written_has(const struct name_set *set, dev_t dev, ino_t ino, const char *name) {
  return set->capacity > 0 && find_name(set, dev, ino, name)->name != NULL;
}

int written_add(struct name_set *set, dev_t dev, ino_t ino, const char *name) {
  if (set->count * 2 >= set->capacity) {
    struct name_set grown = {.capacity = set->capacity ? set->capacity * 2 : 1024, .count = set->count, .seed = set->seed};
    grown.keys = calloc(grown.capacity, sizeof *grown.keys);
    if (!grown.keys) return -1;
    for (size_t i = 0; i < set->capacity; i++) {
      struct name_key *key = &set->keys[i];
      if (key->name) *find_name(&grown, key->dev, key->ino, key->name) = *key;
    }
    free(set->keys);
    *set = grown;
  }
  struct name_key *key = find_name(set, dev, ino, name);
  if (key->name) return 0;
  char *copy = strdup(name);
  if (!copy) return -1;
  *key = (struct name_key){copy, dev, ino};
  set->count++;
  return 0;
}

void written_free(struct name_set *set) {
  for (size_t i = 0; i < set->capacity; i++) free(set->keys[i].name);
  free(set->keys);
  memset(set, 0, sizeof *set);
}

/* ---- finding directories ---- */

int mark_opaque(struct tree *tree, int fd) {
  char path[TREE_PATH_MAX];
  if (fchdir(fd) < 0 || lsetxattr(".", tree->opaque, "y", 1, 0) < 0) return -1;
  /* Node cannot read attributes, and must know this one to look into a stack of layers. */
  if (!getcwd(path, sizeof path)) return -1;
  fact("opaque", "path", path + 1, NULL);
  return 0;
}

int make_opaque(struct tree *tree, int parent, const char *name) {
  cleanup_close int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return fd < 0 ? -1 : mark_opaque(tree, fd);
}

static bool is_whiteout(const struct stat *st) { return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0); }

/* The directory below `at` is missing (or a whiteout of ours): makes it. */
static int make_directory(struct tree *tree, int at, const char *name, bool over_whiteout) {
  if (over_whiteout && unlinkat(at, name, 0) < 0) return -1;
  if (mkdirat(at, name, 0755) < 0) return -1;
  /* mkdir takes the group of a setgid parent, and its bit. */
  if (fchownat(at, name, geteuid(), getegid(), AT_SYMLINK_NOFOLLOW) < 0 || fchmodat(at, name, 0755, 0) < 0) return -1;
  return over_whiteout ? make_opaque(tree, at, name) : 0;
}

struct walk {
  struct tree *tree;
  bool create;
  int at; /* Where we are; closed by step. */
  int links;
  char *todo; /* What is still to go, in `text`. */
  char *text;
};

static int move_to(struct walk *w, int fd) {
  if (fd < 0) return -1;
  close(w->at);
  w->at = fd;
  return 0;
}

static int step_up(struct walk *w) {
  struct stat st;
  if (fstat(w->at, &st) < 0) return -1;
  if (st.st_dev == w->tree->root_dev && st.st_ino == w->tree->root_ino) {
    if (w->tree->literal) return 0; /* As the kernel: above the root is the root. */
    errno = EXDEV; /* A symlink that counts on leaving the root is an attack, or as good as one. */
    return -1;
  }
  return move_to(w, openat(w->at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* What is left becomes the link's target and then the rest. */
static int follow(struct walk *w, int link) {
  char target[TREE_PATH_MAX];
  ssize_t n = readlinkat(link, "", target, sizeof target);
  if (n < 0) return -1;
  size_t rest = strlen(w->todo);
  if (++w->links > LINKS_MAX) {
    errno = ELOOP;
    return -1;
  }
  if (n == 0 || (size_t)n + 1 + rest + 1 > TREE_PATH_MAX) {
    errno = n == 0 ? ENOENT : ENAMETOOLONG;
    return -1;
  }
  char *text = malloc((size_t)n + 1 + rest + 1);
  if (!text) return -1;
  memcpy(text, target, (size_t)n);
  text[n] = '/';
  memcpy(text + n + 1, w->todo, rest + 1);
  free(w->text);
  w->text = w->todo = text;
  return target[0] == '/' ? move_to(w, fcntl(w->tree->root, F_DUPFD_CLOEXEC, 0)) : 0;
}

static int step(struct walk *w, const char *name) {
  struct stat st, here;
  if (strcmp(name, ".") == 0) return 0;
  if (strcmp(name, "..") == 0) return step_up(w);
  cleanup_close int next = openat(w->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (next < 0 && errno != ENOENT) return -1;
  if (next >= 0 && fstat(next, &st) < 0) return -1;
  bool whiteout = next >= 0 && w->tree->overlay && is_whiteout(&st);
  if (next < 0 || whiteout) {
    if (!w->create) {
      errno = ENOENT;
      return -1;
    }
    if (make_directory(w->tree, w->at, name, whiteout) < 0) return -1;
    if (next >= 0) close(next);
    next = openat(w->at, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
    if (next < 0 || fstat(next, &st) < 0) return -1;
  }
  if (S_ISLNK(st.st_mode)) return follow(w, next);
  if (!S_ISDIR(st.st_mode)) {
    errno = ENOTDIR;
    return -1;
  }
  if (w->create && !w->tree->overlay && !w->tree->literal) {
    if (fstat(w->at, &here) < 0 || written_add(&w->tree->written, here.st_dev, here.st_ino, name) < 0) return -1;
  }
  int fd = next;
  next = -1;
  return move_to(w, fd);
}

/* One name after the other: makes what is missing, and sees each symlink. */
static int walk_slowly(struct tree *tree, const char *path, bool create) {
  struct walk w = {.tree = tree, .create = create, .at = fcntl(tree->root, F_DUPFD_CLOEXEC, 0)};
  if (w.at < 0) return -1;
  w.text = w.todo = strdup(path);
  int result = w.text ? 0 : -1;
  while (result == 0 && *w.todo) {
    char *slash = strchrnul(w.todo, '/');
    char name[256];
    size_t length = (size_t)(slash - w.todo);
    if (length >= sizeof name) {
      errno = ENAMETOOLONG;
      result = -1;
      break;
    }
    memcpy(name, w.todo, length);
    name[length] = 0;
    w.todo = *slash ? slash + 1 : slash;
    if (length > 0) result = step(&w, name);
  }
  int saved = errno;
  free(w.text);
  if (result == 0) return w.at;
  close(w.at);
  errno = saved;
  return -1;
}

int walk(struct tree *tree, const char *path, bool create) {
  if (*path == 0) return fcntl(tree->root, F_DUPFD_CLOEXEC, 0);
  if (tree->overlay || tree->literal || !create) {
    /* The usual case in one call. Anything that is not there, or a symlink with an absolute target, goes slowly. */
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = (tree->literal ? RESOLVE_IN_ROOT : RESOLVE_BENEATH) | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, tree->root, path, &how, sizeof how);
    if (fd >= 0) return fd;
  }
  return walk_slowly(tree, path, create);
}

/* ---- removing ---- */

static bool is_dots(const char *name) { return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0)); }

/* Opens for reading; takes over the descriptor. */
static DIR *read_directory(int parent, const char *name) {
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return NULL;
  DIR *directory = fdopendir(fd);
  if (!directory) {
    int saved = errno;
    close(fd);
    errno = saved;
  }
  return directory;
}

static int remove_below(int parent, const char *name) {
  DIR *directory = read_directory(parent, name);
  if (!directory) return -1;
  int result = 0;
  for (struct dirent *item; result == 0 && (item = readdir(directory));)
    if (!is_dots(item->d_name)) result = remove_all(dirfd(directory), item->d_name);
  int saved = errno;
  closedir(directory);
  errno = saved;
  return result;
}

int remove_all(int parent, const char *name) {
  if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM) return -1;
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0) return 0;
  if (errno != ENOTEMPTY && errno != EEXIST) return -1;
  if (remove_below(parent, name) < 0) return -1;
  return unlinkat(parent, name, AT_REMOVEDIR);
}

int remove_unwritten(struct tree *tree, int parent, const char *name) {
  struct stat st;
  DIR *directory = read_directory(parent, name);
  if (!directory) return -1;
  int result = fstat(dirfd(directory), &st);
  for (struct dirent *item; result == 0 && (item = readdir(directory));) {
    struct stat child;
    if (is_dots(item->d_name)) continue;
    if (!written_has(&tree->written, st.st_dev, st.st_ino, item->d_name)) {
      result = remove_all(dirfd(directory), item->d_name);
      continue;
    }
    result = fstatat(dirfd(directory), item->d_name, &child, AT_SYMLINK_NOFOLLOW);
    if (result == 0 && S_ISDIR(child.st_mode)) result = remove_unwritten(tree, dirfd(directory), item->d_name);
  }
  int saved = errno;
  closedir(directory);
  errno = saved;
  return result;
}
