import type { EngineInfo } from '../../types.js';
import type { Invocation } from '../command.js';
import type { formatFlags } from '../commands/system.js';
import { print, withEngine } from '../session.js';
import { Template } from '../template.js';

/** `info`. */
export async function info({ globals, flags }: Invocation<typeof formatFlags>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) => {
    const facts = toDocker(await engine.info({ signal }));
    if (flags.format === 'json') print(JSON.stringify(facts));
    else if (flags.format !== undefined) print(new Template(flags.format).render(facts));
    else print(toText(facts));
    for (const warning of flags.format === undefined ? facts.Warnings : [])
      process.stderr.write(`WARNING: ${warning}\n`);
    return 0;
  });
}

type Facts = ReturnType<typeof toDocker>;

/** The part of Docker's SystemInfo that means something here. */
function toDocker(info: EngineInfo) {
  return {
    Containers: info.containers.total,
    ContainersRunning: info.containers.running,
    ContainersPaused: info.containers.paused,
    ContainersStopped: info.containers.stopped,
    Images: info.images,
    Driver: info.snapshotter === 'overlay' ? 'overlay2' : 'vfs',
    LoggingDriver: 'json-file',
    CgroupDriver: info.cgroupVersion === undefined ? 'none' : 'cgroupfs',
    CgroupVersion: info.cgroupVersion === undefined ? '' : String(info.cgroupVersion),
    KernelVersion: info.kernelVersion,
    OperatingSystem: info.operatingSystem,
    OSType: 'linux',
    Architecture: info.architecture,
    NCPU: info.cpus,
    MemTotal: info.memoryBytes,
    DockerRootDir: info.root,
    Name: info.hostname,
    ServerVersion: info.version,
    SecurityOptions: info.security.map(name => (name === 'seccomp' ? 'name=seccomp,profile=builtin' : `name=${name}`)),
    Warnings: info.warnings,
  };
}

function toText(facts: Facts): string {
  return [
    `Containers: ${facts.Containers}`,
    ` Running: ${facts.ContainersRunning}`,
    ` Paused: ${facts.ContainersPaused}`,
    ` Stopped: ${facts.ContainersStopped}`,
    `Images: ${facts.Images}`,
    `Server Version: ${facts.ServerVersion}`,
    `Storage Driver: ${facts.Driver}`,
    `Logging Driver: ${facts.LoggingDriver}`,
    `Cgroup Driver: ${facts.CgroupDriver}`,
    `Cgroup Version: ${facts.CgroupVersion}`,
    'Security Options:',
    ...facts.SecurityOptions.flatMap(option => {
      const [name = '', ...more] = option.split(',').map(pair => pair.split('=')[1] ?? '');
      return [` ${name}`, ...more.map(profile => `  Profile: ${profile}`)];
    }),
    `Kernel Version: ${facts.KernelVersion}`,
    `Operating System: ${facts.OperatingSystem}`,
    `OSType: ${facts.OSType}`,
    `Architecture: ${facts.Architecture}`,
    `CPUs: ${facts.NCPU}`,
    `Total Memory: ${(facts.MemTotal / 2 ** 30).toPrecision(4)}GiB`,
    `Name: ${facts.Name}`,
    `Docker Root Dir: ${facts.DockerRootDir}`,
  ].join('\n');
}
