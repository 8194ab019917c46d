/* Decompression for the layer mode: gzip in here, other formats by a program that the plan names. Always in a process of its own. */
#ifndef TSC_LAYER_INFLATE_H
#define TSC_LAYER_INFLATE_H

#include <stddef.h>

/*
 * Reads gzip members from `in` to its end and writes what they hold to `out`. Calls nothing but read and write, allocates
 * nothing: fit for strict seccomp. 0, or what was wrong (enum inflate_error).
 */
int inflate_gzip(int in, int out);

enum inflate_error {
  INFLATE_OK = 0,
  INFLATE_TRUNCATED = 10,
  INFLATE_HEADER,
  INFLATE_DATA,
  INFLATE_CHECKSUM,
  INFLATE_TRAILING,
  INFLATE_READ,
  INFLATE_WRITE,
};
const char *inflate_reason(int error);

#endif
