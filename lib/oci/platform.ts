import { NotFoundError, ParseError } from '../errors.js';
import type { PlatformString } from '../types.js';

import { isIndex, isManifest, type Descriptor, type Platform } from './descriptor.js';
import type { ImageIndex } from './image-spec.js';

/** The platform of this process, in Go's words, as all of OCI uses them. */
export function hostPlatform(): Platform {
  const variant = process.arch === 'arm' ? armVariant() : undefined;
  return normalizePlatform({
    os: process.platform === 'win32' ? 'windows' : process.platform,
    architecture: process.arch === 'ia32' ? '386' : process.arch,
    ...(variant !== undefined && { variant }),
  });
}

function armVariant(): string {
  const { arm_version: version } = process.config.variables as { arm_version?: string | number };
  return `v${version ?? 7}`;
}

const component = /^[A-Za-z0-9_.-]+$/;

/**
 * Reads `os/architecture` or `os/architecture/variant`; the spellings of `uname` are understood too.
 *
 * @throws {@link ParseError} when it has another shape.
 */
export function parsePlatform(text: string, call = 'parsePlatform'): Platform {
  const [os, architecture, variant, ...more] = text.split('/');
  const parts = [os, architecture, ...(variant === undefined ? [] : [variant])];
  if (os === undefined || architecture === undefined || more.length > 0 || !parts.every(p => p && component.test(p))) {
    throw new ParseError({
      call,
      source: text.slice(0, 200),
      reason: 'is not a platform: expected os/architecture or os/architecture/variant',
      remedy: 'For example linux/amd64 or linux/arm64/v8',
    });
  }
  return normalizePlatform({ os, architecture, ...(variant !== undefined && { variant }) });
}

/** As {@link parsePlatform} reads it. */
export function formatPlatform(platform: Platform): PlatformString {
  const { os, architecture, variant } = platform;
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

const architectures: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x64: ['amd64'],
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  i386: ['386'],
  i686: ['386'],
  ia32: ['386'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
  ppc64el: ['ppc64le'],
};

/** What every processor of its kind has, and what is therefore left unsaid. */
const plainVariants: Readonly<Record<string, string>> = { amd64: 'v1', arm64: 'v8' };

/** One spelling for each platform: `linux/arm64/v8` and `linux/aarch64` are both `linux/arm64`. */
export function normalizePlatform(platform: Platform): Platform {
  const { variant: given, ...rest } = platform;
  const spelled = platform.architecture.toLowerCase();
  const [architecture, implied] = (Object.hasOwn(architectures, spelled) && architectures[spelled]) || [spelled];
  const variant = normalizeVariant(architecture, given?.toLowerCase() ?? implied);
  return { ...rest, os: platform.os.toLowerCase(), architecture, ...(variant !== undefined && { variant }) };
}

function normalizeVariant(architecture: string, variant: string | undefined): string | undefined {
  if (variant === undefined || variant === '') return architecture === 'arm' ? 'v7' : undefined;
  const spelled = /^\d/.test(variant) ? `v${variant}` : variant;
  return Object.hasOwn(plainVariants, architecture) && plainVariants[architecture] === spelled ? undefined : spelled;
}

/**
 * What runs on `platform`, best first: itself, lesser variants, then its 32-bit mode. An image for `linux/arm/v6` is
 * chosen on `linux/arm/v7` when there is nothing better, as containerd does.
 */
export function compatiblePlatforms(platform: Platform): Platform[] {
  const wanted = normalizePlatform(platform);
  const as = (architecture: string, variant?: string): Platform => ({
    os: wanted.os,
    architecture,
    ...(variant !== undefined && { variant }),
  });
  switch (wanted.architecture) {
    case 'amd64':
      return [
        wanted,
        ...lesser(wanted.variant, 2).map(v => as('amd64', v)),
        ...atLeast(wanted, as('amd64')),
        as('386'),
      ];
    case 'arm':
      return [wanted, ...lesser(wanted.variant, 5).map(v => as('arm', v))];
    case 'arm64':
      return [wanted, ...atLeast(wanted, as('arm64')), as('arm', 'v8'), ...lesser('v8', 5).map(v => as('arm', v))];
    default:
      return [wanted];
  }
}

/** `v7` and a lowest of 5 give `v6`, `v5`. */
function lesser(variant: string | undefined, lowest: number): string[] {
  const version = Number(variant?.slice(1));
  const below: string[] = [];
  for (let v = version - 1; v >= lowest; v--) below.push(`v${v}`);
  return below;
}

/** The plain platform, when the wanted one is more than that. */
function atLeast(wanted: Platform, plain: Platform): Platform[] {
  return wanted.variant === undefined ? [] : [plain];
}

/**
 * Chooses the manifest for a platform. The first match wins (image-spec v1.1.1, image-index.md); entries that say no
 * platform, such as nested indexes, come last.
 *
 * @throws {@link NotFoundError} that lists what there is.
 */
export function choosePlatform(
  index: ImageIndex,
  wanted: Platform | PlatformString,
  origin: { readonly call: string; readonly ref: string } = { call: 'choosePlatform', ref: 'index' },
): Descriptor {
  const platform = typeof wanted === 'string' ? parsePlatform(wanted, origin.call) : normalizePlatform(wanted);
  const images = index.manifests.filter(isImage);
  for (const candidate of compatiblePlatforms(platform)) {
    const match = images.find(image => image.platform !== undefined && same(image.platform, candidate));
    if (match !== undefined) return match;
  }
  const unsaid = images.find(image => image.platform === undefined);
  if (unsaid !== undefined) return unsaid;
  throw new NotFoundError({
    call: origin.call,
    kind: 'image',
    ref: `${origin.ref} for ${formatPlatform(platform)}`,
    remedy: whatThereIs(images),
  });
}

function same(offered: Platform, candidate: Platform): boolean {
  return formatPlatform(normalizePlatform(offered)) === formatPlatform(candidate);
}

/** BuildKit stores attestations beside the images, for the platform `unknown/unknown`. */
function isImage(descriptor: Descriptor): boolean {
  if (!isManifest(descriptor.mediaType) && !isIndex(descriptor.mediaType)) return false;
  if (descriptor.annotations?.['vnd.docker.reference.type'] !== undefined) return false;
  return descriptor.platform?.os !== 'unknown';
}

function whatThereIs(images: readonly Descriptor[]): string {
  const platforms = images.flatMap(image =>
    image.platform ? [formatPlatform(normalizePlatform(image.platform))] : [],
  );
  if (platforms.length === 0) return 'Its index lists no image at all';
  return `It is there for ${[...new Set(platforms)].slice(0, 30).join(', ')}. Pass one of these as platform`;
}
