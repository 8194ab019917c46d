// Compiled, not run: events have names and payloads that belong together.
import type { Engine, EngineEvent, ExitStatus } from 'tscontainer';

export function listen(engine: Engine): void {
  engine.on('container:exit', ({ id, status }) => {
    const how: ExitStatus = status;
    void [id.length, how.exitCode];
  });
  // @ts-expect-error no such event
  engine.on('container:died', () => {});
  // @ts-expect-error an exit has no pid
  engine.on('container:exit', ({ pid }) => void pid);
}

export function everyEventIsKnown(event: EngineEvent): string {
  switch (event.type) {
    case 'container:create':
    case 'network:create':
    case 'network:remove':
    case 'network:connect':
    case 'network:disconnect':
      return event.name;
    case 'container:start':
      return String(event.pid);
    case 'container:kill':
      return event.signal;
    case 'container:health':
      return event.health;
    case 'container:exit':
      return String(event.status.exitCode);
    case 'image:pull':
    case 'image:push':
    case 'image:load':
    case 'image:import':
    case 'image:save':
    case 'image:tag':
    case 'image:untag':
      return event.ref;
    case 'container:commit':
      return event.imageId;
    case 'container:rename':
      return event.oldName;
    case 'container:update':
    case 'container:remove':
    case 'container:oom':
    case 'container:stop':
    case 'container:restart':
    case 'container:pause':
    case 'container:unpause':
      return event.image;
    case 'image:remove':
    case 'volume:create':
    case 'volume:remove':
      return event.id;
    case 'warning':
      return event.message;
    default:
      return event satisfies never;
  }
}
