/* CRC-32 as gzip uses it (RFC 1952, section 8), with the processor's instructions where it has them. */
#ifndef TSC_LAYER_CRC32_H
#define TSC_LAYER_CRC32_H

#include <stddef.h>
#include <stdint.h>

void crc32_init(void);
/* Start with 0, go on with what the last call returned. */
uint32_t crc32_update(uint32_t crc, const unsigned char *data, size_t length);

#endif
