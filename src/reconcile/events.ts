import type {
  ErrorSummary,
  HeldStatus,
  LeaseStatus,
  Phase,
  PortRange,
  PublicAddress,
  RelayStatus,
  Unproven,
} from '../agent/status.js';
import type { HeldEvent } from '../agent/hold/held-events.js';
import type { ServedAs } from '../agent/served-as.js';
import type { Problem } from '../config/text/problem.js';
import type { Notice } from './notices.js';

/** The public addresses of a service, and its protocol. */
export interface ServiceAddresses {
  urls: string[];
  tcp: string[];
  udp: string[];
  servedAs: ServedAs;
}

/** A problem without its code frame, as in events and `status`. */
export type ProblemSummary = Omit<Problem, 'frame'>;

/** The events of `portal up`. `--json` prints each as one line, with a `time`. */
export type PortalEvent =
  | {
      event: 'started';
      pid: number;
      file: string | null;
      ca?: string;
      /** URL of the metrics. */
      metrics?: string;
    }
  | ({
      event: 'lease';
      service: string;
      relay: string;
      phase: Phase;
      lease?: string;
      /** The requested public port, if the relay assigned another one. */
      askedPort?: number;
      /** With `askedPort`: the relay's range of public ports, if the relay said it. */
      portRange?: PortRange;
      /** In phase `ready`: whether the agent's last own visit succeeded. */
      proven?: boolean;
      /** Why the lease is unproven. */
      unproven?: Unproven;
      /** In phase `ready`: a target of the service is unreachable. */
      unreachable?: true;
      /** Of a private service: the address of the identity that its visitors expect. They use `portal connect`. */
      privateOf?: string;
      error?: ErrorSummary;
      /** In phase `retrying`: time until the next attempt, if the failure requires a pause. */
      nextInMs?: number;
    } & PublicAddress)
  /** A service has no relay and therefore no lease. A later lease event of the service ends that state. */
  | { event: 'unplaced'; service: string; error: ErrorSummary }
  | {
      event: 'ready';
      services: Record<string, ServiceAddresses>;
      /** Services without a proven lease; absent if empty. */
      unproven?: string[];
      /** Services with an unreachable target; absent if empty. */
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
      /** Services to open or replace of which every lease failed. */
      failed: string[];
      /** Services that are now open to more people, because their `access` changed; absent if empty. */
      exposed?: string[];
      /** Services of `closed` that ended by their `expires`; absent if empty. */
      expired?: string[];
      /** Per service: visitors who still use a previous target or configuration; absent if empty. */
      retiring?: Record<string, number>;
      durationMs: number;
    }
  | { event: 'rejected'; errors: ProblemSummary[] }
  | {
      event: 'inspector';
      /** URL of the inspector page on this machine, with a token that protects it. */
      url: string;
      /** The requested port, if it was in use. */
      askedPort?: number;
    }
  /** The target of a service without a mode has shown its protocol. Its visitors are served as this from now on. */
  | { event: 'served'; service: string; servedAs: ServedAs; target: string }
  /** Whether a local service is reachable: reported at its start, and on each change. */
  | {
      event: 'target';
      service: string;
      target: string;
      /** The routes that lead to the target, if the service has several targets. */
      routes?: string[];
      reachable: boolean;
      error?: string;
    }
  | { event: 'health'; service: string; healthy: boolean; error?: string }
  /** The program behind a service starts, ends, or waits for other services. */
  | {
      event: 'command';
      service: string;
      /** The service, and the route's prefix unless that is `/`. */
      name: string;
      state: CommandState;
      /** In state `running`: the process and its group. */
      pid?: number;
      /** In state `exited`. */
      exit?: CommandExit;
      /** In state `exited`: time until it starts again. */
      nextInMs?: number;
      /** In state `waiting`: services that do not respond yet. */
      waitsFor?: string[];
    }
  /** A line that the program behind a service printed, without control sequences. */
  | { event: 'output'; service: string; name: string; stream: 'stdout' | 'stderr'; text: string }
  | ({ event: 'notice' } & Notice)
  | { event: 'refused'; service: string; reason: string; remote: string }
  /** The relay gave up on visitors of a service: how many since its last report. */
  | { event: 'unserved'; service: string; relay: string; reason: string; count: number }
  /** A request waits for its target, or no longer does. */
  | HeldEvent
  | {
      event: 'stopped';
      reason: string;
      /** Visitors that were still connected at the end of the drain; absent if 0. */
      disconnected?: number;
    };

type CommandState = 'waiting' | 'running' | 'exited' | 'stopped';

/** How a program ended. */
export interface CommandExit {
  code: number | null;
  signal: string | null;
  /** Why it did not start. */
  error?: string;
}

/** The program behind a service. */
export interface CommandStatus {
  /** The service, and the route's prefix unless that is `/`. */
  name: string;
  service: string;
  /** The command as in the file. */
  run: string;
  state: CommandState;
  pid?: number;
  port?: number;
  /** In state `waiting`: services that do not respond yet. */
  waitsFor?: string[];
  /** How often it has ended without a request. */
  restarts: number;
  exit?: CommandExit;
  nextInMs?: number;
}

/** A service without a relay, since when, and why. */
export interface UnplacedStatus {
  service: string;
  /** ISO time. */
  since: string;
  error: ErrorSummary;
}

/** Whether visitors reach every service, as far as the agent knows without a check. */
export interface Readiness {
  ready: boolean;
  /** Services with a ready lease. */
  services: Record<string, ServiceAddresses>;
  /** All other services, and why. */
  waiting: { service: string; phase?: Phase; error?: ErrorSummary }[];
}

/** The complete state, as `portal status` shows it. */
export interface AgentStatus {
  pid: number;
  file: string | null;
  /** Address of the identity, EIP-55. */
  identity: string;
  startedAt: string;
  revision: number;
  /** Problems of the last rejected save; empty if the file on disk is the running configuration. */
  rejected: ProblemSummary[];
  /** URL of the inspector page, while a service is inspected. */
  inspector?: string;
  /** Path of the local CA's certificate, if one is in use. */
  ca?: string;
  /**
   * The registry of the pool, if there is one. `inChains`: its relays that are part of a chain, and that the pool therefore
   * does not use.
   */
  registry?: {
    source: string;
    relays: number;
    inChains?: number;
    fetchedAt?: string;
    error?: ErrorSummary;
  };
  relays: RelayStatus[];
  leases: LeaseStatus[];
  /** Services without a lease; absent if empty. */
  unplaced?: readonly UnplacedStatus[];
  /** Routes with held requests; absent if empty. */
  held?: readonly HeldStatus[];
  /** Programs that the agent runs; absent if empty. */
  commands?: readonly CommandStatus[];
}
