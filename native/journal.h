/* Lines in the store's journal of events, of what happens when Node may be gone. lib/store/journal.ts reads them. */
#ifndef TSC_JOURNAL_H
#define TSC_JOURNAL_H

#include "wire.h"

/* {"type":type,"time":now,what the "journal" op says of the container, then format}. Nothing without that op, or when it cannot be written. */
void journal_event(const struct plan *plan, const char *type, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* "describe JSON": the container's name is another one now. */
void journal_describe(const char *json, size_t length);

#endif
