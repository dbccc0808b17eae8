import { BlockList, isIP } from "node:net";

/** Which addresses Miroir calls where a client has named them: a webhook's, or those of another Meilisearch. */
export interface IpPolicy {
  /** @param address an IP address */
  allows(address: string): boolean;
}

/** Stands for every network. */
const ANY = "any";

/** IPv4 networks that are not reachable from all of the internet (IANA's special-purpose registry). */
const LOCAL_4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/29",
  "192.0.0.8/32",
  "192.0.0.11/32",
  "192.0.0.12/30",
  "192.0.0.16/28",
  "192.0.0.32/27",
  "192.0.0.64/26",
  "192.0.0.128/25",
  "192.0.2.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "240.0.0.0/4",
];

const LOCAL_6 = [
  "::/127",
  "64:ff9b:1::/48",
  "100::/64",
  "2001::/23",
  "2001:db8::/32",
  "2002::/16",
  "3fff::/20",
  "5f00::/16",
  "fc00::/7",
  "fe80::/10",
];

/** Parts of {@link LOCAL_6} that are reachable all the same. */
const GLOBAL_6 = [
  "2001:1::1/128",
  "2001:1::2/128",
  "2001:3::/32",
  "2001:4:112::/48",
  "2001:20::/28",
  "2001:30::/28",
];

/**
 * Refuses addresses that are not reachable from all of the internet, as Meilisearch does, so that clients cannot reach into the operator's
 * network.
 *
 * @param allowed networks (`10.1.0.0/16`, `::1`) that are called all the same; `any` for all
 * @throws RangeError for what is no network
 */
export function createIpPolicy(allowed: readonly string[]): IpPolicy {
  const faulty = allowed.find((network) => !isNetwork(network));
  if (faulty !== undefined) throw new RangeError(`"${faulty}" is neither an IP network nor "${ANY}"`);
  if (allowed.includes(ANY)) return { allows: () => true };
  const local = blockList([...LOCAL_4, ...LOCAL_6]);
  const global = blockList(GLOBAL_6);
  const exceptions = blockList(allowed);
  return {
    allows(given) {
      const address = unmapped(given);
      const family = isIP(address) === 6 ? "ipv6" : "ipv4";
      if (!local.check(address, family) || global.check(address, family)) return true;
      return exceptions.check(address, family);
    },
  };
}

/** Whether a text is an IP address, a network or `any`. */
export function isNetwork(text: string): boolean {
  if (text === ANY) return true;
  const [address = "", prefix, ...rest] = text.split("/");
  const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : -1;
  if (rest.length > 0 || bits < 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits);
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", prefix] = network.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    list.addSubnet(address, Number(prefix ?? (family === "ipv6" ? 128 : 32)), family);
  }
  return list;
}

/** An IPv4 address that is written as one of IPv6 counts as what it is. */
function unmapped(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const hex = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(address);
  if (hex === null) return address;
  const [high, low] = [Number.parseInt(hex[1] ?? "", 16), Number.parseInt(hex[2] ?? "", 16)];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}
