/*
 * See journal.h. The journal is a directory of numbered files, of which the highest is the current one; a line is one write
 * to it. Node may begin the next file between our looking and our writing: so we look again, and write the line there too.
 * Readers know it by its key.
 */
#define _GNU_SOURCE
#include "journal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "process.h"
#include "util.h"

#define LINE 32768

static char *description;

void journal_describe(const char *json, size_t length) {
  char *copy = strndup(json, length);
  if (!copy) return;
  free(description);
  description = copy;
}

static long long latest(const char *directory) {
  DIR *dir = opendir(directory);
  long long highest = 0;
  if (!dir) return 0;
  for (struct dirent *entry; (entry = readdir(dir));) {
    if (strlen(entry->d_name) != 10 || strspn(entry->d_name, "0123456789") != 10) continue;
    long long number = atoll(entry->d_name);
    if (number > highest) highest = number;
  }
  closedir(dir);
  return highest;
}

static void append(const char *directory, const char *line, size_t length) {
  char path[4096];
  for (long long number = latest(directory), next; number > 0; number = next) {
    snprintf(path, sizeof path, "%s/%010lld", directory, number);
    cleanup_close int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    /* A part only, on a full disk: the newline keeps it from spoiling the next line. */
    if (fd >= 0 && RETRY_EINTR(write(fd, line, length)) != (ssize_t)length) (void)!write(fd, "\n", 1);
    next = latest(directory);
    if (next <= number) return;
  }
}

void journal_event(const struct plan *plan, const char *type, const char *format, ...) {
  static unsigned count;
  const struct op *op = plan_find(plan, "journal");
  struct timespec now;
  struct tm tm;
  char when[40];
  if (!op) return;
  char *line = malloc(LINE);
  if (!line) return;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &tm);
  strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
  int used = snprintf(line, LINE, "{\"key\":\"m%d-%lld-%u\",\"event\":{\"type\":\"%s\",\"time\":\"%s.%03ldZ\",%s", getpid(), process_start_time(getpid()),
                      count++, type, when, now.tv_nsec / 1000000, description ? description : op_text(op, 2));
  va_list list;
  va_start(list, format);
  if (used > 0 && used < LINE) used += vsnprintf(line + used, (size_t)(LINE - used), format, list);
  va_end(list);
  /* Labels may be longer than any line should be; half a line would be none. */
  if (used > 0 && used < LINE - 4) {
    memcpy(line + used, "}}\n", 3);
    append(op_text(op, 1), line, (size_t)used + 3);
  }
  free(line);
}
