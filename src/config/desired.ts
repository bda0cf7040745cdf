import type { RelaySpec, ServiceSpec } from '../agent/spec.js';

/** What portal.yaml asks for: plain data, defaults filled in, paths absolute. The input of `reconcile`. */
export interface Desired {
  /** Absolute path of the file it was read from; undefined for standard input or `portal expose`. */
  readonly file: string | undefined;
  /** Absolute path of the identity file; undefined: the person's default one. */
  readonly identityFile: string | undefined;
  /** Relays that stay connected, with or without services. */
  readonly relays: readonly RelaySpec[];
  readonly services: readonly ServiceSpec[];
}
