/* Reads entries of a log back, in either format. What a container wrote lies in them: nothing here trusts a length or a character. */
#ifndef TSC_LOG_PARSE_H
#define TSC_LOG_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* An entry. The text is where it was asked to be put. */
struct line {
  int stream;
  bool partial; /* Else a newline ended it, which is not in the text. */
  size_t length;
  uint64_t nanos;
  char time[40]; /* RFC 3339, as it stands in the log. */
  size_t time_length;
  const char *attributes; /* JSON, in the entry; or NULL. */
  size_t attributes_length;
};

/* The seconds of the last time that was read: the next one is mostly the same. */
struct seconds {
  char text[20];
  uint64_t epoch;
};

/* One line of a json-file, without its newline. text has room for length bytes and 16 more. false: it is none. */
bool parse_json(const char *entry, size_t length, char *text, struct line *line, struct seconds *known);
/* How long the entry of `local` is that begins here; 0: more bytes are needed to tell; -1: it is none. */
ssize_t local_length(const char *bytes, size_t length);
/* A whole entry of `local`. */
bool parse_local(const char *entry, size_t length, char *text, struct line *line, struct seconds *known);

#endif
