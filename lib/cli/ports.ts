import type { PortMapping } from '../network/ports.js';

/** `0.0.0.0:8080` and `[::]:8080`: the addresses of the host that lead to a port. */
export function hostAddresses({ host, hostIp }: Required<PortMapping>): string[] {
  return addressesOf(hostIp).map(ip => `${ip.includes(':') ? `[${ip}]` : ip}:${host}`);
}

/** As the network layer writes "all of them", one by one. */
export function addressesOf(hostIp: string): string[] {
  return hostIp === '' ? ['0.0.0.0', '::'] : hostIp.split(',');
}

/** The column of `ps`: `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp`. */
export function formatPorts(ports: readonly Required<PortMapping>[]): string {
  return ports
    .flatMap(port => hostAddresses(port).map(address => `${address}->${port.container}/${port.protocol}`))
    .join(', ');
}
