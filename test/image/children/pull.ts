/** Pulls an image into a store, and says what it does: `node pull.js ROOT RUN REF`. */
import { isEngineError } from '../../../lib/errors.js';
import { ImageCollection } from '../../../lib/image/images.js';
import { Store } from '../../../lib/store/store.js';

const [root = '', runRoot = '', ref = ''] = process.argv.slice(2);
await using store = await Store.open({ root, runRoot });
const images = new ImageCollection({ store });
try {
  const pulling = images.pull(ref);
  for await (const { kind, bytes } of pulling) console.log(`${kind} ${bytes}`);
  console.log(`pulled ${(await pulling).id}`);
} catch (error) {
  if (!isEngineError(error)) throw error;
  console.log(`left ${(await images.list()).length} images, ${store.snapshots.list().length} snapshots`);
  console.log(`failed ${error.code} ${error.message}`);
}
