/* A transaction of nftables, built with the requests of rtnl.h. */
#ifndef TSC_NFT_BATCH_H
#define TSC_NFT_BATCH_H

#include "rtnl.h"

/* Each request in between asks for an acknowledgement by itself (NLM_F_ACK). */
void nft_begin(struct rtnl *batch);
/* Sends it and waits for so many acknowledgements. All of it or nothing: 0, or -1 with errno. */
int nft_commit(struct rtnl *batch, unsigned count);

#endif
