/*
 * The small file that tells of one exec: what was asked for, as Node wrote it, and how it goes. Whoever opens the store can
 * read it, also when whoever started the exec is gone.
 */
#ifndef TSC_EXEC_RECORD_H
#define TSC_EXEC_RECORD_H

#include "wire.h"

/* exec-record FILE JSON: writes JSON, which is an object without its last brace, and body. Readers never see half of it. */
void exec_record_write(const struct op *op, const char *body);

#endif
