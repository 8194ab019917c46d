import { formatFeatures, probeFeatures } from '../../host/features.js';
import { defaultRoot } from '../../store/paths.js';
import type { Features } from '../../types.js';
import type { Invocation } from '../command.js';
import type { doctorFlags } from '../commands/system.js';
import { print } from '../session.js';
import { UsageError } from '../usage-error.js';

/** Without these there is no container at all; without any other one, containers lack something. */
const essential: readonly (keyof Features)[] = ['linux', 'namespaces'];

/** `doctor`. Probes without opening the store: what keeps it from being opened is what is asked for. */
export async function doctor({ globals, flags }: Invocation<typeof doctorFlags>): Promise<number> {
  if (flags.format !== undefined && flags.format !== 'json')
    throw new UsageError(`invalid format ${JSON.stringify(flags.format)}: it is json`, 1);
  const features = await probeFeatures({ directory: globals.root ?? defaultRoot() });
  print(flags.format === 'json' ? JSON.stringify(features, null, 4) : formatFeatures(features).trimEnd());
  return essential.every(feature => features[feature].available) ? 0 : 1;
}
