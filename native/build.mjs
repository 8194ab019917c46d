#!/usr/bin/env node
// Builds the helper with the machine's C compiler into native/out/. `--sanitize` makes the ASan/UBSan build beside it.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const sanitize = process.argv.includes('--sanitize');
const out = join(here, 'out', sanitize ? 'tscontainer-helper-asan' : 'tscontainer-helper');
const sources = readdirSync(here).filter(name => name.endsWith('.c')).sort();
const inputs = readdirSync(here).filter(name => /\.[ch]$|^build\.mjs$/.test(name));

const warnings = ['-Wall', '-Wextra', '-Wshadow', '-Wstrict-prototypes', '-Wformat=2', '-Wno-format-nonliteral', '-Wvla'];
const hardening = ['-O2', '-fstack-protector-strong', '-D_FORTIFY_SOURCE=2', '-fPIE', '-static-pie', '-Wl,-z,relro,-z,now', '-Wl,-z,noexecstack'];
const checking = ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'];

function upToDate() {
  try {
    const built = statSync(out).mtimeMs;
    return inputs.every(name => statSync(join(here, name)).mtimeMs < built);
  } catch {
    return false; // Not built yet: stat says ENOENT.
  }
}

if (process.platform !== 'linux') {
  console.error('tscontainer: the helper is for Linux only; nothing was built. Types and pure functions still work.');
} else if (!upToDate()) {
  mkdirSync(join(here, 'out'), { recursive: true });
  const temporary = `${out}.${process.pid}`;
  const cc = process.env.CC ?? 'cc';
  const args = ['-std=gnu11', ...warnings, ...(sanitize ? checking : hardening), '-o', temporary, ...sources];
  const result = spawnSync(cc, args, { cwd: here, stdio: 'inherit' });
  if (result.error) {
    console.error(`tscontainer: no C compiler: ${cc}: ${result.error.message}. Install one (Debian: apt-get install gcc libc6-dev) or set CC.`);
    process.exit(1);
  }
  if (result.status !== 0) process.exit(result.status ?? 1);
  renameSync(temporary, out);
}
