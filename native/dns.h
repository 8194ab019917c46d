/*
 * DNS messages: reading a question that somebody in a container wrote, and writing answers. No descriptors, no memory of
 * anything: bytes in, bytes out, every access bounds-checked. See RFC 1035, 4.1.
 */
#ifndef TSC_DNS_H
#define TSC_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_HEADER 12u
#define DNS_NAME_MAX 255u
#define DNS_MESSAGE_MAX 65535u
/* What a client takes over UDP that does not say more. */
#define DNS_UDP_MAX 512u

enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_AAAA = 28 };
enum dns_code { DNS_OK = 0, DNS_FORMAT = 1, DNS_FAILURE = 2, DNS_NOT_IMPLEMENTED = 4 };

struct dns_question {
  uint16_t id, flags, type, class;
  size_t end;                  /* where the question section ends in the message */
  size_t limit;                /* what the client takes over UDP */
  char name[DNS_NAME_MAX + 1]; /* lower case, dots between labels, none at the end; "" when it is not printable */
};

/* DNS_OK, or what to answer; -1 when it is no question at all and gets no answer. */
int dns_parse(const uint8_t *message, size_t length, struct dns_question *question);

/* The address that a reverse name stands for, as inet_ntop(3) writes it. false when it is no reverse name. */
bool dns_reverse(const char *name, char *out, size_t size);

/* A message under construction: starts as an answer to the question, with no records. */
struct dns_answer {
  uint8_t *data;
  size_t length, size;
};
void dns_begin(struct dns_answer *answer, uint8_t *data, size_t size, const uint8_t *message, const struct dns_question *question, int code);
/* false when there is no room: then the message says that it was cut. */
bool dns_add_address(struct dns_answer *answer, uint16_t type, const void *address);
bool dns_add_name(struct dns_answer *answer, const char *name);

/* Is that the answer to this question? Same id, same question. */
bool dns_answers(const uint8_t *reply, size_t length, const uint8_t *question, size_t end, uint16_t id);

#endif
