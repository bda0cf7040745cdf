import type { RelaySpec, ServiceSpec } from '../agent/spec.js';

/** The desired state from portal.yaml: plain data with defaults and absolute paths. The input of `reconcile`. */
export interface Desired {
  /** Absolute path of the configuration file. Undefined for standard input or `portal expose`. */
  readonly file: string | undefined;
  /** Absolute path of the identity file. Undefined: the user's default identity. */
  readonly identityFile: string | undefined;
  /** Name of this machine at relays. false: no name. Default: its hostname. */
  readonly machine?: string | false;
  /** Identities that may see this agent, in addition to its own. */
  readonly team?: readonly string[];
  /** Relays that stay connected even without services. */
  readonly relays: readonly RelaySpec[];
  readonly services: readonly ServiceSpec[];
  /** More relays for the pool, of which the best few stay connected. Default: no others. */
  readonly candidates?: CandidatesSpec;
}

export interface CandidatesSpec {
  /** An https:// URL, or the absolute path of a file. Default: candidates come from the relays of the pool only. */
  readonly registry?: string;
  /** How many candidates stay connected. */
  readonly maxActive: number;
  /** CA files of relays, by origin. */
  readonly caFiles: Readonly<Record<string, string>>;
}
