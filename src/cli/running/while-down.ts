import type { Mode } from '../../agent/spec.js';

const CONSEQUENCES: Readonly<Record<Mode, string>> = {
  auto: 'visitors get a 503 page',
  http: 'visitors get a 503 page',
  stream: 'HTTP visitors get a 503 page, and others are reset',
  tcp: 'visitors are reset',
  udp: "visitors' datagrams are lost",
};

/** The result for visitors while the target of a service is down. */
export const whileDown = (mode: Mode): string => CONSEQUENCES[mode];
