import type { Mode } from '../agent/spec.js';

export interface ModeRule {
  readonly key: readonly string[];
  readonly modes: readonly Mode[];
  readonly why: string;
}

/** Settings that mean something in some modes only. */
export const MODE_RULES: readonly ModeRule[] = [
  { key: ['routes'], modes: ['http'], why: 'Other modes pass bytes on without reading paths in them.' },
  {
    key: ['inspect'],
    modes: ['auto', 'http'],
    why: 'Other modes pass bytes on without reading requests in them.',
  },
  {
    key: ['forwarded'],
    modes: ['auto', 'http'],
    why: 'Other modes pass bytes on, and add no headers to them.',
  },
  {
    key: ['host'],
    modes: ['auto', 'http'],
    why: 'Other modes pass bytes on without reading headers in them. For a domain of your own there is `hostname`.',
  },
  {
    key: ['port'],
    modes: ['tcp', 'udp'],
    why: "Other modes answer on the relay's own port, under the service's name.",
  },
  {
    key: ['access', 'pin'],
    modes: ['auto', 'stream', 'http'],
    why: 'A PIN is asked for on a web page. `allowIps` works in every mode.',
  },
  {
    key: ['alpn'],
    modes: ['auto', 'stream', 'http'],
    why: 'In the modes tcp and udp the target itself speaks with visitors.',
  },
  {
    key: ['tls'],
    modes: ['auto', 'stream', 'http'],
    why: 'In the modes tcp and udp the target itself speaks with visitors.',
  },
  {
    key: ['proxyProtocol'],
    modes: ['stream', 'tcp'],
    why: 'In mode http the target finds the address in `X-Forwarded-For`; in mode udp there is no connection to begin with it.',
  },
  {
    key: ['targetTls'],
    modes: ['auto', 'stream', 'http', 'tcp'],
    why: 'No target of mode udp speaks TLS.',
  },
  {
    key: ['udp'],
    modes: ['udp'],
    why: 'Other modes have connections, and an answer comes on the connection that was asked.',
  },
  {
    key: ['health'],
    modes: ['auto', 'stream', 'http', 'tcp'],
    why: 'A target of mode udp has no connection to look at.',
  },
  {
    key: ['hostname'],
    modes: ['auto', 'stream', 'http'],
    why: 'In the modes tcp and udp a service is known by its port.',
  },
];
