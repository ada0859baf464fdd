/**
 * Addresses that no replica, probe or key source may have: link-local ones and those of cloud
 * metadata services, which hand out the machine's own credentials to whoever asks, and addresses
 * that name no single host. A configuration that reaches them turns the daemon into a confused
 * deputy, so they are refused as literals and again after every look-up of a name.
 *
 * Loopback and private networks are where replicas live and stay open.
 */
import { BlockList, isIP } from 'node:net';

const REFUSED_V4: readonly (readonly [network: string, prefixBits: number])[] = [
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  // Metadata outside the link-local range: Alibaba, Azure, Oracle.
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  ['192.0.0.192', 32],
];

const REFUSED_V6: readonly (readonly [network: string, prefixBits: number])[] = [
  ['::', 128],
  ['fe80::', 10],
  ['ff00::', 8],
  // Metadata in unique-local space: Amazon, Google.
  ['fd00:ec2::254', 128],
  ['fd20:ce::254', 128],
];

/** Prefixes of 96 bits whose last 32 bits are an IPv4 address. BlockList knows ::ffff:0:0 itself. */
const EMBEDDING_PREFIXES = ['64:ff9b::', '::'];

const REFUSED = createList();

/** Takes an IP literal without brackets; anything else is not refused here but has to be resolved. */
export function isRefusedAddress(address: string): boolean {
  const literal = address.split('%', 1)[0] ?? '';
  const version = isIP(literal);
  if (version === 0) return false;
  return REFUSED.check(literal, version === 4 ? 'ipv4' : 'ipv6');
}

function createList(): BlockList {
  const list = new BlockList();
  for (const [network, prefixBits] of REFUSED_V6) list.addSubnet(network, prefixBits, 'ipv6');
  for (const [network, prefixBits] of REFUSED_V4) {
    list.addSubnet(network, prefixBits, 'ipv4');
    for (const prefix of EMBEDDING_PREFIXES) {
      // ::/104 would hold the loopback address; of that block :: alone is refused, above.
      if (prefix === '::' && network === '0.0.0.0') continue;
      list.addSubnet(`${prefix}${network}`, 96 + prefixBits, 'ipv6');
    }
  }
  return list;
}
