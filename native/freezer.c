/* See freezer.h. */
#define _GNU_SOURCE
#include "freezer.h"

#include <fcntl.h>
#include <string.h>

#include "util.h"

bool freezer_frozen(const struct plan *plan) {
  const struct op *op = plan_find(plan, "cg-freezer");
  char text[256];
  if (!op || read_file(AT_FDCWD, op_text(op, 4), text, sizeof text) < 0) return false;
  size_t length = strlen(op_text(op, 5));
  for (char *line = text; line; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, op_text(op, 5), length) == 0 && (line[length] == '\n' || line[length] == 0)) return true;
  }
  return false;
}

void freezer_thaw(const struct plan *plan) {
  const struct op *op = plan_find(plan, "cg-freezer");
  /* Also when it is not frozen yet: somebody may just be about it. */
  if (op) (void)write_file(AT_FDCWD, op_text(op, 1), op_text(op, 3), op->fields[3].length);
}
