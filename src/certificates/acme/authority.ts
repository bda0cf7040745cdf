import { createPrivateKey, type KeyObject } from 'node:crypto';
import pLimit from 'p-limit';
import { readConfined } from '../../lib/confined.js';
import { cannotRead, asPortalError, PortalError, unreadableHint } from '../../lib/errors.js';
import { delay } from '../../lib/wait.js';
import type { Logger } from '../../lib/logger.js';
import { newKey } from '../local-x509.js';
import type { AcmeSpec } from '../spec.js';
import type { ProxyFor } from '../../net/proxy/server.js';
import type { AcmeOptions } from './certificates.js';
import type { AcmeChallenges } from './challenges.js';
import { AcmeClient, type Order } from './client.js';
import { AcmeProblem, explainProblem, type CertificateOwner } from './problem.js';
import type { AcmeStore, DatedCertificate } from './store.js';
import { fetchRenewalTime, type Suggestion } from './renewal-info.js';
import type { Wire } from './transport.js';
import { makeChallengeCertificate, makeRequest } from './x509.js';

/** Orders at one CA at a time. Fifty services must not send fifty orders at once. */
const ORDERS_AT_A_TIME = 4;
/** Timeout of an order. Most CAs validate within seconds, slow ones within a minute. */
const ORDER_MS = 180_000;
const FIRST_POLL_MS = 250;
const MAX_POLL_MS = 5_000;

/** One account at one CA, and the orders made with it. */
export class AcmeAuthority {
  readonly #spec: AcmeSpec;
  readonly #store: AcmeStore;
  readonly #challenges: AcmeChallenges;
  readonly #log: Logger;
  readonly #proxyFor: ProxyFor | undefined;
  readonly #owner: CertificateOwner;
  readonly #ordering = pLimit(ORDERS_AT_A_TIME);
  readonly #stop = new AbortController();
  readonly #onTermsAgreed: AcmeOptions['onTermsAgreed'];
  #newKey: Promise<string> | undefined;
  /** The account's URL, once per process. */
  #account: Promise<string> | undefined;

  constructor(
    spec: AcmeSpec,
    store: AcmeStore,
    challenges: AcmeChallenges,
    {
      log,
      proxyFor,
      owner = 'service',
      onTermsAgreed,
    }: Pick<AcmeOptions, 'log' | 'proxyFor' | 'owner' | 'onTermsAgreed'>,
  ) {
    this.#onTermsAgreed = onTermsAgreed;
    this.#owner = owner;
    this.#log = log;
    this.#proxyFor = proxyFor;
    this.#spec = spec;
    this.#store = store;
    this.#challenges = challenges;
  }

  /** The CA's name in messages. */
  get name(): string {
    return new URL(this.#spec.directory).host;
  }

  /** Orders a certificate and stores it. Rejects with the CA's reason, in plain words. */
  order(hostname: string, signal: AbortSignal): Promise<DatedCertificate> {
    return this.#ordering(async () => {
      const bound = AbortSignal.timeout(ORDER_MS);
      try {
        const wire: Wire = { signal: AbortSignal.any([signal, bound]), ...(await this.#reach()) };
        const { key, chain } = await this.#obtain(hostname, wire);
        return await this.#store.write(hostname, key, chain);
      } catch (error) {
        if (error instanceof AcmeProblem)
          throw explainProblem(error, { hostname, owner: this.#owner, ca: this.name });
        if (bound.aborted && !signal.aborted) {
          const message = `${this.name} did not issue a certificate for ${hostname} within ${ORDER_MS / 1_000} s`;
          throw new PortalError('acme_unreachable', message, { cause: error });
        }
        throw asPortalError(error, 'acme_rejected');
      }
    });
  }

  /** The renewal time that the CA suggests for `certificate`. Undefined if it suggests none or does not respond. */
  async suggestion(certificate: DatedCertificate, signal: AbortSignal): Promise<Suggestion | undefined> {
    try {
      const wire: Wire = { signal, ...(await this.#reach()) };
      return await this.#ordering(() => fetchRenewalTime(wire, this.#spec.directory, certificate.cert));
    } catch (error) {
      this.#log.debug({ ca: this.name, err: error }, 'the CA gave no renewal time');
      return undefined;
    }
  }

  close(): void {
    this.#stop.abort(new PortalError('aborted', 'the agent is stopping'));
  }

  /** How to reach the CA, and which CA certificate to trust for it. */
  async #reach(): Promise<Pick<Wire, 'trust' | 'proxyFor'>> {
    const { caFile } = this.#spec;
    const proxyFor = this.#proxyFor;
    if (caFile === undefined) return { proxyFor };
    try {
      return { proxyFor, trust: await readConfined(caFile) };
    } catch (error) {
      throw new PortalError(
        'acme_unreachable',
        cannotRead(`the CA file ${caFile} of the certificate authority`, error),
        {
          cause: error,
          hint:
            unreadableHint(error) ??
            'Check the path in `acme: { ca }`. It is relative to the file that contains it.',
        },
      );
    }
  }

  async #obtain(hostname: string, wire: Wire): Promise<{ key: string; chain: string }> {
    const { signal } = wire;
    const { client, order } = await this.#begin(hostname, wire);
    for (const url of order.authorizations) await this.#prove(client, hostname, url, signal);
    const { key, csr } = await makeRequest(hostname);
    const ready = await until(
      () => client.order(order),
      ({ status }) => status !== 'pending',
      signal,
    );
    const finalized = ready.status === 'ready' ? await client.finalize(ready, csr) : ready;
    const issued =
      finalized.status === 'processing'
        ? await until(
            () => client.order(order),
            ({ status }) => status !== 'processing',
            signal,
          )
        : finalized;
    if (issued.status !== 'valid')
      throw new AcmeProblem(issued.error ?? { detail: `the order has the status ${issued.status}` });
    return { key, chain: await client.certificate(issued) };
  }

  async #begin(hostname: string, wire: Wire): Promise<{ client: AcmeClient; order: Order }> {
    const key = await this.#key();
    const begin = async (): Promise<{ client: AcmeClient; order: Order }> => {
      const account = await this.#open(key, wire);
      const client = await AcmeClient.connect(wire, this.#spec.directory, key, account);
      return { client, order: await client.newOrder(hostname) };
    };
    try {
      return await begin();
    } catch (error) {
      if (!(error instanceof AcmeProblem) || error.type !== 'accountDoesNotExist') throw error;
      // The CA no longer has the account, so the next order creates it again with the same key.
      this.#account = undefined;
      return await begin();
    }
  }

  async #key(): Promise<KeyObject> {
    const pem = await this.#store.accountKey(() => (this.#newKey ??= this.#makeKey()));
    return createPrivateKey(pem);
  }

  async #makeKey(): Promise<string> {
    this.#onTermsAgreed?.(this.#spec.directory);
    return (await newKey()).privatePem;
  }

  /** The account's URL. Once per process, creates the account or finds it by its key. */
  #open(key: KeyObject, { trust, proxyFor }: Wire): Promise<string> {
    const open = async (): Promise<string> => {
      // An order's signal does not cancel this, because other orders wait for the same account.
      const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(ORDER_MS)]);
      const { directory, email } = this.#spec;
      const client = await AcmeClient.connect(
        { signal, proxyFor, ...(trust !== undefined && { trust }) },
        directory,
        key,
      );
      const account = await client.openAccount(email);
      // A CAA record that pins the account (RFC 8657) needs its URL.
      this.#log.info({ ca: this.name, account }, 'opened the account at the CA');
      return account;
    };
    const account = (this.#account ??= open());
    // Do not cache a failure.
    account.catch(() => {
      if (this.#account === account) this.#account = undefined;
    });
    return account;
  }

  /** Proves to the CA that connections for `hostname` reach this agent. */
  async #prove(client: AcmeClient, hostname: string, url: string, signal: AbortSignal): Promise<void> {
    const authorization = await client.authorization(url);
    if (authorization.status === 'valid') return;
    const challenge = authorization.challenges.find(({ type }) => type === 'tls-alpn-01');
    if (!challenge) {
      throw new PortalError('acme_rejected', `${this.name} does not offer TLS-ALPN-01 for ${hostname}`, {
        hint: 'Portal supports no other challenge. Use a CA that offers it, for example Let’s Encrypt.',
      });
    }
    const certificate = await makeChallengeCertificate(hostname, client.keyAuthorization(challenge));
    const withdraw = await this.#challenges.add(hostname, certificate);
    try {
      await client.accept(challenge);
      const { status, challenges } = await until(
        () => client.authorization(url),
        (now) => now.status !== 'pending',
        signal,
      );
      if (status === 'valid') return;
      const reason = challenges.find(({ error }) => error !== undefined)?.error;
      throw new AcmeProblem(reason ?? { detail: `the authorization has the status ${status}` });
    } finally {
      withdraw();
    }
  }
}

/** Polls with increasing delays until `isDone` or until the signal aborts. */
async function until<T>(ask: () => Promise<T>, isDone: (now: T) => boolean, signal: AbortSignal): Promise<T> {
  for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(MAX_POLL_MS, pauseMs * 1.5)) {
    const now = await ask();
    if (isDone(now)) return now;
    await delay(pauseMs, signal);
  }
}
