/* See dns.h. */
#define _GNU_SOURCE
#include "dns.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLAG_RESPONSE 0x8000u
#define FLAG_TRUNCATED 0x0200u
#define FLAG_RECURSION_DESIRED 0x0100u
#define FLAG_RECURSION_AVAILABLE 0x0080u
#define OPCODE 0x7800u
#define CLASS_IN 1u
#define TYPE_OPT 41u
#define LABEL_MAX 63u
/* Docker's: members come and go, but their addresses stay while they are there. */
#define TTL 600u

static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static void put16(uint8_t *at, unsigned value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

/* A letter, digit or mark of a name that may be one of ours. Everything else is for others to answer. */
static bool is_plain(uint8_t c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* Reads a name without compression, which a question has no use for. 0 when it is malformed, else where it ends. */
static size_t parse_name(const uint8_t *message, size_t length, size_t at, char *out) {
  size_t used = 0;
  bool plain = true;
  while (at < length && message[at] != 0) {
    size_t label = message[at++];
    if (label > LABEL_MAX || label > length - at || used + label + 1 > DNS_NAME_MAX) return 0;
    for (size_t i = 0; i < label; i++) {
      uint8_t c = message[at + i];
      if (c >= 'A' && c <= 'Z') c = (uint8_t)(c | 0x20);
      /* A dot inside of a label is not one between labels. */
      plain = plain && is_plain(c) && c != '.';
      out[used++] = (char)c;
    }
    out[used++] = '.';
    at += label;
  }
  if (at >= length) return 0;
  if (used > 0) used--;
  out[plain ? used : 0] = 0;
  return at + 1;
}

/* What the client takes over UDP: RFC 6891. Only an OPT record right behind the question is looked at. */
static size_t udp_limit(const uint8_t *message, size_t length, size_t at) {
  if (get16(message + 6) != 0 || get16(message + 8) != 0 || get16(message + 10) == 0) return DNS_UDP_MAX;
  if (length - at < 11 || message[at] != 0 || get16(message + at + 1) != TYPE_OPT) return DNS_UDP_MAX;
  size_t limit = get16(message + at + 3);
  return limit < DNS_UDP_MAX ? DNS_UDP_MAX : limit;
}

int dns_parse(const uint8_t *message, size_t length, struct dns_question *question) {
  memset(question, 0, sizeof *question);
  if (length < DNS_HEADER) return -1;
  question->id = get16(message);
  question->flags = get16(message + 2);
  question->end = DNS_HEADER;
  question->limit = DNS_UDP_MAX;
  if (question->flags & FLAG_RESPONSE) return -1;
  if (question->flags & OPCODE) return DNS_NOT_IMPLEMENTED;
  if (get16(message + 4) != 1) return DNS_FORMAT;
  size_t at = parse_name(message, length, DNS_HEADER, question->name);
  if (at == 0 || length - at < 4) {
    question->name[0] = 0;
    return DNS_FORMAT;
  }
  question->type = get16(message + at);
  question->class = get16(message + at + 2);
  question->end = at + 4;
  question->limit = udp_limit(message, length, question->end);
  if (question->class != CLASS_IN) question->name[0] = 0;
  return DNS_OK;
}

static bool reverse4(const char *name, size_t length, char *out, size_t size) {
  unsigned byte[4];
  char rest[DNS_NAME_MAX + 1], again[32];
  int end = 0;
  if (length >= sizeof rest) return false;
  memcpy(rest, name, length);
  rest[length] = 0;
  if (sscanf(rest, "%3u.%3u.%3u.%3u%n", &byte[0], &byte[1], &byte[2], &byte[3], &end) != 4 || rest[end] != 0) return false;
  snprintf(again, sizeof again, "%u.%u.%u.%u", byte[3], byte[2], byte[1], byte[0]);
  struct in_addr address;
  return inet_pton(AF_INET, again, &address) == 1 && inet_ntop(AF_INET, &address, out, (socklen_t)size) != NULL;
}

static int nibble(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static bool reverse6(const char *name, size_t length, char *out, size_t size) {
  struct in6_addr address = {0};
  if (length != 63) return false;
  for (unsigned i = 0; i < 32; i++) {
    int value = nibble(name[2 * i]);
    if (value < 0 || (i < 31 && name[2 * i + 1] != '.')) return false;
    unsigned place = 31 - i;
    address.s6_addr[place / 2] |= (uint8_t)(place % 2 ? value : value << 4);
  }
  return inet_ntop(AF_INET6, &address, out, (socklen_t)size) != NULL;
}

bool dns_reverse(const char *name, char *out, size_t size) {
  static const char four[] = ".in-addr.arpa", six[] = ".ip6.arpa";
  size_t length = strlen(name);
  if (length > strlen(four) && strcmp(name + length - strlen(four), four) == 0) return reverse4(name, length - strlen(four), out, size);
  if (length > strlen(six) && strcmp(name + length - strlen(six), six) == 0) return reverse6(name, length - strlen(six), out, size);
  return false;
}

void dns_begin(struct dns_answer *answer, uint8_t *data, size_t size, const uint8_t *message, const struct dns_question *question, int code) {
  size_t question_bytes = question->end - DNS_HEADER;
  *answer = (struct dns_answer){.data = data, .size = size};
  memset(data, 0, DNS_HEADER);
  put16(data, question->id);
  put16(data + 2, FLAG_RESPONSE | (question->flags & (OPCODE | FLAG_RECURSION_DESIRED)) | FLAG_RECURSION_AVAILABLE | (unsigned)code);
  if (question_bytes > 0) {
    put16(data + 4, 1);
    memcpy(data + DNS_HEADER, message + DNS_HEADER, question_bytes);
  }
  answer->length = DNS_HEADER + question_bytes;
}

static bool add(struct dns_answer *answer, uint16_t type, const void *value, size_t length) {
  uint8_t *at = answer->data + answer->length;
  if (answer->size - answer->length < 12 + length) {
    put16(answer->data + 2, get16(answer->data + 2) | FLAG_TRUNCATED);
    return false;
  }
  put16(at, 0xc000u | DNS_HEADER); /* The name that was asked for. */
  put16(at + 2, type);
  put16(at + 4, CLASS_IN);
  put16(at + 6, TTL >> 16);
  put16(at + 8, TTL & 0xffff);
  put16(at + 10, (unsigned)length);
  memcpy(at + 12, value, length);
  answer->length += 12 + length;
  put16(answer->data + 6, get16(answer->data + 6) + 1u);
  return true;
}

bool dns_add_address(struct dns_answer *answer, uint16_t type, const void *address) {
  return add(answer, type, address, type == DNS_A ? 4 : 16);
}

bool dns_add_name(struct dns_answer *answer, const char *name) {
  uint8_t bytes[DNS_NAME_MAX + 2];
  size_t used = 0;
  while (*name) {
    size_t label = strcspn(name, ".");
    if (label == 0 || label > LABEL_MAX || used + label + 2 > sizeof bytes) return false;
    bytes[used++] = (uint8_t)label;
    memcpy(bytes + used, name, label);
    used += label;
    name += label + (name[label] == '.');
  }
  bytes[used++] = 0;
  return add(answer, DNS_PTR, bytes, used);
}

bool dns_answers(const uint8_t *reply, size_t length, const uint8_t *question, size_t end, uint16_t id) {
  if (length < DNS_HEADER || get16(reply) != id || !(get16(reply + 2) & FLAG_RESPONSE)) return false;
  /* A server that could not read the question need not repeat it. */
  if (get16(reply + 4) == 0) return true;
  return length >= end && memcmp(reply + DNS_HEADER, question + DNS_HEADER, end - DNS_HEADER) == 0;
}
