/* See layer_list.h. */
#define _GNU_SOURCE
#include "layer_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

struct growing {
  char *text;
  size_t used, capacity, count;
};

static int add(struct growing *all, const char *name) {
  size_t size = strlen(name) + 1;
  if (all->used + size > all->capacity) {
    size_t capacity = (all->used + size) * 2 + 1024;
    char *grown = realloc(all->text, capacity);
    if (!grown) return -1;
    all->text = grown;
    all->capacity = capacity;
  }
  memcpy(all->text + all->used, name, size);
  all->used += size;
  all->count++;
  return 0;
}

static int read_names(int directory, struct growing *all) {
  int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return -1;
  DIR *stream = fdopendir(copy);
  if (!stream) {
    close(copy);
    return -1;
  }
  int result = 0;
  for (;;) {
    errno = 0;
    struct dirent *item = readdir(stream);
    if (!item) {
      if (errno != 0) result = -1;
      break;
    }
    const char *name = item->d_name;
    if (name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0))) continue;
    if ((result = add(all, name)) < 0) break;
  }
  int saved = errno;
  closedir(stream);
  errno = saved;
  return result;
}

int list_names(int directory, struct name_list *list) {
  struct growing all = {0};
  memset(list, 0, sizeof *list);
  if (read_names(directory, &all) < 0) {
    free(all.text);
    return -1;
  }
  list->names = malloc((all.count + 1) * sizeof *list->names);
  if (!list->names) {
    free(all.text);
    return -1;
  }
  list->text = all.text;
  for (char *name = all.text; list->count < all.count; name += strlen(name) + 1) list->names[list->count++] = name;
  if (list->count > 1) qsort(list->names, list->count, sizeof *list->names, by_bytes);
  return 0;
}

void list_free(struct name_list *list) {
  free(list->names);
  free(list->text);
  memset(list, 0, sizeof *list);
}

int path_push(struct long_path *path, const char *name) {
  size_t size = strlen(name), slash = path->length > 0 ? 1 : 0;
  if (path->length + slash + size + 1 > path->capacity) {
    size_t capacity = (path->length + slash + size + 1) * 2 + 256;
    char *grown = realloc(path->text, capacity);
    if (!grown) return -1;
    path->text = grown;
    path->capacity = capacity;
  }
  if (slash) path->text[path->length] = '/';
  memcpy(path->text + path->length + slash, name, size + 1);
  path->length += slash + size;
  return 0;
}

void path_cut(struct long_path *path, size_t length) {
  path->length = length;
  if (path->text) path->text[length] = 0;
}
