/**
 * The interface for programs: `import { expose } from 'portal-up'`. Its declarations are the package's types, so this file imports
 * nothing.
 */

/** A value of portal.yaml. */
export type Setting =
  | string
  | number
  | boolean
  | readonly Setting[]
  | { readonly [key: string]: Setting | undefined };

/** Settings of a service, as in portal.yaml (docs/reference/config.md), for example `access` or `mode`. */
export interface ServiceSettings {
  readonly [key: string]: Setting | undefined;
  /** Record requests, for `requests` and `waitForRequest`. */
  readonly inspect?: boolean | { readonly [key: string]: Setting | undefined };
}

export interface ExposeOptions extends ServiceSettings {
  /** Its name on the relay. Default: derived from your identity and the target. */
  readonly name?: string;
}

export interface RunOptions {
  /** URLs of relays. Default: a relay in this process, for names below `localhost`. */
  readonly relays?: readonly string[];
  /** Folder for the identity, the local CA and the rest. Default: as for the command line. */
  readonly home?: string;
  /** Closes the tunnel. Before it is open, `expose` rejects with the reason. */
  readonly signal?: AbortSignal;
  /** How long to wait until the tunnel is open. Default: 30,000. */
  readonly timeoutMs?: number;
  /** Called with each event, as `portal up --json` prints it (docs/reference/events.md). */
  readonly onEvent?: (event: { readonly event: string; readonly [field: string]: unknown }) => void;
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

export interface Tunnel {
  /** The public URL. In mode tcp and udp: `tcp://host:port`, `udp://host:port`. */
  readonly url: string;
  /** Path of the certificate of the local CA, which visitors must trust; undefined with a public certificate. */
  readonly caFile: string | undefined;
  /** Like the global `fetch`, for URLs of this tunnel: trusts its certificate, and needs no DNS. A path is enough. */
  fetch(path: string | URL, init?: FetchInit): Promise<Response>;
  /** The recorded requests that have ended, oldest first. Throws without `inspect`. */
  requests(): readonly RecordedRequest[];
  /**
   * The next request that matches and has ended, also one that came before this call. Each call returns another request.
   * Rejects after `timeoutMs` (default: 5,000).
   */
  waitForRequest(
    match?: RequestMatch,
    options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal },
  ): Promise<RecordedRequest>;
  /** Lets visitors finish for at most `drainMs` (default: 1,000). Idempotent. */
  close(options?: { readonly drainMs?: number }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface FetchInit {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
}

/** Publishes a local service until the tunnel is closed. Rejects with an error that has a `code` (docs/reference/errors.md). */
export type Expose = (target: number | string, options?: ExposeOptions, run?: RunOptions) => Promise<Tunnel>;
