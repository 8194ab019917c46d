/* Questions that others have to answer: asked over UDP or TCP as the client asked, one server after the other. */
#ifndef TSC_RESOLVER_FORWARD_H
#define TSC_RESOLVER_FORWARD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"
#include "netns.h"
#include "wire.h"

/* Whoever waits for an answer. reply is called once, with a copy of context; with no data when there is nobody to answer any more. */
struct forward_client {
  void (*reply)(void *context, const uint8_t *data, size_t length);
  size_t context_size;
  _Alignas(8) uint8_t context[sizeof(struct sockaddr_in)];
  bool stream;
};

/* A server: from "host", this process's network namespace, or "inside", the container's. */
int forward_add(const char *from, const char *address);
void forward_clear(void);
/* The container's network namespace; it is kept by the caller. */
void forward_from(int netns);
/* Takes the question on, or -1 when there is no server, or too much under way. */
int forward(struct loop *loop, const uint8_t *message, size_t length, size_t question_end, const struct forward_client *client);

#endif
