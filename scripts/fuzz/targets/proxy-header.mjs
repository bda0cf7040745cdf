import { isIP, SocketAddress } from 'node:net';
import { below, pick } from '../chance.mjs';
import { assert, assertSame, built, timed } from '../check.mjs';

/** The PROXY header for a target, built from a relay's `visit` message. */

const ADDRESSES = [
  '192.0.2.1',
  '::1',
  '2001:db8::1',
  '::ffff:192.0.2.1',
  '::ffff:c000:201',
  'fe80::1%eth0',
  '::192.0.2.1',
  '1:2:3:4:5:6:7::',
  '::2:3:4:5:6:7:8',
  '1:2:3:4:5:6:192.0.2.1',
  '0:0:0:0:0:0:0:0',
  '192.0.2.1.',
  '1:::2',
  'localhost',
  '',
];
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

const visitOf = (address, port, serverName) =>
  Buffer.from(
    JSON.stringify({ type: 'visit', connection: 'c', lease: 'l', remote: { address, port }, serverName }),
  );

/** Replaces the visitor's address. Most replacements are malformed. */
function replaceAddress(random, input) {
  const hex = () => below(random, 2 ** 16).toString(16);
  const made = Array.from({ length: below(random, 10) }, hex).join(pick(random, [':', ':', '::', '.']));
  const address = JSON.stringify(pick(random, [pick(random, ADDRESSES), made]));
  return Buffer.from(input.toString('latin1').replace(/"address":"[^"]*"/, `"address":${address}`), 'latin1');
}

/** An independent parser of the header, as a target has. */
function readHeader(header) {
  assert(header.subarray(0, 12).equals(SIGNATURE), 'no signature');
  assert(header.length === 16 + header.readUInt16BE(14), 'the length differs from the bytes that follow');
  const [command, family] = [header[12], header[13]];
  assert((command & 0xf0) === 0x20, 'not of version 2');
  if (command === 0x20) return { isLocal: true };
  assert(command === 0x21 && (family === 0x11 || family === 0x21), `command ${command}, family ${family}`);
  const size = family === 0x11 ? 4 : 16;
  const bytes = header.subarray(16, 16 + size);
  const address =
    size === 4
      ? bytes.join('.')
      : Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(':');
  for (let at = 16 + 2 * size + 4; at < header.length;) {
    at += 3 + header.readUInt16BE(at + 1);
    assert(at <= header.length, 'a TLV extends beyond the header');
  }
  return { address, port: header.readUInt16BE(16 + 2 * size) };
}

const canonical = (address) => {
  const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
  const text = new SocketAddress({ address: address.replace(/%.*$/, ''), family }).address;
  return text.replace(/^::ffff:(?=\d+\.)/, '');
};

export async function load() {
  const { decodeFromRelay } = await built('protocol/decode.js');
  const { proxyHeader } = await built('net/proxy-protocol/header.js');
  const { PortalError } = await built('lib/errors.js');
  Error.stackTraceLimit = 0;
  return {
    corpus: ADDRESSES.map((address, at) =>
      visitOf(address, at * 4_000, at % 2 ? 'web.localhost' : undefined),
    ),
    mutations: [replaceAddress],
    check(input) {
      let message;
      try {
        message = decodeFromRelay(input);
      } catch (error) {
        assert(error instanceof PortalError && error.code === 'protocol', `threw ${error}`);
        return 'refused';
      }
      if (message.type !== 'visit') return message.type;
      const { remote, serverName } = message;
      const tls = { version: 'TLSv1.3', cipher: 'x', alpn: 'h2', ...(serverName && { serverName }) };
      const local = { address: '198.51.100.2', port: 443 };
      const read = readHeader(timed(() => proxyHeader({ remote, local, tls })));
      if (isIP(remote.address) === 0) {
        assert(read.isLocal, `${remote.address} became ${read.address}`);
        return 'local';
      }
      assertSame(canonical(read.address), canonical(remote.address), 'the address changed');
      assertSame(read.port, remote.port, 'the port changed');
      return isIP(remote.address) === 4 ? 'IPv4' : 'IPv6';
    },
  };
}
