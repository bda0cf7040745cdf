import { createHmac, randomBytes } from 'node:crypto';
import { isSameSecret } from '../../lib/same-secret.js';
import { networkOf } from '../../net/cidr.js';
import { LIMITS } from '../../protocol/limits.js';
import { valuesOf, type Exchange } from '../modes/http/exchange/exchange.js';
import { pathOf } from '../modes/http/routing/paths.js';
import { readBody } from '../modes/http/exchange/read-body.js';
import { redirectWith, respondWith } from '../modes/http/exchange/own-response.js';
import type { ServiceSpec } from '../spec.js';
import { ANYONE, Attempts, seconds } from './attempts.js';
import { cookiesOf, PIN_COOKIE } from './cookies.js';
import type { Gate, GateOptions, Passed } from './gate.js';
import { PIN_HEADER, PIN_PATH } from './kinds.js';
import { isFromOwnPage } from './own-page.js';
import { pinPage } from './pin-page.js';
import type { Rejections } from './rejections.js';
import { returnPath } from './return-path.js';
import { Sessions } from './sessions.js';

const MAX_FORM_BYTES = 4 * 1024;

type Verdict = { readonly kind: 'right' | 'wrong' } | { readonly kind: 'wait'; readonly waitS: number };

/** Asks for the PIN: a page for people, a header for programs, and a cookie after a correct PIN. */
export class PinGate implements Gate {
  readonly #sessions: Sessions;
  readonly #attempts = new Attempts();
  /** Hides wrong PINs, which may be those of other services. */
  readonly #key = randomBytes(32);
  readonly #rejections: Rejections;
  #service: string;
  #pin: string | undefined;

  constructor({ spec: { service, access }, sessionKey, rejections }: GateOptions) {
    this.#service = service;
    this.#pin = access.pin;
    this.#sessions = new Sessions(sessionKey, PIN_COOKIE);
    this.#rejections = rejections;
  }

  update({ service, access }: ServiceSpec): boolean {
    this.#service = service;
    if (access.pin === this.#pin) return false;
    this.#pin = access.pin;
    this.#attempts.reset();
    return access.pin !== undefined;
  }

  /** Responds to visitors that have not proven the PIN. */
  ask(exchange: Exchange): Passed | Promise<Passed> {
    const pin = this.#pin;
    if (pin === undefined) return exchange;
    const { hostname } = exchange.client;
    const isForm = pathOf(exchange.target) === PIN_PATH;
    const isIn = this.#sessions.isValid(cookiesOf(exchange), { hostname, settings: pin }, Date.now());
    // Another site could use up the attempts of its visitors.
    if (isForm && exchange.method === 'POST' && exchange.body && isFromOwnPage(exchange))
      return this.#readForm(exchange, pin);
    if (isForm && isIn) redirect(exchange, '/');
    else if (isIn || this.#passesProgram(exchange, pin)) return exchange;
    return undefined;
  }

  /** Whether the header field has the PIN. Otherwise, responds. */
  #passesProgram(exchange: Exchange, pin: string): boolean {
    const given = valuesOf(exchange, PIN_HEADER, ', ');
    if (given === '') {
      const to = exchange.method === 'GET' && exchange.upgrade === undefined ? exchange.target : '/';
      this.#refuse(exchange, to, undefined);
      return false;
    }
    // Node decodes header fields as Latin-1. The PIN is UTF-8, as in the form.
    const verdict = this.#judge(exchange, Buffer.from(given, 'latin1').toString(), pin);
    if (verdict.kind === 'right') return true;
    this.#refuse(exchange, '/', verdict);
    return false;
  }

  async #readForm(exchange: Exchange, pin: string): Promise<undefined> {
    const read = await readBody(exchange, { maxBytes: MAX_FORM_BYTES, idleMs: LIMITS.requestHeadMs });
    if (read.kind === 'gone') return;
    const form = new URLSearchParams(read.kind === 'whole' ? read.bytes.toString() : '');
    const to = form.get('to') ?? '/';
    const verdict = this.#judge(exchange, form.get('pin') ?? '', pin);
    if (verdict.kind !== 'right') {
      this.#refuse(exchange, to, verdict);
      return;
    }
    const { hostname } = exchange.client;
    redirect(exchange, returnPath(to), this.#sessions.begin({ hostname, settings: pin }, Date.now()));
  }

  #judge({ client }: Exchange, given: string, pin: string): Verdict {
    // The monotonic clock: a change of the wall clock must not end a wait.
    const now = performance.now();
    const address = networkOf(client.address);
    const waitMs = this.#attempts.waitMs(address, now);
    if (waitMs > 0) return { kind: 'wait', waitS: seconds(waitMs) };
    if (isSameSecret(given, pin)) {
      this.#attempts.succeeded(address, now);
      return { kind: 'right' };
    }
    const id = createHmac('sha256', this.#key).update(given).digest('base64');
    if (!this.#attempts.isRepeated(address, id)) this.#attempts.failed(address, now, { user: ANYONE, id });
    this.#rejections.note('pin', client.address);
    const pauseMs = this.#attempts.waitMs(address, now);
    return pauseMs > 0 ? { kind: 'wait', waitS: seconds(pauseMs) } : { kind: 'wrong' };
  }

  #refuse(exchange: Exchange, to: string, verdict: Verdict | undefined): void {
    const outcome = verdict?.kind === 'right' ? undefined : verdict?.kind;
    const waitS = verdict?.kind === 'wait' ? verdict.waitS : undefined;
    const page = pinPage({
      service: this.#service,
      to: returnPath(to),
      ...(outcome && { outcome }),
      ...(waitS !== undefined && { waitS }),
    });
    respondWith(exchange, page);
  }
}

function redirect(exchange: Exchange, to: string, cookie?: string): void {
  const headers = cookie === undefined ? [] : ['Set-Cookie', cookie];
  redirectWith(exchange, { code: 'pin_form', title: 'PIN form' }, to, headers);
}
