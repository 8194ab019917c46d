import { writeTar } from '../archive/writer.js';
import { mediaTypes, type Platform } from '../oci/descriptor.js';
import { digester, sha256 } from '../oci/digest.js';
import { hostPlatform } from '../oci/platform.js';
import { parseReference } from '../oci/reference.js';
import type { AbortOptions, Digest, Labels } from '../types.js';
import { bringIn, nameAgain, type ArrivalOptions } from './arrival.js';
import { HostTree, type HostFile } from './host-tree.js';
import type { ImageRecord } from './record.js';

/** Where a shell looks for programs, as in Docker's own images. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const EPOCH = '1970-01-01T00:00:00Z';

/** What an image made from this machine's programs is to have. */
export interface FromHostOptions extends AbortOptions {
  /** Programs, by path or by name as a shell would find them: `['/bin/sh', 'node']`. */
  readonly binaries: readonly string[];
  /** What else goes in. */
  readonly files?: readonly HostFile[];
  /** The image's name. Left out: none. */
  readonly tag?: string;
  /** Besides `PATH`, which has the directories of the programs. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: none. */
  readonly entrypoint?: readonly string[];
  /** Default: the first of the programs. */
  readonly cmd?: readonly string[];
  /** Default `/`. */
  readonly workingDir?: string;
  /** Default: root. */
  readonly user?: string;
  /** To find it by. */
  readonly labels?: Labels;
}

/** Makes an image of programs that this machine has: one layer, the same for the same inputs. */
export async function bringFromHost(options: FromHostOptions, arrival: ArrivalOptions): Promise<ImageRecord> {
  const { call, catalog, signal } = arrival;
  if (options.binaries.length === 0 && (options.files ?? []).length === 0) {
    throw new TypeError(`${call}: expected at least one program or file`);
  }
  const tags = options.tag === undefined ? [] : [parseReference(options.tag, { call }).toString()];
  const tree = HostTree.collect({ binaries: options.binaries, files: options.files ?? [], call });
  const run = runConfig(options, tree);
  const inputs = sha256(JSON.stringify([tree.fingerprint(), run]));
  const before = catalog.list().find(record => record.inputs === inputs);
  const again = before === undefined ? undefined : await nameAgain(before, tags, arrival);
  if (again !== undefined) return again;

  const { digest, size } = await measure(tree, signal);
  const configBytes = Buffer.from(JSON.stringify(makeConfig(run, digest, hostPlatform())));
  const config = { mediaType: mediaTypes.ociConfig, digest: sha256(configBytes), size: configBytes.length };
  const layer = { mediaType: mediaTypes.ociLayer, digest, size };
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] };
  const manifestBytes = Buffer.from(JSON.stringify(manifest));
  return bringIn(
    {
      manifest: { mediaType: mediaTypes.ociManifest, digest: sha256(manifestBytes), size: manifestBytes.length },
      manifestBytes,
      configBytes,
      tags,
      repoDigests: [],
      source: 'the image from the host',
      inputs,
      blob: async (_, offset) => from(offset, writeTar(tree.entries())),
    },
    arrival,
  );
}

interface RunConfig {
  readonly Env: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly WorkingDir: string;
  readonly User?: string;
  readonly Labels?: Labels;
}

function runConfig(options: FromHostOptions, tree: HostTree): RunConfig {
  const { entrypoint, labels, user, workingDir = '/' } = options;
  const [first] = tree.programs;
  const cmd = options.cmd ?? (entrypoint === undefined && first !== undefined ? [first] : undefined);
  const directories = new Set([...PATH.split(':'), ...tree.programs.map(path => path.slice(0, path.lastIndexOf('/')))]);
  const env = { PATH: [...directories].join(':'), ...options.env };
  return {
    Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ...(entrypoint && { Entrypoint: entrypoint }),
    ...(cmd && { Cmd: cmd }),
    WorkingDir: workingDir,
    ...(user !== undefined && { User: user }),
    ...(labels && { Labels: labels }),
  };
}

function makeConfig(run: RunConfig, diffId: Digest, platform: Platform): object {
  const { os, architecture, variant } = platform;
  return {
    created: EPOCH,
    architecture,
    os,
    ...(variant === undefined ? {} : { variant }),
    config: run,
    rootfs: { type: 'layers', diff_ids: [diffId] },
    history: [{ created: EPOCH, created_by: 'tscontainer images.fromHost' }],
  };
}

/**
 * The layer's digest must be known before it is stored. Making the archive twice is faster than keeping it in between,
 * and a file that changes meanwhile does not go unnoticed.
 */
async function measure(tree: HostTree, signal: AbortSignal): Promise<{ digest: Digest; size: number }> {
  const hash = digester();
  let size = 0;
  for await (const chunk of writeTar(tree.entries())) {
    signal.throwIfAborted();
    hash.update(chunk);
    size += chunk.length;
  }
  return { digest: hash.digest(), size };
}

async function* from(offset: number, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let left = offset;
  for await (const chunk of chunks) {
    if (chunk.length > left) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}
