/* See exec_record.h. */
#define _GNU_SOURCE
#include "exec_record.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

void exec_record_write(const struct op *op, const char *body) {
  char temporary[4096];
  if (!op) return;
  const char *path = op_text(op, 1), *head = op_text(op, 2);
  snprintf(temporary, sizeof temporary, "%s.tmp", path);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  bool whole = write_all(fd, head, strlen(head)) == 0 && write_all(fd, body, strlen(body)) == 0 && write_all(fd, "}\n", 2) == 0;
  close(fd);
  if (whole) (void)rename(temporary, path);
  else (void)unlink(temporary);
}
