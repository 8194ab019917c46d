/* See layer_make.h. */
#define _GNU_SOURCE
#include "layer_make.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "util.h"
#include "wire.h"

#define XATTR_LIST_MAX 65536
#define XATTR_SIZE_MAX 65536

/* ---- hard links ---- */

struct seen_link {
  dev_t dev;
  ino_t ino;
  char *name; /* NULL: free. */
};

static struct seen_link *find_link(const struct maker *m, dev_t dev, ino_t ino) {
  size_t at = (size_t)(((uint64_t)ino * 0x9e3779b97f4a7c15u) ^ (uint64_t)dev) & (m->link_capacity - 1);
  while (m->links[at].name && (m->links[at].ino != ino || m->links[at].dev != dev)) at = (at + 1) & (m->link_capacity - 1);
  return &m->links[at];
}

static int grow_links(struct maker *m) {
  struct maker grown = {.link_capacity = m->link_capacity ? m->link_capacity * 2 : 256};
  grown.links = calloc(grown.link_capacity, sizeof *grown.links);
  if (!grown.links) return -1;
  for (size_t i = 0; i < m->link_capacity; i++)
    if (m->links[i].name) *find_link(&grown, m->links[i].dev, m->links[i].ino) = m->links[i];
  free(m->links);
  m->links = grown.links;
  m->link_capacity = grown.link_capacity;
  return 0;
}

/* The name under which the file is in the archive already, or NULL: then it is noted. -1 in *result with errno. */
static const char *linked_to(struct maker *m, const struct stat *st, int *result) {
  *result = 0;
  if (st->st_nlink < 2) return NULL;
  if (m->link_count * 2 >= m->link_capacity && grow_links(m) < 0) {
    *result = -1;
    return NULL;
  }
  struct seen_link *link = find_link(m, st->st_dev, st->st_ino);
  if (link->name) return link->name;
  *link = (struct seen_link){st->st_dev, st->st_ino, strdup(m->path.text)};
  m->link_count++;
  if (!link->name) *result = -1;
  return NULL;
}

/* ---- extended attributes ---- */

/* What is overlayfs's book-keeping, or the host's policy, is nothing of the file. */
static bool is_foreign_xattr(const char *name) {
  return strncmp(name, "trusted.overlay.", 16) == 0 || strncmp(name, "user.overlay.", 13) == 0 || strcmp(name, "security.selinux") == 0 ||
         strcmp(name, "security.ima") == 0 || strcmp(name, "security.evm") == 0;
}

static int by_name(const void *a, const void *b) { return strcmp(((const struct out_xattr *)a)->name, ((const struct out_xattr *)b)->name); }

static int push_xattr(struct maker *m, size_t *count, size_t *used, const char *name, const char *value, size_t length) {
  if (*count == m->xattr_capacity) {
    size_t capacity = m->xattr_capacity ? m->xattr_capacity * 2 : 8;
    struct out_xattr *grown = reallocarray(m->xattrs, capacity, sizeof *grown);
    if (!grown) return -1;
    m->xattrs = grown;
    m->xattr_capacity = capacity;
  }
  /* Pointers are set when all values are here: the buffer may move. */
  if (*used + length > m->values_capacity) {
    size_t capacity = (*used + length) * 2;
    char *grown = realloc(m->values, capacity);
    if (!grown) return -1;
    m->values = grown;
    m->values_capacity = capacity;
  }
  memcpy(m->values + *used, value, length);
  m->xattrs[(*count)++] = (struct out_xattr){name, NULL, length};
  *used += length;
  return 0;
}

/* By descriptor where there is one; else by name, in the parent as working directory: there is no *at form before 6.13. */
static int read_xattrs(struct maker *m, int fd, int parent, const char *name, struct out_entry *entry) {
  static char list[XATTR_LIST_MAX], value[XATTR_SIZE_MAX];
  size_t count = 0, used = 0;
  if (fd < 0 && fchdir(parent) < 0) return -1;
  ssize_t length = fd >= 0 ? flistxattr(fd, list, sizeof list) : llistxattr(name, list, sizeof list);
  if (length < 0) return errno == ENOTSUP || errno == ENOENT ? 0 : -1;
  for (const char *each = list; each < list + length; each += strlen(each) + 1) {
    if (is_foreign_xattr(each)) continue;
    ssize_t n = fd >= 0 ? fgetxattr(fd, each, value, sizeof value) : lgetxattr(name, each, value, sizeof value);
    if (n < 0 && (errno == ENODATA || errno == ENOTSUP || errno == ENOENT)) continue;
    if (n < 0 || push_xattr(m, &count, &used, each, value, (size_t)n) < 0) return -1;
  }
  const char *at = m->values;
  for (size_t i = 0; i < count; i++) {
    m->xattrs[i].value = at;
    at += m->xattrs[i].length;
  }
  if (count > 1) qsort(m->xattrs, count, sizeof *m->xattrs, by_name);
  entry->xattrs = m->xattrs;
  entry->xattr_count = count;
  return 0;
}

/* ---- overlayfs's marks ---- */

static const char *const marks[] = {"trusted.overlay.", "user.overlay."};

bool is_opaque(int directory) {
  char name[64], value;
  for (size_t i = 0; i < countof(marks); i++) {
    strcpy(stpcpy(name, marks[i]), "opaque");
    if (fgetxattr(directory, name, &value, 1) == 1 && value == 'y') return true;
  }
  return false;
}

bool is_whiteout_at(int parent, const char *name, const struct stat *st) {
  char mark[64];
  if (S_ISCHR(st->st_mode)) return st->st_rdev == makedev(0, 0);
  /* Where devices cannot be made: an empty file with an attribute. */
  if (!S_ISREG(st->st_mode) || st->st_size != 0 || fchdir(parent) < 0) return false;
  for (size_t i = 0; i < countof(marks); i++) {
    strcpy(stpcpy(mark, marks[i]), "whiteout");
    if (lgetxattr(name, mark, NULL, 0) >= 0) return true;
  }
  return false;
}

/* ---- entries ---- */

static int fail_out(const struct maker *m) { return fail("archive-write", "write", m->path.text ? m->path.text : ""); }

int make_open(struct maker *m, int fd, bool hash, bool upper) {
  memset(m, 0, sizeof *m);
  m->upper = upper;
  if (path_push(&m->path, "") < 0) return -1;
  return out_open(&m->out, fd, hash);
}

void make_close(struct maker *m) {
  for (size_t i = 0; i < m->link_capacity; i++) free(m->links[i].name);
  free(m->links);
  free(m->xattrs);
  free(m->values);
  free(m->path.text);
  out_close(&m->out);
  memset(m, 0, sizeof *m);
}

static struct out_entry entry_of(const struct maker *m, const struct stat *st, char type) {
  return (struct out_entry){.name = m->path.text, .link = "", .type = type, .mode = st->st_mode & 07777, .uid = st->st_uid, .gid = st->st_gid, .mtime = st->st_mtim};
}

static int put_entry(struct maker *m, const struct out_entry *entry) {
  m->entries++;
  return out_header(&m->out, entry) < 0 ? fail_out(m) : 0;
}

static int put_special(struct maker *m, const char *name, const char *link) {
  struct out_entry entry = {.name = name, .link = link, .type = '0', .mode = 0600};
  return put_entry(m, &entry);
}

int make_whiteout(struct maker *m) {
  char *slash = strrchr(m->path.text, '/');
  size_t parent = slash ? (size_t)(slash + 1 - m->path.text) : 0;
  cleanup_free char *name = NULL;
  if (asprintf(&name, "%.*s.wh.%s", (int)parent, m->path.text, m->path.text + parent) < 0) return fail_out(m);
  return put_special(m, name, "");
}

static int put_opaque(struct maker *m) {
  cleanup_free char *name = NULL;
  if (asprintf(&name, "%s%s.wh..wh..opq", m->path.text, m->path.length > 0 ? "/" : "") < 0) return fail_out(m);
  return put_special(m, name, "");
}

static int open_file(int parent, const char *name) {
  int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  int fd = openat(parent, name, flags | O_NOATIME);
  return fd < 0 && errno == EPERM ? openat(parent, name, flags) : fd;
}

static int put_file(struct maker *m, int parent, const char *name) {
  struct stat st;
  bool read_failed;
  cleanup_close int fd = open_file(parent, name);
  if (fd < 0) return errno == ENOENT || errno == ELOOP || errno == ENXIO ? 0 : fail("archive-read", "openat", m->path.text);
  if (fstat(fd, &st) < 0) return fail("archive-read", "fstat", m->path.text);
  if (!S_ISREG(st.st_mode)) return 0; /* Something else has taken its place: as if it had come later. */
  struct out_entry entry = entry_of(m, &st, '0');
  int noted;
  const char *link = linked_to(m, &st, &noted);
  if (noted < 0) return fail("archive-read", "malloc", m->path.text);
  if (link) {
    entry.type = '1';
    entry.link = link;
    return put_entry(m, &entry);
  }
  entry.size = (uint64_t)st.st_size;
  if (read_xattrs(m, fd, parent, name, &entry) < 0) return fail("archive-read", "getxattr", m->path.text);
  if (put_entry(m, &entry) < 0) return -1;
  m->content_bytes += entry.size;
  if (out_content(&m->out, fd, entry.size, &read_failed) == 0) return 0;
  return read_failed ? fail("archive-read", "read", m->path.text) : fail_out(m);
}

static int put_node(struct maker *m, int parent, const char *name, const struct stat *st) {
  char target[4097] = "";
  struct out_entry entry = entry_of(m, st, S_ISLNK(st->st_mode) ? '2' : S_ISCHR(st->st_mode) ? '3' : S_ISBLK(st->st_mode) ? '4' : '6');
  int noted;
  const char *link = linked_to(m, st, &noted);
  if (noted < 0) return fail("archive-read", "malloc", m->path.text);
  if (link) {
    entry.type = '1';
    entry.link = link;
    return put_entry(m, &entry);
  }
  if (entry.type == '2') {
    ssize_t n = readlinkat(parent, name, target, sizeof target - 1);
    if (n < 0) return errno == ENOENT || errno == EINVAL ? 0 : fail("archive-read", "readlinkat", m->path.text);
    target[n] = 0;
    entry.link = target;
    entry.mode = 0777;
  } else if (entry.type != '6') {
    entry.major = major(st->st_rdev);
    entry.minor = minor(st->st_rdev);
  }
  if (read_xattrs(m, -1, parent, name, &entry) < 0) return fail("archive-read", "getxattr", m->path.text);
  return put_entry(m, &entry);
}

/* The headers of a directory that is open. */
static int put_directory(struct maker *m, int fd, const char *as) {
  struct stat st;
  if (fstat(fd, &st) < 0) return fail("archive-read", "fstat", m->path.text);
  struct out_entry entry = entry_of(m, &st, '5');
  if (as) entry.name = as;
  if (read_xattrs(m, fd, -1, NULL, &entry) < 0) return fail("archive-read", "getxattr", m->path.text);
  if (put_entry(m, &entry) < 0) return -1;
  return m->upper && is_opaque(fd) ? put_opaque(m) : 0;
}

static int put_tree(struct maker *m, int parent, const char *name);

static int put_children(struct maker *m, int fd) {
  struct name_list list;
  if (list_names(fd, &list) < 0) return fail("archive-read", "readdir", m->path.text);
  size_t length = m->path.length;
  int result = 0;
  for (size_t i = 0; result == 0 && i < list.count; i++) {
    if (path_push(&m->path, list.names[i]) < 0) result = fail("archive-read", "malloc", list.names[i]);
    else result = put_tree(m, fd, list.names[i]);
    path_cut(&m->path, length);
  }
  list_free(&list);
  return result;
}

static int open_directory(int parent, const char *name) { return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); }

static int put_tree(struct maker *m, int parent, const char *name) {
  struct stat st;
  if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return errno == ENOENT ? 0 : fail("archive-read", "fstatat", m->path.text);
  if (m->upper && is_whiteout_at(parent, name, &st)) return make_whiteout(m);
  if (m->upper && strncmp(name, ".wh.", 4) == 0) {
    m->skipped_names++;
    return 0;
  }
  if (S_ISSOCK(st.st_mode)) return 0;
  if (S_ISREG(st.st_mode)) return put_file(m, parent, name);
  if (!S_ISDIR(st.st_mode)) return put_node(m, parent, name, &st);
  cleanup_close int fd = open_directory(parent, name);
  if (fd < 0) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : fail("archive-read", "openat", m->path.text);
  return put_directory(m, fd, NULL) < 0 ? -1 : put_children(m, fd);
}

int make_one(struct maker *m, int parent, const char *name) {
  struct stat st;
  if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return errno == ENOENT ? 0 : fail("archive-read", "fstatat", m->path.text);
  if (strncmp(name, ".wh.", 4) == 0) {
    m->skipped_names++;
    return 0;
  }
  if (S_ISSOCK(st.st_mode)) return 0;
  if (S_ISREG(st.st_mode)) return put_file(m, parent, name);
  if (!S_ISDIR(st.st_mode)) return put_node(m, parent, name, &st);
  cleanup_close int fd = open_directory(parent, name);
  if (fd < 0) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : fail("archive-read", "openat", m->path.text);
  return put_directory(m, fd, NULL);
}

/* The root of a layer is told of only where it is not what every root is: Docker never does, and its attributes are lost. */
static bool is_usual_root(int fd) {
  struct stat st;
  char list[1024];
  if (fstat(fd, &st) < 0 || (st.st_mode & 07777) != 0755 || st.st_uid != 0 || st.st_gid != 0) return false;
  ssize_t length = flistxattr(fd, list, sizeof list);
  if (length < 0) return errno == ENOTSUP;
  for (const char *each = list; each < list + length; each += strlen(each) + 1)
    if (!is_foreign_xattr(each)) return false;
  return true;
}

int make_add(struct maker *m, int parent, const char *name, const char *as) {
  path_cut(&m->path, 0);
  if (*as) {
    if (path_push(&m->path, as) < 0) return fail("archive-read", "malloc", as);
    return put_tree(m, parent, name);
  }
  cleanup_close int fd = open_directory(parent, name);
  if (fd < 0) return fail("archive-read", "openat", name);
  if (m->upper && !is_usual_root(fd) && put_directory(m, fd, "./") < 0) return -1;
  return put_children(m, fd);
}

int make_finish(struct maker *m) { return out_finish(&m->out) < 0 ? fail_out(m) : 0; }
