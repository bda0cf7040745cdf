import { readFile } from 'node:fs/promises';
import type { Authorization, Client, Order } from 'acme-client';
import pLimit from 'p-limit';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { delay } from '../../lib/wait.js';
import type { Logger } from '../../lib/logger.js';
import type { AcmeSpec } from '../spec.js';
import type { AcmeChallenges } from './challenges.js';
import { AcmeProblem, explainProblem } from './problem.js';
import type { AcmeStore, DatedCertificate } from './store.js';
import { askWhenToRenew, type Suggestion } from './renewal-info.js';
import { loadAcme, over, type Acme, type Wire } from './transport.js';

/** Orders with one CA at a time: fifty services must not be fifty orders at once. */
const ORDERS_AT_A_TIME = 4;
/** An order is done within this. CAs validate within seconds, the slow ones within a minute. */
const ORDER_MS = 180_000;
const FIRST_POLL_MS = 250;
const MAX_POLL_MS = 5_000;

/** One account at one CA, and the orders made with it. */
export class AcmeAuthority {
  readonly #spec: AcmeSpec;
  readonly #store: AcmeStore;
  readonly #challenges: AcmeChallenges;
  readonly #log: Logger;
  readonly #ordering = pLimit(ORDERS_AT_A_TIME);
  readonly #stop = new AbortController();
  #account: Promise<Client> | undefined;

  constructor(spec: AcmeSpec, store: AcmeStore, challenges: AcmeChallenges, log: Logger) {
    this.#log = log;
    this.#spec = spec;
    this.#store = store;
    this.#challenges = challenges;
  }

  /** How messages call the CA. */
  get name(): string {
    return new URL(this.#spec.directory).host;
  }

  /** Orders a certificate and stores it. Rejects with what the CA said, in plain words. */
  order(hostname: string, signal: AbortSignal): Promise<DatedCertificate> {
    return this.#ordering(async () => {
      const bound = AbortSignal.timeout(ORDER_MS);
      try {
        const wire: Wire = { signal: AbortSignal.any([signal, bound]), ...(await this.#trust()) };
        const { key, chain } = await over(wire, () => this.#obtain(hostname, wire));
        return await this.#store.write(hostname, key, chain);
      } catch (error) {
        if (error instanceof AcmeProblem) throw explainProblem(error, hostname, this.name);
        if (bound.aborted && !signal.aborted) {
          const message = `${this.name} did not issue a certificate for ${hostname} within ${ORDER_MS / 1_000} s`;
          throw new PortalError('acme_unreachable', message, { cause: error });
        }
        throw asPortalError(error, 'acme_refused');
      }
    });
  }

  /** When the CA suggests to renew `certificate`; undefined when it does not say, or does not answer. */
  async suggestion(certificate: DatedCertificate, signal: AbortSignal): Promise<Suggestion | undefined> {
    try {
      const wire: Wire = { signal, ...(await this.#trust()) };
      return await this.#ordering(() => askWhenToRenew(wire, this.#spec.directory, certificate.cert));
    } catch (error) {
      this.#log.debug({ ca: this.name, err: error }, 'the CA was not asked when to renew');
      return undefined;
    }
  }

  close(): void {
    this.#stop.abort(new PortalError('aborted', 'the agent stops'));
  }

  async #trust(): Promise<{ trust?: string }> {
    const { caFile } = this.#spec;
    if (caFile === undefined) return {};
    try {
      return { trust: await readFile(caFile, 'utf8') };
    } catch (error) {
      throw new PortalError(
        'acme_unreachable',
        `the CA file of the certificate authority cannot be read: ${asPortalError(error).message}`,
        {
          cause: error,
          hint: 'Check the path after `acme: { ca }`; it is relative to the file that names it.',
        },
      );
    }
  }

  async #obtain(hostname: string, { signal, trust }: Wire): Promise<{ key: string; chain: string }> {
    const acme = await loadAcme();
    const { client, order } = await this.#begin(acme, hostname, trust);
    for (const authorization of await client.getAuthorizations(order))
      await this.#prove(acme, client, hostname, authorization, signal);
    const key = String(await acme.crypto.createPrivateEcdsaKey('P-256'));
    const [, request] = await acme.crypto.createCsr({ altNames: [hostname] }, key);
    const ready = await until(
      () => client.getOrder(order),
      ({ status }) => status !== 'pending',
      signal,
    );
    const finalized = ready.status === 'ready' ? await client.finalizeOrder(ready, request) : ready;
    const issued =
      finalized.status === 'processing'
        ? await until(
            () => client.getOrder(order),
            ({ status }) => status !== 'processing',
            signal,
          )
        : finalized;
    if (issued.status !== 'valid')
      throw new AcmeProblem(errorOf(issued) ?? { detail: `the order is ${issued.status}` });
    return { key, chain: await client.getCertificate(issued) };
  }

  async #begin(
    acme: Acme,
    hostname: string,
    trust: string | undefined,
  ): Promise<{ client: Client; order: Order }> {
    const identifiers = [{ type: 'dns', value: hostname }];
    const client = await this.#open(acme, trust);
    try {
      return { client, order: await client.createOrder({ identifiers }) };
    } catch (error) {
      if (!(error instanceof AcmeProblem) || error.type !== 'accountDoesNotExist') throw error;
      // The CA has forgotten the account: it is made anew, with the same key.
      this.#account = undefined;
      const anew = await this.#open(acme, trust);
      return { client: anew, order: await anew.createOrder({ identifiers }) };
    }
  }

  /** The account, made or found again by its key, once per process. */
  #open(acme: Acme, trust: string | undefined): Promise<Client> {
    const open = async (): Promise<Client> => {
      const accountKey = await this.#store.accountKey(async () =>
        String(await acme.crypto.createPrivateEcdsaKey('P-256')),
      );
      const { directory, email } = this.#spec;
      const client = new acme.Client({ directoryUrl: directory, accountKey });
      const contact = email === undefined ? {} : { contact: [`mailto:${email}`] };
      try {
        await client.createAccount({ termsOfServiceAgreed: true, ...contact });
      } catch (error) {
        // One that was there already is updated next, and some CAs refuse an update that changes nothing.
        if (email !== undefined || !(error instanceof AcmeProblem) || !isOpen(client)) throw error;
      }
      // Whoever pins it in a CAA record (RFC 8657) needs its URL.
      this.#log.info({ ca: this.name, account: client.getAccountUrl() }, 'the account at the CA is open');
      return client;
    };
    // Not cancelled with the order that happens to be first: others wait for the same account.
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(ORDER_MS)]);
    this.#account ??= over({ signal, ...(trust !== undefined && { trust }) }, open);
    const account = this.#account;
    // A failure must not be remembered.
    account.catch(() => {
      if (this.#account === account) this.#account = undefined;
    });
    return account;
  }

  /** Proves to the CA that visitors of `hostname` come to us. */
  async #prove(
    acme: Acme,
    client: Client,
    hostname: string,
    authorization: Authorization,
    signal: AbortSignal,
  ): Promise<void> {
    if (authorization.status === 'valid') return;
    const challenge = authorization.challenges.find(({ type }) => (type as string) === 'tls-alpn-01');
    if (!challenge) {
      throw new PortalError('acme_refused', `${this.name} does not validate ${hostname} by TLS-ALPN-01`, {
        hint: 'Portal answers no other challenge. Use a CA that offers it, as Let’s Encrypt does.',
      });
    }
    const answer = await client.getChallengeKeyAuthorization(challenge);
    const ownKey = await acme.crypto.createPrivateEcdsaKey('P-256');
    const [key, cert] = await acme.crypto.createAlpnCertificate(authorization, answer, ownKey);
    const withdraw = this.#challenges.add(hostname, { key, cert });
    try {
      await client.completeChallenge(challenge);
      const look = async (): Promise<Authorization> =>
        (await client.getAuthorizations({ authorizations: [authorization.url] } as Order))[0]!;
      const { status, challenges } = await until(look, (now) => now.status !== 'pending', signal);
      if (status === 'valid') return;
      const reasons = challenges.map((one) => errorOf(one)).filter((reason) => reason !== undefined);
      throw new AcmeProblem(reasons[0] ?? { detail: `the authorization is ${status}` });
    } finally {
      withdraw();
    }
  }
}

/** The problem an object of the CA carries; the library's types say no more than that it is an object. */
function errorOf({ error }: { error?: object }): object | undefined {
  return error;
}

/** Whether the CA has told the account's URL. */
function isOpen(client: Client): boolean {
  try {
    return client.getAccountUrl() !== '';
  } catch {
    return false;
  }
}

/** Asks until `isDone`, with growing pauses; the signal ends it. */
async function until<T>(ask: () => Promise<T>, isDone: (now: T) => boolean, signal: AbortSignal): Promise<T> {
  for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(MAX_POLL_MS, pauseMs * 1.5)) {
    const now = await ask();
    if (isDone(now)) return now;
    await delay(pauseMs, signal);
  }
}
