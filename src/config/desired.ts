import type { RelaySpec, ServiceSpec } from '../agent/spec.js';

/** What portal.yaml asks for: plain data, defaults filled in, paths absolute. The input of `reconcile`. */
export interface Desired {
  /** Absolute path of the file it was read from; undefined for standard input or `portal expose`. */
  readonly file: string | undefined;
  /** Absolute path of the identity file; undefined: the person's default one. */
  readonly identityFile: string | undefined;
  /** Name of this machine at relays. false: no name. Default: its hostname. */
  readonly machine?: string | false;
  /** Identities that may see this agent, besides its own. */
  readonly team?: readonly string[];
  /** Relays that stay connected, with or without services. */
  readonly relays: readonly RelaySpec[];
  readonly services: readonly ServiceSpec[];
  /** More relays for the pool, of which the best few stay connected. Default: no others. */
  readonly candidates?: CandidatesSpec;
}

export interface CandidatesSpec {
  /** An https:// URL, or the absolute path of a file. Default: candidates come from the relays of the pool only. */
  readonly registry?: string;
  /** How many of the candidates stay connected. */
  readonly maxActive: number;
  /** By origin: the file of the CA of a relay that the configuration names somewhere. */
  readonly caFiles: Readonly<Record<string, string>>;
}
