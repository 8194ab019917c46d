/** What a filter is asked about; `struct seccomp_data` without the instruction pointer. */
export interface Call {
  readonly arch: number;
  readonly number: number;
  readonly args?: readonly bigint[];
}

/** Runs a seccomp filter as the kernel would, and returns its verdict. Fails on what the kernel would not have loaded. */
export function runFilter(program: Buffer, call: Call): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(call.number >>> 0, 0);
  data.writeUInt32LE(call.arch >>> 0, 4);
  (call.args ?? []).forEach((value, index) => data.writeBigUInt64LE(value, 16 + 8 * index));
  let a = 0;
  for (let pc = 0; pc < program.length / 8; pc++) {
    const code = program.readUInt16LE(pc * 8);
    const [yes, no] = [program.readUInt8(pc * 8 + 2), program.readUInt8(pc * 8 + 3)];
    const k = program.readUInt32LE(pc * 8 + 4);
    switch (code) {
      case 0x20:
        if (k % 4 !== 0 || k >= 64) throw new RangeError(`load from ${k} at ${pc}`);
        a = data.readUInt32LE(k);
        break;
      case 0x54:
        a = (a & k) >>> 0;
        break;
      case 0x05:
        pc += k;
        break;
      case 0x15:
        pc += a === k ? yes : no;
        break;
      case 0x25:
        pc += a > k ? yes : no;
        break;
      case 0x35:
        pc += a >= k ? yes : no;
        break;
      case 0x06:
        return k;
      default:
        throw new RangeError(`instruction 0x${code.toString(16)} at ${pc}`);
    }
  }
  throw new RangeError('the filter runs off its end');
}
