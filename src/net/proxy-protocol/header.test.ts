import * as fc from 'fast-check';
import { SocketAddress } from 'node:net';
import { describe, expect, it } from 'vitest';
import { LOCAL_HEADER, proxyHeader } from './header.js';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const text = (words: string): string => Buffer.from(words).toString('hex');
const at = (address: string, port: number) => ({ address, port });
const hex = (...input: Parameters<typeof proxyHeader>): string => proxyHeader(...input).toString('hex');

describe('a PROXY protocol header', () => {
  it('is exact to the byte', () => {
    expect(LOCAL_HEADER.toString('hex')).toBe(`${SIGNATURE}20000000`);
    expect(hex({ remote: at('192.0.2.1', 0x1234), local: at('198.51.100.2', 443) })).toBe(
      `${SIGNATURE}2111000cc0000201c6336402123401bb`,
    );
    expect(hex({ remote: at('2001:db8::1', 1), local: at('2001:db8::2:0:0:3', 65535) })).toBe(
      `${SIGNATURE}2121002420010db800000000000000000000000120010db80000000000020000000000030001ffff`,
    );
  });

  it('describes the TLS session', () => {
    const tls = {
      version: 'TLSv1.3',
      cipher: 'TLS_AES_128_GCM_SHA256',
      serverName: 'web.localhost',
      alpn: 'h2',
    };
    const ssl = `0100000001210007${text('TLSv1.3')}230016${text('TLS_AES_128_GCM_SHA256')}`;
    const rest = `c0000201c6336402123401bb010002683202000d${text('web.localhost')}200028${ssl}`;
    const length = (rest.length / 2).toString(16).padStart(4, '0');
    expect(hex({ remote: at('192.0.2.1', 0x1234), local: at('198.51.100.2', 443), tls })).toBe(
      `${SIGNATURE}2111${length}${rest}`,
    );
  });

  it('writes two address families as one', () => {
    expect(hex({ remote: at('192.0.2.1', 1), local: at('2001:db8::2', 2) })).toBe(
      `${SIGNATURE}2121002400000000000000000000ffffc000020120010db800000000000000000000000200010002`,
    );
    // Only resembles an IPv4-mapped address.
    expect(hex({ remote: at('::ffff:192.0.2.1', 1), local: at('198.51.100.2', 2) })).toBe(
      hex({ remote: at('192.0.2.1', 1), local: at('198.51.100.2', 2) }),
    );
  });

  it('is LOCAL when the address of the visitor is unknown', () => {
    for (const address of ['', 'unknown', 'relay.example.com', '192.0.2.1:80', '192.0.2.256'])
      expect(proxyHeader({ remote: at(address, 1), local: at('192.0.2.1', 2) })).toEqual(LOCAL_HEADER);
  });

  it('names the visitor even when the other address is unknown', () => {
    expect(hex({ remote: at('192.0.2.1', 1), local: at('', 443) })).toBe(
      `${SIGNATURE}2111000cc000020100000000000101bb`,
    );
    expect(hex({ remote: at('fe80::1%eth0', 1), local: at('relay.example.com', 443) })).toBe(
      `${SIGNATURE}21210024fe80000000000000000000000000000100000000000000000000000000000000000101bb`,
    );
  });

  it('can be read back with any addresses', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6());
    const port = fc.integer({ min: 0, max: 65535 });
    const name = fc.option(fc.string({ maxLength: 255 }), { nil: undefined });
    fc.assert(
      fc.property(address, port, address, port, name, name, (remote, from, local, to, alpn, serverName) => {
        const tls = {
          version: 'TLSv1.2',
          cipher: 'X',
          ...(alpn !== undefined && { alpn }),
          ...(serverName !== undefined && { serverName }),
        };
        const bytes = proxyHeader({ remote: at(remote, from), local: at(local, to), tls });
        const read = readBack(bytes);
        expect(canonical(read.remote)).toBe(canonical(remote));
        expect(canonical(read.local)).toBe(canonical(local));
        expect([read.from, read.to]).toEqual([from, to]);
        expect(read.tlvs.get(0x01)?.toString()).toBe(alpn === undefined ? undefined : alpn);
        expect(read.tlvs.get(0x02)?.toString()).toBe(serverName === undefined ? undefined : serverName);
      }),
    );
  });
});

/** The same address in canonical form, IPv4-mapped addresses as IPv4. */
function canonical(address: string): string {
  const bare = new SocketAddress({ address, family: address.includes(':') ? 'ipv6' : 'ipv4' }).address;
  return bare.replace(/^::ffff:(?=\d+\.)/, '');
}

function readBack(bytes: Buffer) {
  expect(bytes.subarray(0, 13).toString('hex')).toBe(`${SIGNATURE}21`);
  expect(bytes.readUInt16BE(14)).toBe(bytes.length - 16);
  const size = bytes[13] === 0x11 ? 4 : 16;
  const addressAt = (start: number): string => {
    const part = bytes.subarray(start, start + size);
    return size === 4 ? part.join('.') : part.toString('hex').replace(/(.{4})(?!$)/g, '$1:');
  };
  const tlvs = new Map<number, Buffer>();
  let next = 16 + 2 * size + 4;
  while (next < bytes.length) {
    const length = bytes.readUInt16BE(next + 1);
    tlvs.set(bytes[next]!, bytes.subarray(next + 3, next + 3 + length));
    next += 3 + length;
  }
  expect(next).toBe(bytes.length);
  return {
    remote: addressAt(16),
    local: addressAt(16 + size),
    from: bytes.readUInt16BE(16 + 2 * size),
    to: bytes.readUInt16BE(18 + 2 * size),
    tlvs,
  };
}
