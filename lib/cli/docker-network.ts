import type { Endpoint } from '../network/attach.js';
import type { NetworkInfo } from '../network/network.js';

/** Finds a member's name and place. */
export type FindMember = (container: string) => { readonly name: string; readonly endpoint: Endpoint } | undefined;

/** A network in the words of `docker network inspect`. */
export function toDockerNetwork(info: NetworkInfo, find: FindMember): Record<string, unknown> {
  const { id, name, createdAt, driver, internal, labels, subnet6 } = info;
  return {
    Name: name,
    Id: id,
    Created: createdAt.toISOString(),
    Scope: 'local',
    Driver: driver,
    EnableIPv4: true,
    EnableIPv6: subnet6 !== undefined,
    IPAM: { Driver: 'default', Options: {}, Config: pools(info) },
    Internal: internal,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: Object.fromEntries(
      Object.keys(info.containers).flatMap(container => {
        const found = find(container);
        return found === undefined ? [] : [[container, member(found)]];
      }),
    ),
    Options: info.options,
    Labels: labels,
  };
}

function pools(info: NetworkInfo): object[] {
  const { subnet, gateway, range, subnet6, gateway6, range6, reserved } = info;
  const pool = (block: string, via: string | undefined, part: string | undefined, six: boolean): object => {
    const others = Object.entries(reserved).filter(([, address]) => address.includes(':') === six);
    return {
      Subnet: block,
      ...(part === undefined ? {} : { IPRange: part }),
      Gateway: via,
      ...(others.length === 0 ? {} : { AuxiliaryAddresses: Object.fromEntries(others) }),
    };
  };
  const four = pool(subnet, gateway, range, false);
  return subnet6 === undefined ? [four] : [four, pool(subnet6, gateway6, range6, true)];
}

function member({ name, endpoint }: NonNullable<ReturnType<FindMember>>): object {
  const { id, mac, ip, prefixLength, ip6, prefixLength6 } = endpoint;
  return {
    Name: name,
    EndpointID: id,
    MacAddress: mac,
    IPv4Address: `${ip}/${prefixLength}`,
    IPv6Address: ip6 === undefined ? '' : `${ip6}/${prefixLength6}`,
  };
}
