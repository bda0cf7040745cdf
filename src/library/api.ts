import type { ErrorSummary } from '../agent/status.js';
import type { PortalConfig, Service, ServiceOptions } from '../config/schema/types.js';
import type { ErrorCode } from '../lib/error-codes.js';
import type { PortalEvent } from '../reconcile/events.js';

/**
 * The interface for programs: `import { up, expose } from 'portal-up'`. scripts/build/library-types.mjs makes the package's types
 * from it, so it has declarations only.
 */

/** Settings of a service, as in portal.yaml (docs/reference/config.md). */
export interface ExposeOptions extends Omit<ServiceOptions, 'target' | 'via' | 'profiles' | 'dependsOn'> {
  /** Its name on the relay. Default: derived from your identity and the target. */
  readonly name?: string;
}

/**
 * A configuration in the form of portal.yaml (docs/reference/config.md). Portal takes values as they are: it does not replace
 * `${NAME}`. Relative paths start at `cwd` of `UpOptions`.
 */
export interface Configuration<Name extends string = string> extends Omit<
  PortalConfig,
  'version' | 'services'
> {
  /** Default: 1. */
  readonly version?: 1;
  readonly services: Readonly<Record<Name, Service>>;
}

/** How `expose` and `up` run. */
export interface CommonOptions {
  /** Folder for the identity, the local CA and the rest. Default: as for the command line. */
  readonly home?: string;
  /** Closes everything. Before it is ready, the call rejects with the reason of the signal. */
  readonly signal?: AbortSignal;
  /** How long to wait until everything is ready, in milliseconds. Default: 30,000. */
  readonly timeoutMs?: number;
  /** Called with each event, as `portal up --json` prints it (docs/reference/events.md). */
  readonly onEvent?: (event: TimedEvent) => void;
  /** Called with warnings that no event carries. Default: they are dropped. */
  readonly onWarning?: (message: string) => void;
}

export interface RunOptions extends CommonOptions {
  /** URLs of relays. Default: a relay in this process, for names below `localhost`. */
  readonly relays?: readonly string[];
}

export interface UpOptions extends CommonOptions {
  /** Whether to wait until every service is ready. Default: true. */
  readonly wait?: boolean;
  /** Apply each save of the file. A save with errors changes nothing, and causes a `rejected` event. Default: false. */
  readonly watch?: boolean;
  /** The services to run, with those that they depend on. Default: all whose profile is active. */
  readonly services?: readonly string[];
  /** Active profiles. Default: those of PORTAL_PROFILES. */
  readonly profiles?: readonly string[];
  /** Allow everything that the file asks for, as `portal up --yes` does. Default: only what `portal allow` allowed. */
  readonly allow?: boolean;
  /** Reject relays that are not in portal.lock, instead of adding them. Default: false. */
  readonly frozen?: boolean;
  /** The current folder, where Portal looks for the file. Default: that of the process. */
  readonly cwd?: string;
}

/** The name of an event. */
export type EventName = PortalEvent['event'];

/** An event with its time, ISO 8601. `TimedEvent<'ready'>` is the event `ready`. */
export type TimedEvent<Name extends EventName = EventName> = Extract<
  PortalEvent,
  { readonly event: Name }
> & { readonly time: string };

/** What happens to the services, as `portal up --json` prints it (docs/reference/events.md). */
export interface Events {
  /** Calls `listener` with each event of this name, or with all for `*`. Returns a function that removes the listener. */
  on<Name extends EventName>(name: Name, listener: (event: TimedEvent<Name>) => void): () => void;
  on(name: '*', listener: (event: TimedEvent) => void): () => void;
  /** The next event of this name that matches. Rejects after `timeoutMs` (default: 5,000), and when Portal closes. */
  next<Name extends EventName>(
    name: Name,
    options?: WaitOptions & { readonly match?: (event: TimedEvent<Name>) => boolean },
  ): Promise<TimedEvent<Name>>;
}

export interface WaitOptions {
  /** In milliseconds. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A body, as far as it was recorded. */
export interface RecordedBody {
  readonly bytes: Uint8Array;
  /** Its length on the wire; more than `bytes` if only the start was recorded. */
  readonly length: number;
  text(): string;
  /** Throws `SyntaxError` if it is not JSON. */
  json(): unknown;
}

/** A request of a visitor that has ended. */
export interface RecordedRequest {
  readonly id: number;
  readonly service: string;
  readonly method: string;
  /** Path and query, as received. */
  readonly path: string;
  /** In lower case. Values of repeated fields are joined with `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: RecordedBody;
  /** The visitor's IP address. */
  readonly remote: string;
  readonly startedAt: Date;
  /** Absent if the visitor disconnected before. */
  readonly response?: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: RecordedBody;
  };
}

/** A path without its query, fields that must be equal, or a function. */
export type RequestMatch =
  | string
  | { readonly method?: string; readonly path?: string }
  | ((request: RecordedRequest) => boolean);

export interface FetchInit {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
}

/** What a tunnel and a service of `up` have in common. */
export interface Published {
  /** The first public URL. In mode tcp and udp: `tcp://host:port`, `udp://host:port`. Throws `usage` before there is a URL. */
  readonly url: string;
  /** The public URLs, in the order of the relays. */
  readonly urls: readonly string[];
  /** Like the global `fetch`, for the first URL: trusts its certificate, and needs no DNS. A path is enough. */
  fetch(path: string | URL, init?: FetchInit): Promise<Response>;
  /** The recorded requests that have ended, oldest first. Throws `usage` without `inspect`. */
  requests(): RecordedRequest[];
  /**
   * The next request that matches and has ended, also one that came before this call. Each call returns another request.
   * Rejects after `timeoutMs` (default: 5,000).
   */
  waitForRequest(match?: RequestMatch, options?: WaitOptions): Promise<RecordedRequest>;
}

/** What `expose` and `up` return: something to close. */
export interface Closable {
  /** Path of the certificate of the local CA, which visitors must trust; undefined with a public certificate. */
  readonly caFile: string | undefined;
  /** What happens to it. */
  readonly events: Events;
  /** Lets visitors finish for at most `drainMs` (default: 1,000). Idempotent. */
  close(options?: { readonly drainMs?: number }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** One published service. */
export interface Tunnel extends Published, Closable {}

/**
 * `ready`: visitors reach it. `starting`, `retrying`: not yet, or not now. `failed`: no relay accepts it. `closed`: it does not run,
 * for example because it has expired.
 */
export type ServiceState = 'starting' | 'ready' | 'retrying' | 'failed' | 'closed';

/** A service of `up`. */
export interface RunningService extends Published {
  readonly name: string;
  readonly state: ServiceState;
  /** Why it is not ready, if Portal knows: a code, a message and a hint. */
  readonly error: ErrorSummary | undefined;
}

/** A running configuration. */
export interface Portal<Name extends string = string> extends Closable {
  /** The services, by their keys in the configuration. */
  readonly services: Readonly<Record<Name, RunningService>>;
  /** Resolves once every service is ready. Rejects if one fails, and after `timeoutMs` (default: 30,000). */
  ready(options?: WaitOptions): Promise<void>;
  /**
   * Makes `configuration` the running one; without it, loads the file again. Services that do not change keep their visitors. Resolves
   * once each change has its first outcome. Rejects, and changes nothing, if the configuration is invalid.
   */
  apply(configuration?: Configuration): Promise<TimedEvent<'applied'>>;
}

/** One mistake in a configuration. */
export interface ConfigProblem {
  /** Path of the file; absent for an object. Like `line` and `column`. */
  readonly file?: string;
  /** 1-based. */
  readonly line?: number;
  /** 1-based. */
  readonly column?: number;
  /** JSON pointer to the value (RFC 6901), for example `/services/web/mode`. */
  readonly path: string;
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  /** The lines around the place, without secrets; absent for an object. */
  readonly frame?: string;
}

/** An error of Portal. Programs read `code` (docs/reference/errors.md), never `message`. */
export declare class PortalError extends Error {
  private constructor();
  readonly code: ErrorCode;
  /** What to do next, if Portal knows more than the code says. */
  readonly hint: string | undefined;
  /** Of an invalid configuration: each mistake. */
  readonly problems?: readonly ConfigProblem[];
}

export type { ErrorCode, ErrorSummary, PortalEvent };

/** Publishes a local service until the tunnel is closed. Rejects with `PortalError`. */
export declare function expose(
  target: number | string,
  options?: ExposeOptions,
  run?: RunOptions,
): Promise<Tunnel>;

/**
 * Runs a configuration: an object, the path of a file, or without either the portal.yaml that `portal up` would find. Resolves once
 * every service is ready. Rejects with `PortalError`, and then nothing runs.
 */
export declare function up<Name extends string>(
  configuration: Configuration<Name>,
  options?: UpOptions,
): Promise<Portal<Name>>;
export declare function up(file?: string, options?: UpOptions): Promise<Portal>;
