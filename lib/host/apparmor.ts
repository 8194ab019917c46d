import { readFileSync } from 'node:fs';

/** Why the kernel has no AppArmor, and what would change that; `undefined` when it has. */
export function appArmorMissing(): { readonly reason: string; readonly remedy: string } | undefined {
  try {
    if (readFileSync('/sys/module/apparmor/parameters/enabled', 'utf8').trim() === 'Y') return undefined;
  } catch {
    // Not built in, or not to be seen: it cannot be used either way.
  }
  return {
    reason: 'AppArmor is not enabled in this kernel',
    remedy: "Boot one with CONFIG_SECURITY_APPARMOR=y and lsm=apparmor, or pass 'unconfined'",
  };
}
