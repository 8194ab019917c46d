/* The process that turns a compressed layer into tar, beside the one that reads the tar. */
#ifndef TSC_LAYER_DECODE_H
#define TSC_LAYER_DECODE_H

#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

struct decoder {
  pid_t pid; /* -1: none. */
  bool builtin;
};

/* Starts the op "decode" on stdin. Where its output can be read, or -1 after fail(). */
int decode_start(struct decoder *decoder, const struct op *op);
/* Waits for a struct decoder. What went wrong, or NULL. */
const char *decode_finish(void *decoder);

/* Keeps no more than these, sets no_new_privs. -1 with errno. */
int drop_capabilities(uint64_t keep);

#endif
