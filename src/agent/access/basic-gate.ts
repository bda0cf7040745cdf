import { isDeepStrictEqual } from 'node:util';
import { PasswordWorker } from '../../lib/passwords/worker.js';
import { valuesOf, type Exchange, type Headers } from '../modes/http/exchange/exchange.js';
import { respondWith } from '../modes/http/exchange/own-response.js';
import type { Page } from '../pages/page.js';
import { PAGES } from '../pages/pages.js';
import { signIn } from './gate-pages.js';
import type { AccessSpec, ServiceSpec } from '../spec.js';
import { AdmittedExchange, USER_FIELD } from './admitted.js';
import { basicField, readBasic } from './basic-credentials.js';
import { CredentialChecks, type Verdict } from './credential-checks.js';
import type { Gate, GateOptions, Passed } from './gate.js';
import { isFromOtherSite } from './own-page.js';
import type { Rejections } from './rejections.js';

const FIELD = 'authorization';

/** One thread for all services. It starts with the first verification. */
const worker = new PasswordWorker();
const verify = (password: string, hash: string): Promise<boolean | 'busy'> => worker.verify(password, hash);

/** Asks for a user name and a password (RFC 7617). */
export class BasicGate implements Gate {
  readonly #rejections: Rejections;
  #service: string;
  #users: AccessSpec['basic'];
  /** Belongs to one state of the settings. */
  #checks: CredentialChecks | undefined;

  constructor({ spec: { service, access }, rejections }: GateOptions) {
    this.#service = service;
    this.#rejections = rejections;
    this.#set(access.basic);
  }

  /** Signs everyone out: each user may be connected with a former password. */
  update({ service, access: { basic } }: ServiceSpec): boolean {
    this.#service = service;
    if (isDeepStrictEqual(basic, this.#users)) return false;
    this.#set(basic);
    return basic !== undefined;
  }

  ask(exchange: Exchange): Passed | Promise<Passed> {
    const checks = this.#checks;
    if (!checks) return exchange;
    const given = readBasic(valuesOf(exchange, FIELD));
    if (!given) return this.#refuse(exchange, signIn(this.#service));
    const { network } = exchange.client;
    const verdict = checks.check(given, { network, isFromOtherSite: isFromOtherSite(exchange) });
    if (!(verdict instanceof Promise)) return this.#apply(exchange, verdict);
    // After a save, the credentials must be those of the new settings.
    return verdict.then((later) =>
      this.#checks === checks ? this.#apply(exchange, later) : this.ask(exchange),
    );
  }

  /** Whether it has sent a name and a password. `ask` verifies them. */
  knows(exchange: Exchange): boolean {
    return readBasic(valuesOf(exchange, FIELD)) !== undefined;
  }

  strip(exchange: Exchange): Exchange {
    return this.#checks ? new AdmittedExchange(exchange, [], FIELD) : exchange;
  }

  /** Keeps the user's name. */
  redact(headers: Headers): Headers {
    if (!this.#checks) return headers;
    return headers.map((text, i) => {
      if (i % 2 === 0 || headers[i - 1]!.toLowerCase() !== FIELD) return text;
      const given = readBasic(text);
      return given ? basicField({ ...given, password: '' }) : '';
    });
  }

  #set(users: AccessSpec['basic']): void {
    this.#users = users;
    this.#checks = users && new CredentialChecks(users, verify);
  }

  #apply(exchange: Exchange, verdict: Verdict): Passed {
    if (verdict.kind === 'right') return admitted(exchange, verdict.user);
    if (verdict.kind === 'busy') return this.#refuse(exchange, PAGES.busy);
    if (verdict.isNew) this.#rejections.note('basic', exchange.client.address);
    return this.#refuse(exchange, signIn(this.#service, verdict));
  }

  #refuse(exchange: Exchange, page: Page): undefined {
    respondWith(exchange, page);
  }
}

const admitted = (exchange: Exchange, user: string): Exchange =>
  new AdmittedExchange(exchange, [USER_FIELD, user], FIELD);
