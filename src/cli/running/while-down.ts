import type { Mode } from '../../agent/spec.js';

const CONSEQUENCES: Readonly<Record<Mode, string>> = {
  auto: 'visitors get a 503 page',
  http: 'visitors get a 503 page',
  stream: 'HTTP visitors get a 503 page, and other connections are reset',
  tcp: 'connections are reset',
  udp: "visitors' datagrams are lost",
};

/**
 * The result for visitors while the target of a service is down.
 * @param holds whether POST requests wait for the target
 */
export const whileDown = (mode: Mode, holds = false): string =>
  holds ? 'POST requests are held, and others get a 503 page' : CONSEQUENCES[mode];
