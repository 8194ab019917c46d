/* See layer_number.h. */
#include "layer_number.h"

bool tar_octal(const char *field, size_t size, int64_t *value) {
  size_t at = 0;
  uint64_t sum = 0;
  while (at < size && (field[at] == ' ' || field[at] == 0)) at++;
  while (size > at && (field[size - 1] == ' ' || field[size - 1] == 0)) size--;
  for (; at < size && field[at] != 0; at++) {
    if (field[at] < '0' || field[at] > '7' || sum >> 60) return false;
    sum = sum << 3 | (uint64_t)(field[at] - '0');
  }
  *value = (int64_t)sum;
  return true;
}

bool tar_numeric(const char *field, size_t size, int64_t *value) {
  const unsigned char *b = (const unsigned char *)field;
  if (!(b[0] & 0x80)) return tar_octal(field, size, value);
  unsigned char invert = b[0] & 0x40 ? 0xff : 0;
  uint64_t sum = 0;
  for (size_t i = 0; i < size; i++) {
    unsigned char c = b[i] ^ invert;
    if (i == 0) c &= 0x7f;
    if (sum >> 56) return false;
    sum = sum << 8 | c;
  }
  if (sum >> 63) return false;
  *value = invert ? ~(int64_t)sum : (int64_t)sum;
  return true;
}

bool tar_decimal(const char *text, size_t length, uint64_t *value) {
  uint64_t sum = 0;
  if (length == 0 || length > 19) return false;
  for (size_t i = 0; i < length; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    sum = sum * 10 + (uint64_t)(text[i] - '0');
  }
  if (sum >> 63) return false;
  *value = sum;
  return true;
}

bool tar_time(const char *text, size_t length, struct timespec *time) {
  bool negative = length > 0 && text[0] == '-';
  uint64_t seconds = 0;
  long nanoseconds = 0, unit = 100000000;
  if (negative) text++, length--;
  size_t whole = 0;
  while (whole < length && text[whole] != '.') whole++;
  if (!tar_decimal(text, whole, &seconds)) return false;
  for (size_t i = whole + 1; i < length; i++, unit /= 10) {
    if (text[i] < '0' || text[i] > '9') return false;
    nanoseconds += (text[i] - '0') * unit;
  }
  time->tv_sec = negative ? -(time_t)seconds : (time_t)seconds;
  time->tv_nsec = nanoseconds;
  if (negative && nanoseconds > 0) {
    time->tv_sec -= 1;
    time->tv_nsec = 1000000000 - nanoseconds;
  }
  return true;
}
