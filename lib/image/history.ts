import type { ImageHistory } from '../oci/image-spec.js';
import type { Digest } from '../types.js';
import { familiar, instantOf } from './inspect.js';
import type { ImageRecord } from './record.js';

/** One step of how an image came about. */
export interface HistoryStep {
  /** The image, for its last step; `undefined` for those before: what they made is no image here. */
  readonly id: Digest | undefined;
  /** When, as the image says. */
  readonly createdAt: Date | undefined;
  /** What was run, as the image says. */
  readonly createdBy: string;
  /** Who, as the image says. */
  readonly author: string;
  /** What somebody had to say about it. */
  readonly comment: string;
  /** It changed no file. */
  readonly emptyLayer: boolean;
  /** Bytes of the layer that it made, unpacked; 0 when it made none. */
  readonly sizeBytes: number;
  /** The layer that it made. */
  readonly diffId: Digest | undefined;
  /** The image's names, for its last step. */
  readonly tags: readonly string[];
}

/**
 * How an image came about, the last step first, as `docker history` lists it.
 *
 * @param tags - The image's, in full.
 */
export function historyOf(
  record: ImageRecord,
  tags: readonly string[],
  history: readonly ImageHistory[],
): readonly HistoryStep[] {
  const layers = record.layers.values();
  const steps = history.map((step): HistoryStep => {
    const { created, created_by: createdBy = '', author = '', comment = '', empty_layer: emptyLayer = false } = step;
    // An image may tell of more steps with layers than it has layers; nothing was made by those.
    const layer = emptyLayer ? undefined : layers.next().value;
    return {
      id: undefined,
      createdAt: instantOf(created),
      createdBy,
      author,
      comment,
      emptyLayer,
      sizeBytes: layer?.bytes ?? 0,
      diffId: layer?.diffId,
      tags: [],
    };
  });
  const last = steps.pop();
  if (last === undefined) return [];
  return [{ ...last, id: record.config, tags: tags.map(familiar) }, ...steps.reverse()];
}
