import type {
  ErrorSummary,
  LeaseStatus,
  Phase,
  PublicAddress,
  RelayStatus,
  Unproven,
} from '../agent/status.js';
import type { ServedAs } from '../agent/served-as.js';
import type { Problem } from '../config/problem.js';
import type { Notice } from './notices.js';

/** Where visitors find a service, and what they are served as. */
export interface ServiceAddresses {
  urls: string[];
  tcp: string[];
  udp: string[];
  servedAs: ServedAs;
}

/** A problem without its code frame, as events and `status` carry it. */
export type ProblemSummary = Omit<Problem, 'frame'>;

/** What happens while `portal up` runs. `--json` prints each as one line, with a `time` added. */
export type PortalEvent =
  | { event: 'started'; pid: number; file: string | null; ca?: string }
  | ({
      event: 'lease';
      service: string;
      relay: string;
      phase: Phase;
      lease?: string;
      /** The public port that was asked for, where the relay had to give another. */
      askedPort?: number;
      /** In phase `ready`: whether the last visit of the agent's own came through. */
      proven?: boolean;
      /** Why it is not proven. */
      unproven?: Unproven;
      error?: ErrorSummary;
    } & PublicAddress)
  /** A service has no relay, and so no lease; it has again once one of those is told of. */
  | { event: 'unplaced'; service: string; error: ErrorSummary }
  | {
      event: 'ready';
      services: Record<string, ServiceAddresses>;
      /** Services of which no lease is proven; absent where none are. */
      unproven?: string[];
      /** Services with a target that does not answer; absent where all answer. */
      unreachable?: string[];
    }
  | {
      event: 'applied';
      revision: number;
      opened: string[];
      updated: string[];
      replaced: string[];
      closed: string[];
      kept: string[];
      /** Services that were to be opened or replaced, and of which every lease failed. */
      failed: string[];
      /** By service: visitors who are still on a previous target or configuration; absent where none are. */
      retiring?: Record<string, number>;
      durationMs: number;
    }
  | { event: 'rejected'; errors: ProblemSummary[] }
  | {
      event: 'inspector';
      /** Of its page on this machine; with a token, so that nobody else has it. */
      url: string;
      /** The port that was asked for, where it was taken. */
      askedPort?: number;
    }
  /** The target of a service without a mode has shown what it speaks: its visitors are served as this from now on. */
  | { event: 'served'; service: string; servedAs: ServedAs; target: string }
  /** A local service answers, or does not: told at its start, and when that changes. */
  | { event: 'target'; service: string; target: string; reachable: boolean; error?: string }
  | { event: 'health'; service: string; healthy: boolean; error?: string }
  | ({ event: 'notice' } & Notice)
  | { event: 'refused'; service: string; reason: string; remote: string }
  /** The relay gave up on visitors of a service, so many since it said so last. */
  | { event: 'unserved'; service: string; relay: string; reason: string; count: number }
  | { event: 'stopped'; reason: string };

/** A service that has no relay, since when, and why. */
export interface UnplacedStatus {
  service: string;
  /** ISO time. */
  since: string;
  error: ErrorSummary;
}

/** Whether visitors get through to every service, as far as the agent knows without asking anyone. */
export interface Readiness {
  ready: boolean;
  /** Services with a lease that is ready. */
  services: Record<string, ServiceAddresses>;
  /** The others, and why. */
  waiting: { service: string; phase?: Phase; error?: ErrorSummary }[];
}

/** The whole of Active, as `portal status` shows it. */
export interface AgentStatus {
  pid: number;
  file: string | null;
  /** Address of the identity, EIP-55. */
  identity: string;
  startedAt: string;
  revision: number;
  /** Problems of the last save that was refused; empty when the file on disk is what runs. */
  rejected: ProblemSummary[];
  /** Where the inspector's page is, while a service is inspected. */
  inspector?: string;
  /** Path of the local CA's certificate, once one is in use. */
  ca?: string;
  /** The list that more relays come from, where there is one. */
  /** `inChains`: those of its relays that a chain leads through, so that the pool does not use them. */
  registry?: {
    source: string;
    relays: number;
    inChains?: number;
    fetchedAt?: string;
    error?: ErrorSummary;
  };
  relays: RelayStatus[];
  leases: LeaseStatus[];
  /** Services without a lease; absent where none are. */
  unplaced?: readonly UnplacedStatus[];
}
