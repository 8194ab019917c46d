/* SHA-256, with the processor's instructions where it has them. Part of the layer mode: a layer's diffID is the digest of its tar. */
#ifndef TSC_LAYER_SHA256_H
#define TSC_LAYER_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct sha256 {
  uint32_t state[8];
  uint64_t length;
  unsigned char block[64];
};

void sha256_init(struct sha256 *hash);
void sha256_update(struct sha256 *hash, const void *data, size_t length);
/* Lower-case hex and a NUL. */
void sha256_final(struct sha256 *hash, char hex[65]);

#endif
