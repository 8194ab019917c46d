/* Entries whose names say that something of the layers below is gone. */
#ifndef TSC_LAYER_WHITEOUT_H
#define TSC_LAYER_WHITEOUT_H

#include "layer_tree.h"

/* base begins with ".wh.". 0, or -1 after fail(). */
int place_whiteout(struct tree *tree, const char *parent, const char *base);

#endif
