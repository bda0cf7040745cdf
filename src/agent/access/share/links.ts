import type { Socket } from 'node:net';
import { resetSocket } from '../../../net/splice/reset.js';
import { TokenBuckets } from '../../../lib/token-bucket.js';
import { atTime } from '../../../lib/wall-clock.js';
import { valuesOf, type Client, type Exchange } from '../../modes/http/exchange/exchange.js';
import { redirectWith, respondWith } from '../../modes/http/exchange/own-response.js';
import { isWellFormed } from '../../modes/http/routing/paths.js';
import { linkInvalid, tooMany } from '../gate-pages.js';
import type { ServiceSpec } from '../../spec.js';
import { cookiesOf } from '../cookies.js';
import { ASKING_KINDS } from '../kinds.js';
import { isFromOtherSite } from '../own-page.js';
import type { RejectionReason, Rejections } from '../rejections.js';
import { tokenIn } from './parameter.js';
import { limited, staysWithin } from './limited.js';
import { isWithin } from './path.js';
import type { Shares } from './shares.js';
import { linksIn, readToken, shareCookie, type ShareLink, type ShareScope } from './token.js';

/** Verifying a signature costs more than a request. */
const VERIFICATIONS = { perSecond: 2, burst: 20, maxKeys: 10_000 } as const;
/** Browsers read these as another host. */
const OTHER_HOST = /^\/[/\\]/;

/** `responded`: the exchange has ended. `none`: the visitor has no link for this request. */
export type Found = ShareLink | 'responded' | 'none';

interface Opened {
  readonly link: ShareLink;
  readonly sockets: Set<Socket>;
  /** Ends the wait for the end of the link. */
  stop: (() => void) | undefined;
}

/** The share links of one lease: exchanges a link for a cookie, and recognises the cookie. */
export class ShareLinks {
  readonly #shares: Shares;
  readonly #rejections: Rejections;
  readonly #verifications = new TokenBuckets(VERIFICATIONS);
  #service: string;
  #settings: string | undefined;
  /** Connections of visitors that passed with a link, by its id. */
  readonly #opened = new Map<string, Opened>();

  constructor(shares: Shares, { service, access }: ServiceSpec, rejections: Rejections) {
    this.#shares = shares;
    this.#rejections = rejections;
    this.#service = service;
    this.#settings = shares.settingsOf(access);
  }

  /** Disconnects visitors of links that end by the change, unless no gate asks for more than a link any more. */
  update({ service, access }: ServiceSpec): void {
    const settings = this.#shares.settingsOf(access);
    const isAsked = ASKING_KINDS.some(({ key }) => access[key] !== undefined);
    if (isAsked && settings !== this.#settings)
      for (const opened of this.#opened.values()) disconnect(opened);
    this.#service = service;
    this.#settings = settings;
  }

  /**
   * The visitor's link for this request.
   *
   * @param gate the gate that a link would pass. Rejected links count as rejected by it.
   */
  find(exchange: Exchange, gate: RejectionReason): Found {
    const scope = this.#scopeOf(exchange.client);
    if (!scope) return 'none';
    const given = tokenIn(exchange.target);
    if (given) {
      this.#open(exchange, given, scope, gate);
      return 'responded';
    }
    const now = Date.now();
    const links = linksIn(cookiesOf(exchange), {
      key: this.#shares.key,
      scope,
      mayBeOpen: (each) => this.#shares.isOpen(each, now),
    });
    return links.find(({ path }) => staysWithin(exchange, path)) ?? 'none';
  }

  /** The exchange of a visitor that passes a gate with the link. */
  pass(exchange: Exchange, link: ShareLink): Exchange {
    this.#follow(link, exchange.client);
    return link.path === '/' ? exchange : limited(exchange);
  }

  /** Disconnects visitors of revoked links. */
  revoked(): void {
    const now = Date.now();
    for (const opened of this.#opened.values())
      if (!this.#shares.isOpen(opened.link, now)) disconnect(opened);
  }

  /** Only the link's own page may follow, at the same host. */
  #open(
    exchange: Exchange,
    { token, clean }: { readonly token: string; readonly clean: string },
    scope: ShareScope,
    gate: RejectionReason,
  ): void {
    const { network, address } = exchange.client;
    const now = Date.now();
    const isVisit =
      (exchange.method === 'GET' || exchange.method === 'HEAD') && exchange.upgrade === undefined;
    const isSafe = isWellFormed(clean) && !OTHER_HOST.test(clean);
    const said = isVisit && isSafe && !isForeignFile(exchange) ? readToken(token)?.link : undefined;
    const mayOpen = said !== undefined && this.#shares.isOpen(said, now) && isWithin(clean, said.path);
    // Only a signature costs an attempt. Otherwise any page could use up those of its visitors with invalid links.
    const waitMs = mayOpen ? this.#verifications.take(network) : 0;
    if (waitMs > 0) return respondWith(exchange, tooMany('links', waitMs));
    const link = mayOpen ? this.#shares.verify(token, scope) : undefined;
    if (!link) {
      this.#rejections.note(gate, address);
      return respondWith(exchange, linkInvalid);
    }
    const cookie = shareCookie(this.#shares.key, link, scope, now);
    const headers = ['Referrer-Policy', 'no-referrer', 'Set-Cookie', cookie];
    redirectWith(exchange, { code: 'share_link', title: 'Share link' }, clean, headers);
  }

  /** So that the visitor is disconnected when the link ends. */
  #follow(link: ShareLink, { socket }: Client): void {
    if (!socket) return;
    const opened: Opened = this.#opened.get(link.id) ?? { link, sockets: new Set(), stop: undefined };
    if (opened.sockets.has(socket)) return;
    opened.sockets.add(socket);
    this.#opened.set(link.id, opened);
    opened.stop ??= this.#endWith(opened);
    socket.once('close', () => {
      opened.sockets.delete(socket);
      if (opened.sockets.size > 0) return;
      opened.stop?.();
      this.#opened.delete(link.id);
    });
  }

  #endWith(opened: Opened): () => void {
    return atTime(opened.link.until * 1_000, () => {
      if (this.#shares.isOpen(opened.link, Date.now())) opened.stop = this.#endWith(opened);
      else disconnect(opened);
    });
  }

  #scopeOf({ hostname }: Client): ShareScope | undefined {
    const settings = this.#settings;
    return settings === undefined ? undefined : { hostname, service: this.#service, settings };
  }
}

/** Whether a page of another site loads the link as an image, a frame or the like. Links are for people, who open a page. */
const isForeignFile = (exchange: Exchange): boolean =>
  isFromOtherSite(exchange) && !['', 'document'].includes(valuesOf(exchange, 'sec-fetch-dest'));

function disconnect({ sockets }: Opened): void {
  for (const socket of sockets) resetSocket(socket);
}
