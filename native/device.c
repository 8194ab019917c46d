/*
 * Access to device nodes on version 2 of cgroups, which has no controller for it: a BPF program that the kernel asks for
 * each mknod and open. TypeScript wrote the program. It belongs to the cgroup, and goes with it.
 */
#define _GNU_SOURCE
#include "device.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "util.h"

static int sys_bpf(int command, union bpf_attr *attr) { return (int)syscall(SYS_bpf, command, attr, sizeof *attr); }

static int load(const struct field *program) {
  /* The plan's bytes have no alignment. */
  cleanup_free struct bpf_insn *instructions = malloc(program->length);
  if (!instructions) return -1;
  memcpy(instructions, program->text, program->length);
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.insns = (uint64_t)(uintptr_t)instructions;
  attr.insn_cnt = program->length / sizeof *instructions;
  attr.license = (uint64_t)(uintptr_t) "Apache";
  return sys_bpf(BPF_PROG_LOAD, &attr);
}

int device_attach(const struct op *op) {
  if (op->count < 3) {
    errno = EPROTO;
    return fail("devices", "plan", "");
  }
  cleanup_close int group = open(op_text(op, 1), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (group < 0) return fail("devices", "open", op_text(op, 1));
  cleanup_close int program = load(&op->fields[2]);
  if (program < 0) return fail("devices", "bpf", "BPF_PROG_LOAD");
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.target_fd = (uint32_t)group;
  attr.attach_bpf_fd = (uint32_t)program;
  attr.attach_type = BPF_CGROUP_DEVICE;
  /* Those of the groups above are asked as well: all have to agree. */
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  return sys_bpf(BPF_PROG_ATTACH, &attr) < 0 ? fail("devices", "bpf", "BPF_PROG_ATTACH") : 0;
}
