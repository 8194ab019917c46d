/*
 * The wire between Node and the helper.
 *
 * A plan comes in: u32 total, then ops; an op is u16 count, then fields; a field is u32 length, bytes, one NUL that the
 * length does not count. Integers are little endian. The first field of an op is its name, numbers are decimal text.
 * A field holds no NUL inside unless its reader asks for bytes. The plan is TypeScript's: validated there, carried out here.
 *
 * Facts go out: one JSON object each. On a plain pipe a fact is a line; on a framed wire it is a frame of type WIRE_FACT.
 * A frame is u8 type, u32 length, bytes, in both directions.
 */
#ifndef TSC_WIRE_H
#define TSC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_MAX (16u << 20)
#define FRAME_HEADER 5u

enum wire_type {
  WIRE_FACT = 0,   /* to Node: JSON */
  WIRE_STDOUT = 1, /* to Node: bytes */
  WIRE_STDERR = 2, /* to Node: bytes */
  WIRE_STDIN = 3,  /* to the helper: bytes; an empty frame closes stdin */
  WIRE_OP = 4,     /* to the helper: one plan (without its u32), carried out while running: kill, resize … */
};

struct field {
  const char *text; /* NUL-terminated, points into the plan's buffer */
  uint32_t length;
};
struct op {
  uint16_t count;
  const struct field *fields;
};
struct plan {
  size_t count;
  struct op *ops;
  struct field *fields;
  char *buffer;
};

/* Reads one plan (blocking). 0, or -1 with errno: EPROTO when it is malformed, E2BIG over PLAN_MAX, EPIPE on a closed wire. */
int plan_read(int fd, struct plan *plan);
/* Splits bytes that are already here; takes ownership of buffer, also on failure. */
int plan_parse(char *buffer, size_t length, struct plan *plan);
void plan_free(struct plan *plan);

bool op_is(const struct op *op, const char *name);
/* Field i as text, or "" when there is none. */
const char *op_text(const struct op *op, unsigned i);
/* Field i as a decimal (or, with a leading 0, octal) number; fallback when there is none or it is no number. */
long long op_number(const struct op *op, unsigned i, long long fallback);
/* The first op of that name, or NULL. */
const struct op *plan_find(const struct plan *plan, const char *name);

/* Where facts go. The only global state of the helper. */
void wire_open(int fd, bool framed);
/* From now on facts go, as whole frames, to this function instead: the monitor sends them to all its clients. */
void wire_divert(void (*sink)(void *context, const char *frame, size_t length), void *context);

/* The same for a moment: returns where they went before. */
struct wire_sink {
  void (*send)(void *context, const char *frame, size_t length);
  void *context;
};
struct wire_sink wire_swap(struct wire_sink to);

/* Sends {"fact":name, …}: pairs of (const char *key, const char *text), ended by NULL. Text is JSON-escaped here. */
void fact(const char *name, ...) __attribute__((sentinel));
/* The same, with the body already JSON: fact_json("exit", "\"code\":%d", code). */
void fact_json(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sends {"fact":"error","stage":…,"syscall":…,"errno":…,"path":…} from errno. Always returns -1, errno kept. */
int fail(const char *stage, const char *syscall, const char *path);
const char *errno_name(int number);

/* Appends JSON-escaped text (without quotes) to out; returns the length it has or would have had. Bytes that are no UTF-8 become U+FFFD. */
size_t json_escape(char *out, size_t size, const char *text, size_t length);

#endif
