/*
 * Networks by rtnetlink. Three callers:
 *  - `tscontainer-helper net`: started by Node for jobs on the host's side (bridges), ends when its plan is done;
 *  - the monitor, in the host's network namespace: veth pairs whose inner end is born inside the container;
 *  - the container's first process, inside its own network namespace, before it drops its capabilities.
 * Whatever belongs together is one batch, so a start costs two exchanges with the kernel in all.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <time.h>

#include "modes.h"
#include "publish.h"
#include "resolver.h"
#include "rtnl.h"
#include "util.h"
#include "wire.h"

/* An address with its prefix length. */
struct prefix {
  uint8_t family;
  uint8_t bits;
  uint8_t size; /* 4 or 16 */
  uint8_t bytes[16];
};

static int invalid(const char *stage, const char *what) {
  errno = EINVAL;
  return fail(stage, "parse", what);
}

/* "172.17.0.2/16", or an address alone, which is all of itself. */
static int parse_prefix(const char *text, struct prefix *prefix) {
  char address[INET6_ADDRSTRLEN];
  const char *slash = strchr(text, '/');
  size_t length = slash ? (size_t)(slash - text) : strlen(text);
  if (length >= sizeof address) return -1;
  memcpy(address, text, length);
  address[length] = 0;
  memset(prefix, 0, sizeof *prefix);
  prefix->family = strchr(address, ':') ? AF_INET6 : AF_INET;
  prefix->size = prefix->family == AF_INET ? 4 : 16;
  if (inet_pton(prefix->family, address, prefix->bytes) != 1) return -1;
  long bits = prefix->size * 8;
  if (slash) {
    char *end;
    bits = strtol(slash + 1, &end, 10);
    if (end == slash + 1 || *end || bits < 0 || bits > prefix->size * 8) return -1;
  }
  prefix->bits = (uint8_t)bits;
  return 0;
}

static int parse_mac(const char *text, uint8_t mac[6]) {
  int end = 0;
  int n = sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5], &end);
  return n == 6 && text[end] == 0 ? 0 : -1;
}

/* 0 when there is no such limit on the text: the kernel then chooses. */
static uint32_t op_mtu(const struct op *op, unsigned i) {
  long long mtu = op_number(op, i, 0);
  return mtu > 0 && mtu <= 65535 ? (uint32_t)mtu : 0;
}

/* ── requests ─────────────────────────────────────────────────────────────── */

static void set_link(struct rtnl *rtnl, const char *name, unsigned flags) {
  struct ifinfomsg link = {.ifi_family = AF_UNSPEC, .ifi_flags = flags, .ifi_change = flags};
  rtnl_request(rtnl, RTM_NEWLINK, 0, &link, sizeof link, name);
  rtnl_put_text(rtnl, IFLA_IFNAME, name);
}

/* No link-local address, hence no duplicate address detection and no router solicitation. Cannot be said while creating. */
static void put_no_ipv6(struct rtnl *rtnl) {
  static const uint8_t none = IN6_ADDR_GEN_MODE_NONE;
  size_t spec = rtnl_begin(rtnl, IFLA_AF_SPEC, NULL, 0);
  size_t inet6 = rtnl_begin(rtnl, AF_INET6, NULL, 0);
  rtnl_put(rtnl, IFLA_INET6_ADDR_GEN_MODE, &none, sizeof none);
  rtnl_end(rtnl, inet6);
  rtnl_end(rtnl, spec);
}

/* By default a veth has a queue per CPU, and each queue costs objects and events in sysfs: on two CPUs that is 0.3 of
 * 0.75 ms. Without a qdisc the queues are not used anyway. */
static void put_one_queue(struct rtnl *rtnl) {
  rtnl_put_u32(rtnl, IFLA_NUM_TX_QUEUES, 1);
  rtnl_put_u32(rtnl, IFLA_NUM_RX_QUEUES, 1);
}

/* The address of all hosts of a network. */
static void broadcast_of(const struct prefix *prefix, uint8_t out[4]) {
  for (unsigned i = 0; i < 4; i++) {
    unsigned before = i * 8;
    unsigned host = prefix->bits <= before ? 0xff : prefix->bits >= before + 8 ? 0 : 0xffu >> (prefix->bits - before);
    out[i] = (uint8_t)(prefix->bytes[i] | host);
  }
}

static void add_address(struct rtnl *rtnl, unsigned index, const struct prefix *prefix, const char *about) {
  struct ifaddrmsg body = {.ifa_family = prefix->family, .ifa_prefixlen = prefix->bits, .ifa_index = index};
  /* Nobody else has it: whoever gave it away knows. Waiting a second for IPv6 to find out would be the slowest part of a start. */
  if (prefix->family == AF_INET6) body.ifa_flags = IFA_F_NODAD;
  rtnl_request(rtnl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body, about);
  rtnl_put(rtnl, IFA_LOCAL, prefix->bytes, prefix->size);
  rtnl_put(rtnl, IFA_ADDRESS, prefix->bytes, prefix->size);
  if (prefix->family == AF_INET && prefix->bits < 31) {
    uint8_t broadcast[4];
    broadcast_of(prefix, broadcast);
    rtnl_put(rtnl, IFA_BROADCAST, broadcast, sizeof broadcast);
  }
}

static void add_route(struct rtnl *rtnl, unsigned index, const struct prefix *destination, const struct prefix *via, const char *about) {
  struct rtmsg body = {.rtm_family = destination->family,
                       .rtm_dst_len = destination->bits,
                       .rtm_table = RT_TABLE_MAIN,
                       .rtm_protocol = RTPROT_BOOT,
                       .rtm_scope = via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
                       .rtm_type = RTN_UNICAST};
  rtnl_request(rtnl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body, about);
  if (destination->bits > 0) rtnl_put(rtnl, RTA_DST, destination->bytes, destination->size);
  if (via) rtnl_put(rtnl, RTA_GATEWAY, via->bytes, via->size);
  if (index) rtnl_put_u32(rtnl, RTA_OIF, index);
}

/* ── the monitor's side ───────────────────────────────────────────────────── */

/*
 * net-host-veth hostName bridge insideName mac mtu
 *
 * The host's end is up and on its bridge when this returns; the container's end is down, so there is no carrier yet and
 * the second request still comes in time to keep IPv6 off the host's end.
 */
static int host_veth(struct rtnl *rtnl, const struct op *op, pid_t container) {
  const char *host = op_text(op, 1), *bridge = op_text(op, 2), *inside = op_text(op, 3);
  uint8_t mac[6];
  uint32_t mtu = op_mtu(op, 5);
  if (parse_mac(op_text(op, 4), mac) < 0) return invalid("net-veth", op_text(op, 4));
  unsigned master = rtnl_index(rtnl, bridge);
  if (!master) return fail("net-veth", "ioctl", bridge);

  struct ifinfomsg link = {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  struct ifinfomsg peer = {.ifi_family = AF_UNSPEC};
  rtnl_request(rtnl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link, host);
  rtnl_put_text(rtnl, IFLA_IFNAME, host);
  rtnl_put_u32(rtnl, IFLA_MASTER, master);
  put_one_queue(rtnl);
  if (mtu) rtnl_put_u32(rtnl, IFLA_MTU, mtu);
  size_t info = rtnl_begin(rtnl, IFLA_LINKINFO, NULL, 0);
  rtnl_put_text(rtnl, IFLA_INFO_KIND, "veth");
  size_t data = rtnl_begin(rtnl, IFLA_INFO_DATA, NULL, 0);
  size_t other = rtnl_begin(rtnl, VETH_INFO_PEER, &peer, sizeof peer);
  rtnl_put_text(rtnl, IFLA_IFNAME, inside);
  rtnl_put(rtnl, IFLA_ADDRESS, mac, sizeof mac);
  rtnl_put_u32(rtnl, IFLA_NET_NS_PID, (uint32_t)container);
  put_one_queue(rtnl);
  if (mtu) rtnl_put_u32(rtnl, IFLA_MTU, mtu);
  rtnl_end(rtnl, other);
  rtnl_end(rtnl, data);
  rtnl_end(rtnl, info);

  set_link(rtnl, host, 0);
  put_no_ipv6(rtnl);
  return rtnl_send(rtnl, "net-veth", 0);
}

static int with_socket(int (*work)(struct rtnl *, const struct op *, pid_t), const struct op *op, pid_t container) {
  struct rtnl rtnl;
  if (rtnl_open(&rtnl) < 0) return fail("net-socket", "socket", op_text(op, 0));
  int result = work(&rtnl, op, container);
  rtnl_close(&rtnl);
  return result;
}

/* net-host-isolate hostName: the bridge passes nothing between this port and others of the kind. */
static int host_isolate(struct rtnl *rtnl, const struct op *op) {
  static const uint8_t on = 1;
  unsigned index = rtnl_index(rtnl, op_text(op, 1));
  if (!index) return fail("net-isolate", "ioctl", op_text(op, 1));
  struct ifinfomsg link = {.ifi_family = AF_BRIDGE, .ifi_index = (int)index};
  rtnl_request(rtnl, RTM_SETLINK, 0, &link, sizeof link, op_text(op, 1));
  size_t port = rtnl_begin(rtnl, IFLA_PROTINFO | NLA_F_NESTED, NULL, 0);
  rtnl_put(rtnl, IFLA_BRPORT_ISOLATED, &on, sizeof on);
  rtnl_end(rtnl, port);
  return rtnl_send(rtnl, "net-isolate", 0);
}

/* net-host-delete hostName: with it goes its end in the container. */
static int host_delete(struct rtnl *rtnl, const struct op *op) {
  struct ifinfomsg link = {.ifi_family = AF_UNSPEC};
  rtnl_request(rtnl, RTM_DELLINK, 0, &link, sizeof link, op_text(op, 1));
  rtnl_put_text(rtnl, IFLA_IFNAME, op_text(op, 1));
  return rtnl_send(rtnl, "net-delete", ENODEV);
}

static int host_op(struct rtnl *rtnl, const struct op *op, pid_t container) {
  if (op_is(op, "net-host-isolate")) return host_isolate(rtnl, op);
  if (op_is(op, "net-host-delete")) return host_delete(rtnl, op);
  if (op_is(op, "net-host-veth")) return host_veth(rtnl, op, container);
  return invalid("net-host", op_text(op, 0));
}
int net_host_op(const struct op *op, pid_t container) { return with_socket(host_op, op, container); }

/* ── inside the container ─────────────────────────────────────────────────── */

/* net-in-interface name cidr gateway [cidr6 gateway6]: everything that one interface needs, in one exchange. A gateway may be "". */
static int inside_interface(struct rtnl *rtnl, const struct op *op) {
  const char *name = op_text(op, 1);
  unsigned index = rtnl_index(rtnl, name);
  if (!index) return fail("net-address", "ioctl", name);
  bool ipv6 = *op_text(op, 4) != 0;
  set_link(rtnl, name, ipv6 ? IFF_UP : 0);
  if (!ipv6) {
    put_no_ipv6(rtnl);
    set_link(rtnl, name, IFF_UP);
  }
  for (unsigned i = 2; i <= 4; i += 2) {
    struct prefix address, gateway, all;
    if (*op_text(op, i) == 0) continue;
    if (parse_prefix(op_text(op, i), &address) < 0) return invalid("net-address", op_text(op, i));
    add_address(rtnl, index, &address, op_text(op, i));
    if (*op_text(op, i + 1) == 0) continue;
    if (parse_prefix(op_text(op, i + 1), &gateway) < 0 || gateway.family != address.family) return invalid("net-route", op_text(op, i + 1));
    all = (struct prefix){.family = gateway.family, .size = gateway.size};
    add_route(rtnl, index, &all, &gateway, op_text(op, i + 1));
  }
  return rtnl_send(rtnl, "net-address", 0);
}

static int inside_address(struct rtnl *rtnl, const struct op *op) {
  struct prefix address;
  unsigned index = rtnl_index(rtnl, op_text(op, 1));
  if (!index) return fail("net-address", "ioctl", op_text(op, 1));
  if (parse_prefix(op_text(op, 2), &address) < 0) return invalid("net-address", op_text(op, 2));
  add_address(rtnl, index, &address, op_text(op, 2));
  return rtnl_send(rtnl, "net-address", 0);
}

/* net-in-route destination via device: "default" or a prefix; via or device may be "". */
static int inside_route(struct rtnl *rtnl, const struct op *op) {
  const char *to = op_text(op, 1), *via = op_text(op, 2), *device = op_text(op, 3);
  struct prefix destination = {0}, gateway;
  if (*via && parse_prefix(via, &gateway) < 0) return invalid("net-route", via);
  if (strcmp(to, "default") == 0) {
    if (!*via) return invalid("net-route", to);
    destination.family = gateway.family;
    destination.size = gateway.size;
  } else if (parse_prefix(to, &destination) < 0 || (*via && gateway.family != destination.family)) {
    return invalid("net-route", to);
  }
  unsigned index = *device ? rtnl_index(rtnl, device) : 0;
  if (*device && !index) return fail("net-route", "ioctl", device);
  add_route(rtnl, index, &destination, *via ? &gateway : NULL, to);
  return rtnl_send(rtnl, "net-route", 0);
}

/* net-in-default via device: the default route of that family goes there now. */
static int inside_default(struct rtnl *rtnl, const struct op *op) {
  struct prefix gateway;
  unsigned index = rtnl_index(rtnl, op_text(op, 2));
  if (!index) return fail("net-route", "ioctl", op_text(op, 2));
  if (parse_prefix(op_text(op, 1), &gateway) < 0) return invalid("net-route", op_text(op, 1));
  struct rtmsg body = {.rtm_family = gateway.family, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST};
  rtnl_request(rtnl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body, op_text(op, 1));
  rtnl_put(rtnl, RTA_GATEWAY, gateway.bytes, gateway.size);
  rtnl_put_u32(rtnl, RTA_OIF, index);
  return rtnl_send(rtnl, "net-route", 0);
}

static int inside_rename(struct rtnl *rtnl, const struct op *op) {
  unsigned index = rtnl_index(rtnl, op_text(op, 1));
  if (!index) return fail("net-rename", "ioctl", op_text(op, 1));
  struct ifinfomsg link = {.ifi_family = AF_UNSPEC, .ifi_index = (int)index};
  rtnl_request(rtnl, RTM_NEWLINK, 0, &link, sizeof link, op_text(op, 2));
  rtnl_put_text(rtnl, IFLA_IFNAME, op_text(op, 2));
  return rtnl_send(rtnl, "net-rename", 0);
}

static int inside_op(struct rtnl *rtnl, const struct op *op, pid_t unused) {
  (void)unused;
  if (op_is(op, "net-in-interface")) return inside_interface(rtnl, op);
  if (op_is(op, "net-in-address")) return inside_address(rtnl, op);
  if (op_is(op, "net-in-route")) return inside_route(rtnl, op);
  if (op_is(op, "net-in-default")) return inside_default(rtnl, op);
  if (op_is(op, "net-in-rename")) return inside_rename(rtnl, op);
  if (!op_is(op, "net-in-up")) return invalid("net-inside", op_text(op, 0));
  set_link(rtnl, op_text(op, 1), IFF_UP);
  return rtnl_send(rtnl, "net-up", 0);
}
int net_inside_op(const struct op *op) { return with_socket(inside_op, op, 0); }

/* ── bridges ──────────────────────────────────────────────────────────────── */

/* Is this candidate in the way of an address or route that is not ours? */
struct search {
  struct prefix wanted;
  unsigned own;
  bool taken;
  unsigned holder;
  struct prefix held;
};

static bool overlaps(const struct prefix *a, const struct prefix *b) {
  unsigned bits = a->bits < b->bits ? a->bits : b->bits;
  if (a->family != b->family) return false;
  if (memcmp(a->bytes, b->bytes, bits / 8) != 0) return false;
  unsigned rest = bits % 8;
  return rest == 0 || (a->bytes[bits / 8] ^ b->bytes[bits / 8]) >> (8 - rest) == 0;
}

static bool read_prefix(const struct nlattr *attribute, uint8_t family, uint8_t bits, struct prefix *prefix) {
  *prefix = (struct prefix){.family = family, .bits = bits, .size = family == AF_INET ? 4 : 16};
  if (!attribute || rtnl_length(attribute) < prefix->size) return false;
  memcpy(prefix->bytes, rtnl_data(attribute), prefix->size);
  return true;
}

static int note(struct search *search, const struct prefix *held, unsigned index) {
  if (index == search->own || !overlaps(&search->wanted, held)) return 0;
  search->taken = true;
  search->holder = index;
  search->held = *held;
  return 1;
}

static int check_address(const struct nlmsghdr *message, void *context) {
  const struct ifaddrmsg *body = NLMSG_DATA(message);
  struct prefix held;
  const struct nlattr *local = rtnl_find(message, sizeof *body, IFA_LOCAL);
  if (!local) local = rtnl_find(message, sizeof *body, IFA_ADDRESS);
  return read_prefix(local, body->ifa_family, body->ifa_prefixlen, &held) ? note(context, &held, body->ifa_index) : 0;
}

static unsigned route_device(const struct nlmsghdr *message) {
  const struct nlattr *device = rtnl_find(message, sizeof(struct rtmsg), RTA_OIF);
  uint32_t index = 0;
  if (device && rtnl_length(device) >= sizeof index) memcpy(&index, rtnl_data(device), sizeof index);
  return index;
}

static int check_route(const struct nlmsghdr *message, void *context) {
  const struct rtmsg *body = NLMSG_DATA(message);
  struct prefix held;
  /* The default route goes everywhere and is in nobody's way. */
  if (body->rtm_type != RTN_UNICAST || body->rtm_dst_len == 0) return 0;
  if (!read_prefix(rtnl_find(message, sizeof *body, RTA_DST), body->rtm_family, body->rtm_dst_len, &held)) return 0;
  return note(context, &held, route_device(message));
}

static void show_prefix(const struct prefix *prefix, char *out, size_t size) {
  char address[INET6_ADDRSTRLEN] = "";
  inet_ntop(prefix->family, prefix->bytes, address, sizeof address);
  snprintf(out, size, "%s/%u", address, prefix->bits);
}

/* The first candidate (fields from `from` on) that is in nobody's way, or NULL after fail(). */
static const char *choose_subnet(struct rtnl *rtnl, const struct op *op, unsigned from, unsigned own, struct prefix *chosen) {
  struct search search = {0};
  for (unsigned i = from; i < op->count; i++) {
    search = (struct search){.own = own ? own : (unsigned)-1};
    if (parse_prefix(op_text(op, i), &search.wanted) < 0) return invalid("net-bridge", op_text(op, i)), NULL;
    uint8_t family = search.wanted.family;
    if (rtnl_dump(rtnl, RTM_GETADDR, family, check_address, &search) < 0) return fail("net-bridge", "netlink", "addresses"), NULL;
    if (!search.taken && rtnl_dump(rtnl, RTM_GETROUTE, family, check_route, &search) < 0) return fail("net-bridge", "netlink", "routes"), NULL;
    if (!search.taken) {
      *chosen = search.wanted;
      return op_text(op, i);
    }
  }
  char held[INET6_ADDRSTRLEN + 8], device[IF_NAMESIZE] = "";
  show_prefix(&search.held, held, sizeof held);
  if_indextoname(search.holder, device);
  fact("overlap", "wanted", op_text(op, from), "held", held, "device", device, NULL);
  errno = EADDRINUSE;
  return fail("net-bridge", "bind", op_text(op, from)), NULL;
}

/* What a device is called by its maker (its alias) and whether it is a bridge at all. */
struct identity {
  const char *name;
  const char *alias;
  bool found;
  bool same;
};

static int check_identity(const struct nlmsghdr *message, void *context) {
  struct identity *identity = context;
  size_t body = sizeof(struct ifinfomsg);
  const struct nlattr *name = rtnl_find(message, body, IFLA_IFNAME);
  if (!name || strcmp(rtnl_data(name), identity->name) != 0) return 0;
  const struct nlattr *alias = rtnl_find(message, body, IFLA_IFALIAS);
  const struct nlattr *info = rtnl_find(message, body, IFLA_LINKINFO);
  const struct nlattr *kind = info ? rtnl_find_in(info, IFLA_INFO_KIND) : NULL;
  size_t length = strlen(identity->alias);
  identity->found = true;
  identity->same = kind && strcmp(rtnl_data(kind), "bridge") == 0 && alias && rtnl_length(alias) >= length &&
                   memcmp(rtnl_data(alias), identity->alias, length) == 0 &&
                   (rtnl_length(alias) == length || ((const char *)rtnl_data(alias))[length] == 0);
  return 1;
}

/* One at a time in this network namespace, whatever store it is for: between looking for a free subnet and taking it
 * nobody else may take it. Whoever holds the lock for no good reason delays us, no more. */
static int lock_namespace(void) {
  int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  struct timespec pause = {.tv_nsec = 2 * 1000 * 1000};
  for (int64_t end = now_ms() + 2000; flock(fd, LOCK_EX | LOCK_NB) < 0 && now_ms() < end;) nanosleep(&pause, NULL);
  return fd;
}

/* net-bridge name mac mtu alias cidr…: the bridge is there, is ours (by its alias), is up and has the first of these
 * addresses that overlaps with nothing. */
static int make_bridge(struct rtnl *rtnl, const struct op *op) {
  const char *name = op_text(op, 1), *alias = op_text(op, 4);
  uint8_t mac[6];
  uint32_t mtu = op_mtu(op, 3);
  if (parse_mac(op_text(op, 2), mac) < 0) return invalid("net-bridge", op_text(op, 2));
  cleanup_close int lock = lock_namespace();
  (void)lock;
  struct identity identity = {.name = name, .alias = alias};
  if (rtnl_dump(rtnl, RTM_GETLINK, AF_UNSPEC, check_identity, &identity) < 0) return fail("net-bridge", "netlink", name);
  if (identity.found && !identity.same) {
    errno = EEXIST;
    return fail("net-bridge", "netlink", name);
  }
  struct prefix address;
  const char *cidr = choose_subnet(rtnl, op, 5, identity.found ? rtnl_index(rtnl, name) : 0, &address);
  if (!cidr) return -1;

  if (!identity.found) {
    struct ifinfomsg link = {.ifi_family = AF_UNSPEC};
    rtnl_request(rtnl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link, name);
    rtnl_put_text(rtnl, IFLA_IFNAME, name);
    /* Its own address, or it would change with every container that joins or leaves. */
    rtnl_put(rtnl, IFLA_ADDRESS, mac, sizeof mac);
    if (mtu) rtnl_put_u32(rtnl, IFLA_MTU, mtu);
    size_t info = rtnl_begin(rtnl, IFLA_LINKINFO, NULL, 0);
    rtnl_put_text(rtnl, IFLA_INFO_KIND, "bridge");
    rtnl_end(rtnl, info);
    set_link(rtnl, name, 0);
    rtnl_put(rtnl, IFLA_IFALIAS, alias, strlen(alias));
    put_no_ipv6(rtnl);
    if (rtnl_send(rtnl, "net-bridge", 0) < 0) return -1;
  }
  add_address(rtnl, rtnl_index(rtnl, name), &address, cidr);
  set_link(rtnl, name, IFF_UP);
  if (rtnl_send(rtnl, "net-bridge", EEXIST) < 0) return -1;
  fact("bridge", "name", name, "cidr", cidr, "created", identity.found ? "" : "yes", NULL);
  return 0;
}

/* net-bridge-address name cidr: one more address of a bridge that is there, if its subnet is in nobody's way. */
static int add_bridge_address(struct rtnl *rtnl, const struct op *op) {
  struct prefix address;
  unsigned index = rtnl_index(rtnl, op_text(op, 1));
  if (!index) return fail("net-bridge", "ioctl", op_text(op, 1));
  cleanup_close int lock = lock_namespace();
  (void)lock;
  const char *cidr = choose_subnet(rtnl, op, 2, index, &address);
  if (!cidr) return -1;
  add_address(rtnl, index, &address, cidr);
  return rtnl_send(rtnl, "net-bridge", EEXIST);
}

/* net-delete name alias: gone, if it was there and is ours. */
static int delete_bridge(struct rtnl *rtnl, const struct op *op) {
  struct identity identity = {.name = op_text(op, 1), .alias = op_text(op, 2)};
  if (rtnl_dump(rtnl, RTM_GETLINK, AF_UNSPEC, check_identity, &identity) < 0) return fail("net-delete", "netlink", identity.name);
  if (!identity.found) return 0;
  if (!identity.same) {
    errno = EPERM;
    return fail("net-delete", "netlink", identity.name);
  }
  struct ifinfomsg link = {.ifi_family = AF_UNSPEC};
  rtnl_request(rtnl, RTM_DELLINK, 0, &link, sizeof link, identity.name);
  rtnl_put_text(rtnl, IFLA_IFNAME, identity.name);
  return rtnl_send(rtnl, "net-delete", ENODEV);
}

/* ── what is there ────────────────────────────────────────────────────────── */

static int tell_link(const struct nlmsghdr *message, void *context) {
  (void)context;
  size_t body = sizeof(struct ifinfomsg);
  const struct ifinfomsg *link = NLMSG_DATA(message);
  const struct nlattr *name = rtnl_find(message, body, IFLA_IFNAME);
  const struct nlattr *alias = rtnl_find(message, body, IFLA_IFALIAS);
  const struct nlattr *info = rtnl_find(message, body, IFLA_LINKINFO);
  const struct nlattr *kind = info ? rtnl_find_in(info, IFLA_INFO_KIND) : NULL;
  char alias_text[256] = "";
  if (alias) snprintf(alias_text, sizeof alias_text, "%.*s", (int)rtnl_length(alias), (const char *)rtnl_data(alias));
  fact("link", "name", name ? (const char *)rtnl_data(name) : "", "kind", kind ? (const char *)rtnl_data(kind) : NULL, "alias",
       alias ? alias_text : NULL, "up", link->ifi_flags & IFF_UP ? "yes" : "", NULL);
  return 0;
}

static void tell_prefix(const char *what, const struct prefix *prefix, unsigned index) {
  char cidr[INET6_ADDRSTRLEN + 8], device[IF_NAMESIZE] = "";
  show_prefix(prefix, cidr, sizeof cidr);
  if_indextoname(index, device);
  fact(what, "cidr", cidr, "device", device, NULL);
}

static int tell_address(const struct nlmsghdr *message, void *context) {
  (void)context;
  const struct ifaddrmsg *body = NLMSG_DATA(message);
  struct prefix prefix;
  const struct nlattr *local = rtnl_find(message, sizeof *body, IFA_LOCAL);
  if (!local) local = rtnl_find(message, sizeof *body, IFA_ADDRESS);
  if (read_prefix(local, body->ifa_family, body->ifa_prefixlen, &prefix)) tell_prefix("address", &prefix, body->ifa_index);
  return 0;
}

static int tell_route(const struct nlmsghdr *message, void *context) {
  (void)context;
  const struct rtmsg *body = NLMSG_DATA(message);
  struct prefix prefix;
  if (body->rtm_type != RTN_UNICAST || body->rtm_table == RT_TABLE_LOCAL) return 0;
  if (body->rtm_dst_len == 0) prefix = (struct prefix){.family = body->rtm_family};
  else if (!read_prefix(rtnl_find(message, sizeof *body, RTA_DST), body->rtm_family, body->rtm_dst_len, &prefix)) return 0;
  tell_prefix("route", &prefix, route_device(message));
  return 0;
}

static int list(struct rtnl *rtnl) {
  if (rtnl_dump(rtnl, RTM_GETLINK, AF_UNSPEC, tell_link, NULL) < 0) return fail("net-list", "netlink", "links");
  if (rtnl_dump(rtnl, RTM_GETADDR, AF_UNSPEC, tell_address, NULL) < 0) return fail("net-list", "netlink", "addresses");
  if (rtnl_dump(rtnl, RTM_GETROUTE, AF_UNSPEC, tell_route, NULL) < 0) return fail("net-list", "netlink", "routes");
  return 0;
}

/* ── the mode ─────────────────────────────────────────────────────────────── */

static void on_stdin(struct loop_source *source, uint32_t events) {
  char ignored[256];
  (void)events;
  if (RETRY_EINTR(read(source->fd, ignored, sizeof ignored)) <= 0) *(bool *)source->context = true;
}

/* Forwards and resolves until stdin ends: a monitor without a container. */
static int serve_proxies(const struct plan *plan) {
  struct loop loop;
  bool ended = false;
  struct loop_source input = {.fd = STDIN_FILENO, .callback = on_stdin, .context = &ended};
  if (loop_init(&loop) < 0) return fail("publish", "epoll_create1", "");
  if (loop_add(&loop, &input, EPOLLIN) < 0) return fail("publish", "epoll_ctl", "stdin");
  for (size_t i = 0; i < plan->count; i++) {
    int result = 0;
    if (op_is(&plan->ops[i], "proxy")) result = publish(&loop, &plan->ops[i]);
    else (void)resolver_op(&plan->ops[i], &result);
    if (result < 0) return -1;
  }
  if (resolver_start(&loop, -1) < 0) return -1;
  fact("serving", NULL);
  while (!ended)
    if (loop_once(&loop, -1) < 0) return fail("publish", "epoll_wait", "");
  publish_end();
  return 0;
}

static int host_job(struct rtnl *rtnl, const struct op *op) {
  if (op_is(op, "net-bridge")) return make_bridge(rtnl, op);
  if (op_is(op, "net-bridge-address")) return add_bridge_address(rtnl, op);
  if (op_is(op, "net-delete")) return delete_bridge(rtnl, op);
  if (op_is(op, "net-list")) return list(rtnl);
  if (strncmp(op_text(op, 0), "net-host-", 9) == 0) return host_op(rtnl, op, (pid_t)op_number(op, 6, 0));
  if (strncmp(op_text(op, 0), "net-in-", 7) == 0) return inside_op(rtnl, op, 0);
  return invalid("net", op_text(op, 0));
}

int net_main(const struct plan *plan) {
  if (plan_find(plan, "proxy-serve")) return serve_proxies(plan) < 0;
  struct rtnl rtnl;
  if (rtnl_open(&rtnl) < 0) return fail("net-socket", "socket", ""), 1;
  int result = 0;
  for (size_t i = 0; i < plan->count && result == 0; i++) result = host_job(&rtnl, &plan->ops[i]);
  rtnl_close(&rtnl);
  return result < 0;
}
