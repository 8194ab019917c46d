/* Rules for device nodes on version 2 of cgroups. */
#ifndef TSC_DEVICE_H
#define TSC_DEVICE_H

#include "wire.h"

/* cg-devices DIR PROGRAM: from now on the program decides for whoever is in the cgroup. 0, or -1 after fail(). */
int device_attach(const struct op *op);

#endif
