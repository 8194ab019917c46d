/* The op "cg-freezer PATH FROZEN THAWED STATE DONE": where the kernel is told to freeze a container, and says whether it has. */
#ifndef TSC_FREEZER_H
#define TSC_FREEZER_H

#include <stdbool.h>

#include "wire.h"

bool freezer_frozen(const struct plan *plan);
/* So that a signal can be delivered. Nothing where it does not stand still. */
void freezer_thaw(const struct plan *plan);

#endif
