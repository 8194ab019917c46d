/* Lists a tree: one line per name with everything that stat, the link, the content and the extended attributes say. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "probe.h"

#define MAX_LINKED 4096

static struct {
  ino_t inode;
  dev_t device;
  char *path;
} linked[MAX_LINKED];
static size_t linked_count;

/* The first path under which a file with several names was seen. */
static const char *first_name(const struct stat *st, const char *path) {
  for (size_t i = 0; i < linked_count; i++)
    if (linked[i].inode == st->st_ino && linked[i].device == st->st_dev) return linked[i].path;
  if (linked_count < MAX_LINKED) {
    linked[linked_count].inode = st->st_ino;
    linked[linked_count].device = st->st_dev;
    linked[linked_count++].path = strdup(path);
  }
  return path;
}

/* FNV-1a: to tell contents apart, not to protect them. */
static void print_content(const char *path) {
  static unsigned char buffer[1 << 16];
  uint64_t hash = 0xcbf29ce484222325u;
  int fd = open(path, O_RDONLY | O_NOFOLLOW);
  if (fd < 0) {
    printf(" content=%s", errno_name(errno));
    return;
  }
  for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;)
    for (ssize_t i = 0; i < n; i++) hash = (hash ^ buffer[i]) * 0x100000001b3u;
  close(fd);
  printf(" content=%016llx", (unsigned long long)hash);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void print_xattrs(const char *path) {
  static char names[1 << 16];
  static unsigned char value[1 << 16];
  char *sorted[256];
  size_t count = 0;
  ssize_t length = llistxattr(path, names, sizeof names);
  for (char *name = names; length > 0 && name < names + length && count < 256; name += strlen(name) + 1) sorted[count++] = name;
  qsort(sorted, count, sizeof *sorted, by_name);
  for (size_t i = 0; i < count; i++) {
    ssize_t size = lgetxattr(path, sorted[i], value, sizeof value);
    printf(" %s=", sorted[i]);
    for (ssize_t k = 0; k < size; k++) printf("%02x", value[k]);
  }
}

static void print_entry(const char *path, const struct stat *st) {
  static const char types[] = "?pc?d?b?-?l?s???";
  char target[4097];
  print_word(path, (long)strlen(path));
  printf(" %c %04o %u:%u", types[(st->st_mode >> 12) & 15], st->st_mode & 07777, st->st_uid, st->st_gid);
  printf(" mtime=%lld.%09ld", (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
  if (!S_ISDIR(st->st_mode)) {
    printf(" size=%lld links=%lu", (long long)st->st_size, (unsigned long)st->st_nlink);
    if (st->st_nlink > 1) {
      const char *first = first_name(st, path);
      printf(" same-as=");
      print_word(first, (long)strlen(first));
    }
  }
  if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) printf(" device=%u:%u", major(st->st_rdev), minor(st->st_rdev));
  if (S_ISLNK(st->st_mode)) {
    ssize_t n = readlink(path, target, sizeof target - 1);
    printf(" to=");
    print_word(target, n);
  }
  if (S_ISREG(st->st_mode)) print_content(path);
  print_xattrs(path);
  printf("\n");
}

static int walk(const char *path) {
  struct stat st;
  struct dirent **entries;
  if (lstat(path, &st) < 0) return printf("%s %s\n", path, errno_name(errno));
  print_entry(path, &st);
  /* What the kernel shows there is not the image's. */
  if (!S_ISDIR(st.st_mode) || strcmp(path, "/proc") == 0 || strcmp(path, "/sys") == 0 || strcmp(path, "/dev") == 0) return 0;
  int count = scandir(path, &entries, NULL, NULL);
  if (count < 0) return printf("%s %s\n", path, errno_name(errno));
  char **names = calloc((size_t)count + 1, sizeof *names);
  for (int i = 0; i < count; i++) names[i] = entries[i]->d_name;
  qsort(names, (size_t)count, sizeof *names, by_name);
  for (int i = 0; i < count; i++) {
    char *child;
    if (strcmp(names[i], ".") == 0 || strcmp(names[i], "..") == 0) continue;
    if (asprintf(&child, "%s/%s", strcmp(path, "/") == 0 ? "" : path, names[i]) < 0) return -1;
    walk(child);
    free(child);
  }
  for (int i = 0; i < count; i++) free(entries[i]);
  free(names);
  free(entries);
  return 0;
}

int probe_tree(const char *root) {
  walk(root);
  return 0;
}
