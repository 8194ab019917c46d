/* The names in a directory, sorted by their bytes; and paths that grow. */
#ifndef TSC_LAYER_LIST_H
#define TSC_LAYER_LIST_H

#include <stddef.h>

struct name_list {
  char **names;
  size_t count;
  char *text; /* What they point into. */
};

/* Reads an open directory, from its beginning; the descriptor stays the caller's. 0, or -1 with errno. */
int list_names(int directory, struct name_list *list);
void list_free(struct name_list *list);

struct long_path {
  char *text; /* NUL-terminated; without a leading slash. */
  size_t length, capacity;
};

/* Appends a name; the length before goes to path_cut afterwards. 0, or -1 with errno. */
int path_push(struct long_path *path, const char *name);
void path_cut(struct long_path *path, size_t length);

#endif
