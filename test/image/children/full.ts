import { ImageCollection } from '../../../lib/image/images.js';
import { Store } from '../../../lib/store/store.js';
import { errorCode } from '../../../lib/errors.js';

// Loads an archive into a store on a disk that is too small, and says what came of it and whether the store is whole.
const [root = '', runRoot = '', archive = ''] = process.argv.slice(2);
const store = await Store.open({ root, runRoot });
const images = new ImageCollection({ store });
let said = 'loaded';
try {
  await images.load(archive);
} catch (error) {
  const { errno = '' } = error as { errno?: string };
  said = `${errorCode(error) ?? 'untyped'} ${errno}`;
}
await store.close();
const again = await Store.open({ root, runRoot });
const { problems, images: count } = await new ImageCollection({ store: again }).check({}, () => []);
process.stdout.write(JSON.stringify({ said, count, problems }));
await again.close();
