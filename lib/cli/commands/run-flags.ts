import { integer, list, parsed, parsedList, text, toggle } from '../flags.js';
import {
  checkDeviceRule,
  checkSysctl,
  parseByteRate,
  parseDevice,
  parseOperationRate,
  parseUlimit,
  parseWeight,
} from '../isolation-options.js';
import { parseMount, parseTmpfs, parseVolume, parseVolumesFrom } from '../mounts.js';
import { checkEnv, checkLabel, parseHost, parsePair } from '../pairs.js';
import { parseBytes, parseDecimal, parseSpan, parseSwap } from '../units.js';

/** Checks a notation now, and keeps it as it was written: it is told back by `inspect`. */
function checked(parse: (text: string) => unknown): (text: string) => string {
  return text => {
    parse(text);
    return text;
  };
}

/** What a container is made of. */
export const createFlags = {
  'add-host': parsedList('list', 'Add a custom host-to-IP mapping (host:ip)', parseHost),
  annotation: parsedList('map', 'Add an annotation to the container', parsePair),
  'blkio-weight': integer('Block IO (relative weight), between 10 and 1000, or 0 to disable'),
  'blkio-weight-device': parsedList('list', 'Block IO weight (relative device weight)', parseWeight),
  'cap-add': list('Add Linux capabilities'),
  'cap-drop': list('Drop Linux capabilities'),
  'cgroup-parent': text('Optional parent cgroup for the container'),
  cgroupns: text('Cgroup namespace to use (host|private)'),
  cidfile: text('Write the container ID to the file'),
  'cpu-period': integer('Limit CPU CFS (Completely Fair Scheduler) period'),
  'cpu-quota': integer('Limit CPU CFS (Completely Fair Scheduler) quota'),
  'cpu-shares': integer('CPU shares (relative weight)', 'c'),
  cpus: parsed('decimal', 'Number of CPUs', parseDecimal),
  'cpuset-cpus': text('CPUs in which to allow execution (0-3, 0,1)'),
  'cpuset-mems': text('MEMs in which to allow execution (0-3, 0,1)'),
  device: parsedList('list', 'Add a host device to the container', parseDevice),
  'device-cgroup-rule': list('Add a rule to the cgroup allowed devices list', undefined, checkDeviceRule),
  'device-read-bps': parsedList('list', 'Limit read rate (bytes per second) from a device', parseByteRate),
  'device-read-iops': parsedList('list', 'Limit read rate (IO per second) from a device', parseOperationRate),
  'device-write-bps': parsedList('list', 'Limit write rate (bytes per second) to a device', parseByteRate),
  'device-write-iops': parsedList('list', 'Limit write rate (IO per second) to a device', parseOperationRate),
  dns: list('Set custom DNS servers'),
  'dns-opt': list('Set DNS options'),
  'dns-option': list('Set DNS options'),
  'dns-search': list('Set custom DNS search domains'),
  domainname: text('Container NIS domain name'),
  entrypoint: text('Overwrite the default ENTRYPOINT of the image'),
  env: list('Set environment variables', 'e', checkEnv),
  'env-file': list('Read in a file of environment variables'),
  expose: list('Expose a port or a range of ports'),
  'group-add': list('Add additional groups to join'),
  'health-cmd': text('Command to run to check health'),
  'health-interval': parsed('duration', 'Time between running the check (ms|s|m|h) (default 0s)', parseSpan),
  'health-on-failure': text('What becomes of a container that turns unhealthy: none, kill, restart or stop'),
  'health-retries': integer('Consecutive failures needed to report unhealthy'),
  'health-start-interval': parsed(
    'duration',
    'Time between running the check during the start period (ms|s|m|h) (default 0s)',
    parseSpan,
  ),
  'health-start-period': parsed(
    'duration',
    'Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)',
    parseSpan,
  ),
  'health-timeout': parsed('duration', 'Maximum time to allow one check to run (ms|s|m|h) (default 0s)', parseSpan),
  hostname: text('Container host name', 'h'),
  init: toggle('Run an init inside the container that forwards signals and reaps processes'),
  interactive: toggle('Keep STDIN open even if not attached', 'i'),
  ip: text('IPv4 address (e.g., 172.30.100.104)'),
  ip6: text('IPv6 address (e.g., 2001:db8::33)'),
  ipc: text('IPC mode to use'),
  label: list('Set meta data on a container', 'l', checkLabel),
  'label-file': list('Read in a line delimited file of labels'),
  link: list('Add link to another container'),
  'log-driver': text('Logging driver for the container: json-file, local or none'),
  'log-opt': parsedList(
    'list',
    'Log driver options: max-size, max-file, compress, labels, labels-regex, env, env-regex, tag',
    parsePair,
  ),
  'mac-address': text('Container MAC address (e.g., 92:d0:c6:0a:29:33)'),
  memory: parsed('bytes', 'Memory limit', parseBytes, 'm'),
  'memory-reservation': parsed('bytes', 'Memory soft limit', parseBytes),
  'memory-swap': parsed('bytes', "Swap limit equal to memory plus swap: '-1' to enable unlimited swap", parseSwap),
  'memory-swappiness': integer('Tune container memory swappiness (0 to 100)'),
  mount: parsedList('mount', 'Attach a filesystem mount to the container', parseMount),
  name: text('Assign a name to the container'),
  network: list('Connect a container to a network'),
  'network-alias': list('Add network-scoped alias for the container'),
  'no-healthcheck': toggle('Disable any container-specified HEALTHCHECK'),
  'oom-kill-disable': toggle('Disable OOM Killer'),
  'oom-score-adj': integer("Tune host's OOM preferences (-1000 to 1000)"),
  pid: text('PID namespace to use'),
  'pids-limit': integer('Tune container pids limit (set -1 for unlimited)'),
  platform: text('Which of a multi-platform image to run (os/arch[/variant])'),
  privileged: toggle('Give extended privileges to this container'),
  publish: list("Publish a container's port(s) to the host", 'p'),
  'publish-all': toggle('Publish all exposed ports to random ports', 'P'),
  pull: { ...text('Pull image before running ("always", "missing", "never")'), shown: '"missing"' },
  quiet: toggle('Suppress the pull output', 'q'),
  'read-only': toggle("Mount the container's root filesystem as read only"),
  restart: { ...text('Restart policy to apply when a container exits'), shown: '"no"' },
  rm: toggle('Automatically remove the container and its associated anonymous volumes when it exits'),
  'security-opt': list('Security options'),
  'shm-size': parsed('bytes', 'Size of /dev/shm', parseBytes),
  'stop-signal': text('Signal to stop the container'),
  'stop-timeout': integer('Timeout (in seconds) to stop a container'),
  sysctl: parsedList('map', 'Sysctl options', pair => checkSysctl(parsePair(pair))),
  tmpfs: list('Mount a tmpfs directory', undefined, checked(parseTmpfs)),
  tty: toggle('Allocate a pseudo-TTY', 't'),
  ulimit: parsedList('ulimit', 'Ulimit options', parseUlimit),
  user: text('Username or UID (format: <name|uid>[:<group|gid>])', 'u'),
  userns: text('User namespace to use'),
  uts: text('UTS namespace to use'),
  volume: list('Bind mount a volume', 'v', checked(parseVolume)),
  'volumes-from': list('Mount volumes from the specified container(s)', undefined, checked(parseVolumesFrom)),
  workdir: text('Working directory inside the container', 'w'),
};

/** How the terminal and the signals of the caller reach the container. */
export const attachFlags = {
  'detach-keys': text('Override the key sequence for detaching a container'),
  'sig-proxy': toggle('Proxy received signals to the process', undefined, true),
};

export const runFlags = {
  ...createFlags,
  ...attachFlags,
  attach: list('Attach to STDIN, STDOUT or STDERR', 'a'),
  detach: toggle('Run container in background and print container ID', 'd'),
};
