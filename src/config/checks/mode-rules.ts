import { GATE_KINDS } from '../../agent/access/kinds.js';
import type { Mode } from '../../agent/spec.js';

export interface ModeRule {
  readonly key: readonly string[];
  readonly modes: readonly Mode[];
  readonly why: string;
}

/** Settings that have an effect only in some modes. */
export const MODE_RULES: readonly ModeRule[] = [
  { key: ['routes'], modes: ['http'], why: 'Other modes forward bytes without reading paths in them.' },
  {
    key: ['inspect'],
    modes: ['auto', 'http'],
    why: 'Other modes forward bytes without reading requests in them.',
  },
  {
    key: ['forwarded'],
    modes: ['auto', 'http'],
    why: 'Other modes forward bytes without adding headers.',
  },
  {
    key: ['host'],
    modes: ['auto', 'http'],
    why: 'Other modes forward bytes without reading headers in them. For your own domain, use `hostname`.',
  },
  {
    key: ['hold'],
    modes: ['auto', 'http'],
    why: 'Other modes forward bytes without reading requests in them. For webhooks, remove `mode`.',
  },
  {
    key: ['port'],
    modes: ['tcp', 'udp'],
    why: 'Omit it, and visitors use the URL of the service. For a public port, add `mode: tcp`.',
  },
  ...GATE_KINDS.filter(({ readsHttp }) => readsHttp).map(({ key }): ModeRule => ({
    key: ['access', key],
    modes: ['auto', 'stream', 'http'],
    why: 'This gate reads requests. `allowIps` works in every mode.',
  })),
  {
    key: ['access', 'identities'],
    modes: ['auto', 'stream', 'http'],
    why: 'Visitors prove their identity inside the TLS that Portal adds. Remove `mode`: any protocol works without it.',
  },
  {
    key: ['alpn'],
    modes: ['auto', 'stream', 'http'],
    why: 'In modes tcp and udp, Portal forwards bytes without adding TLS.',
  },
  {
    key: ['tls'],
    modes: ['auto', 'stream', 'http'],
    why: 'In modes tcp and udp, Portal forwards bytes without adding TLS.',
  },
  {
    key: ['proxyProtocol'],
    modes: ['stream', 'tcp'],
    why: 'In mode http, the target gets the address in `X-Forwarded-For`. Mode udp has no connection that could carry it.',
  },
  {
    key: ['targetTls'],
    modes: ['auto', 'stream', 'http', 'tcp'],
    why: 'Portal does not use TLS to targets in mode udp.',
  },
  {
    key: ['udp'],
    modes: ['udp'],
    why: 'In other modes, replies use the connection of the request.',
  },
  {
    key: ['health'],
    modes: ['auto', 'stream', 'http', 'tcp'],
    why: 'In mode udp, there is no connection that Portal could check.',
  },
  {
    key: ['hostname'],
    modes: ['auto', 'stream', 'http'],
    why: 'In modes tcp and udp, the port identifies the service.',
  },
];
