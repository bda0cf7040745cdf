import { PortalError } from '../../../lib/errors.js';
import { answer, withoutField, type Exchange, type Follows, type Headers } from './exchange.js';
import { notRunning, notTrusted, PAGES, type Page } from '../../pages.js';
import { answerTrailers } from './request.js';
import { visitorHeaders } from './response.js';
import type { Route, RouteTable } from './routes.js';

/** The target has not begun its answer in time. */
export class SilentError extends Error {}

/**
 * One exchange on its way to its route's target and back. Whoever talks to the target tells it what comes;
 * it is over once, whichever side ends it.
 */
export class Forwarding {
  readonly exchange: Exchange;
  readonly route: Route;
  readonly #table: RouteTable;
  readonly #service: string;
  readonly #onOver: (problem: unknown) => void;
  #cancel: (() => void) | undefined;
  #over = false;

  constructor(
    exchange: Exchange,
    route: Route,
    table: RouteTable,
    service: string,
    onOver: (problem: unknown) => void,
  ) {
    this.exchange = exchange;
    this.route = route;
    this.#table = table;
    this.#service = service;
    this.#onOver = onOver;
    exchange.onGone(() => {
      if (this.#over) return;
      this.#finish(undefined);
      this.#cancel?.();
    });
  }

  get over(): boolean {
    return this.#over;
  }

  /** What takes the request back from the target; called at once if the visitor has gone meanwhile. */
  cancelWith(cancel: () => void): void {
    this.#cancel = cancel;
    if (this.#over) cancel();
  }

  inform(status: number, headers: Headers): void {
    if (!this.#over) this.exchange.inform(status, this.fields(headers));
  }

  head(status: number, reason: string, headers: Headers, follows: Follows): void {
    if (this.#over) return;
    try {
      const fields = this.fields(headers);
      // A length says nothing there, and clients of HTTP/2 take it for an error (RFC 9110, 8.6).
      const passed = status === 204 ? withoutField(fields, 'content-length') : fields;
      this.exchange.begin(status, reason, passed, follows);
    } catch (error) {
      // A field that no visitor's parser may see.
      this.fail(error);
      this.#cancel?.();
    }
  }

  data(chunk: Buffer): boolean {
    return this.#over || this.exchange.write(chunk);
  }

  onDrain(resume: () => void): void {
    this.exchange.onDrain(resume);
  }

  end(trailers: Headers): void {
    if (this.#over) return;
    this.#finish(undefined);
    this.exchange.end(answerTrailers(trailers));
  }

  /** No whole answer is to come. */
  fail(error: unknown): void {
    if (this.#over) return;
    this.#finish(error);
    if (this.exchange.begun) return this.exchange.abort();
    const { status, reason, headers, body } = this.#page(error);
    answer(this.exchange, status, reason, headers, body);
  }

  /** The visitor's connection is another protocol's now. */
  switched(): void {
    this.#finish(undefined);
  }

  fields(headers: Headers): string[] {
    return visitorHeaders(headers, this.exchange, this.route, this.#table);
  }

  #page(error: unknown): Page {
    if (error instanceof BusyError) return PAGES.busy;
    if (error instanceof SilentError) return PAGES.silent;
    if (error instanceof PortalError && error.code === 'target_down') return notRunning(this.#service);
    if (error instanceof PortalError && error.code === 'target_untrusted') return notTrusted(this.#service);
    return PAGES.badGateway;
  }

  #finish(problem: unknown): void {
    this.#over = true;
    this.#onOver(problem);
  }
}

/** More requests at one target than are let in. */
export class BusyError extends Error {}
