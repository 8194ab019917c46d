// Compiled, not run: what the types allow and what they do not.
import type { Container, Engine, Image, Owned } from 'tscontainer';

export async function onlyWhatWasCreatedIsDisposedOf(engine: Engine): Promise<void> {
  await using created = await engine.launch('web');
  const asLookedUp: Container = created;
  const again: Owned<Container> = created;

  // @ts-expect-error only what was created here may be disposed of
  await using found = await engine.containers.get('web');
  // @ts-expect-error the same for images, which belong to the store
  await using image: Image = await engine.images.get('web');
  // @ts-expect-error and for a network that somebody made
  await using network = await engine.networks.get('web');

  void [asLookedUp, again, found, image, network];
}
