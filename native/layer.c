/*
 * The layer mode: a tar stream on stdin becomes a directory tree.
 *
 * Its parent is Node, which started it for one layer and reads its facts; it ends with the stream, with the first failure,
 * or when Node goes (stdin ends early). Everything on stdin is hostile. So, before the first byte is read, it makes the
 * target its root directory, drops to the file capabilities and sets no_new_privs: a path has nowhere to lead to, and a
 * mistake in here little to misuse.
 *
 * Plan: "target" DIRECTORY; "whiteouts" overlay|delete [trusted|user]; "decode" gzip, or "decode" exec PROGRAM [ARGUMENT…];
 * "limits" BYTES ENTRIES; "idmap" uid|gid INSIDE OUTSIDE COUNT (any number); "owners" ignore; "sync" (everything is on disk
 * before "done").
 * Facts: {"fact":"opaque","path":…} for each directory that hides what lower layers have in it;
 * {"fact":"done","entries":…,"bytes":…,"tarBytes":…,"sha256":…,"skippedXattrs":…,"skippedDevices":…} with the bytes of the files, and
 * size and digest of the tar, which is the layer's diffID; or "error", with a "reason" where the archive is to blame: stages
 * layer-parse (malformed), layer-path (leads out, or nowhere), layer-decode, layer-limit.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "layer_decode.h"
#include "layer_tar.h"
#include "layer_tree.h"
#include "modes.h"
#include "util.h"

#define BIT(capability) (1ull << (capability))

struct layer {
  struct tree tree;
  struct id_range uids[340], gids[340]; /* As many as the kernel takes. */
  const char *target;
  const struct op *decode;
  uint64_t max_bytes, max_entries;
  bool sync;
};

static int add_range(struct id_range *ranges, size_t *count, const struct op *op) {
  if (*count == countof(((struct layer *)0)->uids)) {
    errno = E2BIG;
    return fail("layer-plan", "plan", "idmap");
  }
  long long inside = op_number(op, 2, -1), outside = op_number(op, 3, -1), size = op_number(op, 4, -1);
  if (inside < 0 || outside < 0 || size <= 0 || inside + size > UINT32_MAX || outside + size > UINT32_MAX) {
    errno = EINVAL;
    return fail("layer-plan", "plan", "idmap");
  }
  ranges[(*count)++] = (struct id_range){(uint32_t)inside, (uint32_t)outside, (uint32_t)size};
  return 0;
}

static int read_plan(const struct plan *plan, struct layer *layer) {
  struct tree *tree = &layer->tree;
  tree->uids = layer->uids;
  tree->gids = layer->gids;
  tree->overlay = true;
  tree->opaque = "trusted.overlay.opaque";
  layer->max_bytes = layer->max_entries = UINT64_MAX;
  for (size_t i = 0; i < plan->count; i++) {
    const struct op *op = &plan->ops[i];
    bool ok = true;
    if (op_is(op, "target")) layer->target = op_text(op, 1);
    else if (op_is(op, "whiteouts")) {
      tree->overlay = strcmp(op_text(op, 1), "overlay") == 0;
      ok = tree->overlay || strcmp(op_text(op, 1), "delete") == 0;
      if (strcmp(op_text(op, 2), "user") == 0) tree->opaque = "user.overlay.opaque";
    } else if (op_is(op, "limits")) {
      layer->max_bytes = (uint64_t)op_number(op, 1, -1);
      layer->max_entries = (uint64_t)op_number(op, 2, -1);
    } else if (op_is(op, "idmap")) {
      bool users = strcmp(op_text(op, 1), "uid") == 0;
      if (add_range(users ? layer->uids : layer->gids, users ? &tree->uid_count : &tree->gid_count, op) < 0) return -1;
    } else if (op_is(op, "owners")) tree->ignore_owners = strcmp(op_text(op, 1), "ignore") == 0;
    else if (op_is(op, "decode")) layer->decode = op;
    else if (op_is(op, "sync")) layer->sync = true;
    else ok = false;
    if (!ok) {
      errno = EINVAL;
      return fail("layer-plan", "plan", op_text(op, 0));
    }
  }
  if (layer->target && layer->target[0] == '/') return 0;
  errno = EINVAL;
  return fail("layer-plan", "plan", "target");
}

#ifdef __SANITIZE_ADDRESS__
/* The sanitizer's leak check reads /proc, which is not there after chroot. */
static int without_proc;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return without_proc; }
#endif

static int confine(struct layer *layer) {
  struct tree *tree = &layer->tree;
  tree->root = open(layer->target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (tree->root < 0) return fail("layer-target", "open", layer->target);
  if (fchdir(tree->root) < 0) return fail("layer-target", "fchdir", layer->target);
  if (chroot(".") < 0) return fail("layer-chroot", "chroot", layer->target);
#ifdef __SANITIZE_ADDRESS__
  without_proc = 1;
#endif
  uint64_t keep = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_MKNOD) | BIT(CAP_SETFCAP);
  /* trusted.overlay.opaque can be set with CAP_SYS_ADMIN only: the price of overlayfs's own format. Delete mode does without
   * (other trusted.* attributes are then left out), and so does user.overlay.opaque. */
  if (tree->overlay && strncmp(tree->opaque, "trusted.", 8) == 0) keep |= BIT(CAP_SYS_ADMIN);
  if (drop_capabilities(keep) < 0) return fail("layer-capabilities", "capset", "");
  umask(0);
  /* Removing a deep tree holds one descriptor per level. */
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
  }
  return tree_open(tree);
}

static int extract(struct layer *layer, struct tar_reader *reader, uint64_t *entries) {
  struct tar_entry entry;
  int found;
  while ((found = tar_next(reader, &entry)) > 0) {
    if (++*entries > layer->max_entries) {
      reader->reason = "the layer has more entries than allowed";
      errno = EFBIG;
      return tree_fail_reader(reader, entry.name);
    }
    if (tree_place(&layer->tree, reader, &entry) < 0) return -1;
  }
  if (found < 0) return tree_fail_reader(reader, "");
  if (tree_finish(&layer->tree) < 0) return -1;
  if (tar_drain(reader) < 0) return tree_fail_reader(reader, "");
  if (layer->sync && syncfs(layer->tree.root) < 0) return fail("layer-sync", "syncfs", layer->target);
  return 0;
}

int layer_main(const struct plan *plan) {
  static struct layer layer;
  struct tar_reader reader;
  struct decoder decoder = {.pid = -1};
  uint64_t entries = 0;
  if (plan_find(plan, "layer")) return files_main(plan); /* The other way round. */
  if (read_plan(plan, &layer) < 0) return 1;
  int input = layer.decode ? decode_start(&decoder, layer.decode) : STDIN_FILENO;
  if (input < 0 || confine(&layer) < 0) return 1;
  if (tar_open(&reader, input, layer.max_bytes) < 0) {
    fail("layer-read", "malloc", "");
    return 1;
  }
  reader.at_end = decode_finish;
  reader.context = &decoder;
  int result = extract(&layer, &reader, &entries);
  if (result == 0) {
    char hex[65];
    sha256_final(&reader.digest, hex);
    fact_json("done", "\"entries\":%llu,\"bytes\":%llu,\"tarBytes\":%llu,\"sha256\":\"%s\",\"skippedXattrs\":%llu,\"skippedDevices\":%llu",
              (unsigned long long)entries, (unsigned long long)layer.tree.content_bytes, (unsigned long long)reader.bytes, hex, (unsigned long long)layer.tree.skipped_xattrs,
              (unsigned long long)layer.tree.skipped_devices);
  }
  tar_close(&reader);
  tree_close(&layer.tree);
  return result == 0 ? 0 : 1;
}
