import { X509Certificate } from 'node:crypto';
import type { Cluster } from '../nodes/nodes.js';
import type { KeyPair } from '../public-port/http-surface.js';

/** Owns what is wrong with a relay, as /healthz reports it. */
export class Health {
  #stopping = false;
  #certificateEndsAt: number | undefined;
  readonly #cluster: Pick<Cluster, 'problem' | 'degraded'> | undefined;

  /** `cluster` says what this node cannot do without others. */
  constructor(certificate: KeyPair | undefined, cluster?: Pick<Cluster, 'problem' | 'degraded'>) {
    this.#cluster = cluster;
    if (certificate) this.serves(certificate);
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** When the relay's own certificate expires, in milliseconds since the epoch. */
  get certificateEndsAt(): number | undefined {
    return this.#certificateEndsAt;
  }

  /** Call when the relay uses another certificate. */
  serves({ cert }: KeyPair): void {
    this.#certificateEndsAt = Date.parse(new X509Certificate(cert).validTo);
  }

  /** Call when the relay begins to shut down. */
  stop(): void {
    this.#stopping = true;
  }

  problem(): string | undefined {
    if (this.#stopping) return 'stopping';
    const problem = this.#cluster?.problem?.();
    if (problem !== undefined) return problem;
    const endsAt = this.#certificateEndsAt;
    if (endsAt === undefined || endsAt > Date.now()) return undefined;
    return `the certificate expired at ${new Date(endsAt).toISOString()}`;
  }

  /** What does not work while visitors are served. A balancer must not leave the node for it. */
  degraded(): string | undefined {
    return this.#cluster?.degraded?.();
  }
}
