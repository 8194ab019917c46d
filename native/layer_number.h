/* Numbers as tar archives write them. Each is false when the text is none, or does not fit. */
#ifndef TSC_LAYER_NUMBER_H
#define TSC_LAYER_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Octal digits between blanks and NULs; none at all are 0. */
bool tar_octal(const char *field, size_t size, int64_t *value);
/* Octal text, or GNU's two's complement when the first bit is set. */
bool tar_numeric(const char *field, size_t size, int64_t *value);
/* Decimal digits and nothing else, below 2^63. */
bool tar_decimal(const char *text, size_t length, uint64_t *value);
/* [-]seconds[.fraction]; the fraction is cut after nine digits. */
bool tar_time(const char *text, size_t length, struct timespec *time);

#endif
