import { createHash, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { PortalError } from '../../lib/errors.js';
import { AcmeProblem, type ProblemDocument } from './problem.js';
import { exchange, problemError, type AcmeResponse, type Wire } from './transport.js';

/** The part of RFC 8555 that an order with TLS-ALPN-01 needs: requests signed by an account. */

/** §6.5: a server may reject a nonce at any time, and sends a fresh one with the error. */
const NONCE_TRIES = 12;
const BAD_NONCE = 'badNonce';

interface Resource {
  readonly url: string;
  readonly status: string;
  readonly error?: ProblemDocument;
}

/** §7.1.3 */
export interface Order extends Resource {
  readonly authorizations: readonly string[];
  readonly finalize: string;
  readonly certificate?: string;
}

/** §7.1.4 */
export interface Authorization extends Resource {
  readonly challenges: readonly Challenge[];
}

/** §8 */
export interface Challenge extends Resource {
  readonly type: string;
  readonly token: string;
}

type Directory = Readonly<Record<'newNonce' | 'newAccount' | 'newOrder', string>>;

/** A CA's response, which may name its account or order. */
interface Signed {
  readonly status: number;
  readonly location: string | undefined;
  readonly text: string;
}

/** Requests to one CA with one key, over one connection. Each rejects with an `AcmeProblem` if the CA rejects it. */
export class AcmeClient {
  readonly #wire: Wire;
  readonly #directory: Directory;
  readonly #key: KeyObject;
  /** The account's URL, which identifies it in later requests. Undefined until it is open. */
  #account: string | undefined;
  #nonce: string | undefined;

  private constructor(wire: Wire, directory: Directory, key: KeyObject, account?: string) {
    this.#wire = wire;
    this.#directory = directory;
    this.#key = key;
    this.#account = account;
  }

  /** Reads the CA's directory. */
  static async connect(wire: Wire, url: string, key: KeyObject, account?: string): Promise<AcmeClient> {
    const response = await exchange(wire, { url, method: 'GET' });
    if (response.status >= 400) throw problemError(response);
    const directory = parse(response.text) as Directory;
    for (const name of ['newNonce', 'newAccount', 'newOrder'] as const)
      if (typeof directory[name] !== 'string') throw malformed(`${url} is not an ACME directory`);
    return new AcmeClient(wire, directory, key, account);
  }

  /** Creates the key's account, or finds the existing one. Resolves with its URL. */
  async openAccount(email: string | undefined): Promise<string> {
    const contact = email === undefined ? {} : { contact: [`mailto:${email}`] };
    const { status, location } = await this.#post(this.#directory.newAccount, {
      termsOfServiceAgreed: true,
      ...contact,
    });
    if (location === undefined) throw malformed('the response does not name the account');
    this.#account = location;
    // An existing account keeps its contact until the client changes it.
    if (status === 200 && email !== undefined) await this.#post(location, contact);
    return location;
  }

  async newOrder(hostname: string): Promise<Order> {
    const identifiers = [{ type: 'dns', value: hostname }];
    const { text, location } = await this.#post(this.#directory.newOrder, { identifiers });
    if (location === undefined) throw malformed('the response does not name the order');
    return readOrder(text, location);
  }

  async order({ url }: Order): Promise<Order> {
    return readOrder((await this.#post(url)).text, url);
  }

  async authorization(url: string): Promise<Authorization> {
    const read = parse((await this.#post(url)).text) as Authorization;
    if (!Array.isArray(read.challenges)) throw malformed('an authorization has no challenges');
    return { ...read, url, challenges: read.challenges.filter(isChallenge) };
  }

  /** Tells the CA that a challenge is ready for validation. */
  async accept({ url }: Challenge): Promise<void> {
    await this.#post(url, {});
  }

  /** `csr` is DER. */
  async finalize({ url, finalize }: Order, csr: Buffer): Promise<Order> {
    return readOrder((await this.#post(finalize, { csr: csr.toString('base64url') })).text, url);
  }

  /** The certificate chain, in PEM. */
  async certificate({ certificate }: Order): Promise<string> {
    if (certificate === undefined) throw malformed('the response does not name the certificate');
    return (await this.#post(certificate)).text;
  }

  /** The response to a challenge (§8.1). */
  keyAuthorization({ token }: Challenge): string {
    const { crv, e, kty, n, x, y } = jwkOf(this.#key);
    // RFC 7638: the required members, in this order.
    const members = JSON.stringify({ crv, e, kty, n, x, y });
    return `${token}.${createHash('sha256').update(members).digest('base64url')}`;
  }

  /** A signed request. Without a payload, it reads (POST-as-GET). */
  async #post(url: string, payload?: object): Promise<Signed> {
    for (let tries = 1; ; tries++) {
      const response = await exchange(this.#wire, {
        url,
        method: 'POST',
        headers: { 'content-type': 'application/jose+json' },
        body: this.#sign(url, await this.#takeNonce(), payload),
      });
      this.#nonce = response.headers['replay-nonce'];
      const { status, headers, text } = response;
      if (status < 400) return { status, location: headers['location'], text };
      const error = problemError(response);
      if (!(error instanceof AcmeProblem && error.type === BAD_NONCE) || tries === NONCE_TRIES) throw error;
    }
  }

  async #takeNonce(): Promise<string> {
    const kept = this.#nonce;
    this.#nonce = undefined;
    if (kept !== undefined) return kept;
    const response: AcmeResponse = await exchange(this.#wire, {
      url: this.#directory.newNonce,
      method: 'HEAD',
    });
    const fresh = response.headers['replay-nonce'];
    if (fresh !== undefined) return fresh;
    throw response.status >= 400 ? problemError(response) : malformed('the response contains no nonce');
  }

  /** A flattened JWS (§6.2). */
  #sign(url: string, nonce: string, payload?: object): string {
    const { alg, hash } = algorithmOf(this.#key);
    const who = this.#account === undefined ? { jwk: jwkOf(this.#key) } : { kid: this.#account };
    const header = encode({ alg, nonce, url, ...who });
    const body = payload === undefined ? '' : encode(payload);
    const signature = sign(hash, Buffer.from(`${header}.${body}`), {
      key: this.#key,
      dsaEncoding: 'ieee-p1363',
    });
    return JSON.stringify({ protected: header, payload: body, signature: signature.toString('base64url') });
  }
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

const jwkOf = (key: KeyObject) => createPublicKey(key).export({ format: 'jwk' });

const ALGORITHMS: Readonly<Record<string, { readonly alg: string; readonly hash: string }>> = {
  'P-256': { alg: 'ES256', hash: 'sha256' },
  'P-384': { alg: 'ES384', hash: 'sha384' },
  'P-521': { alg: 'ES512', hash: 'sha512' },
  RSA: { alg: 'RS256', hash: 'sha256' },
};

/** A user may bring the key from another client, with another algorithm. */
function algorithmOf(key: KeyObject): { readonly alg: string; readonly hash: string } {
  const { kty, crv } = jwkOf(key);
  const algorithm = ALGORITHMS[crv ?? kty ?? ''];
  if (algorithm) return algorithm;
  throw new PortalError('acme_rejected', `an ACME account does not support keys of type ${crv ?? kty}`);
}

const isUrl = (value: unknown): boolean =>
  typeof value === 'string' && URL.canParse(value) && new URL(value).protocol === 'https:';

/** Challenges of unknown types may have other fields. */
function isChallenge(value: Partial<Challenge> | null): boolean {
  return typeof value?.type === 'string' && typeof value.token === 'string' && isUrl(value.url);
}

function readOrder(text: string, url: string): Order {
  const read = parse(text) as Order;
  const { authorizations, finalize, certificate } = read;
  if (!Array.isArray(authorizations) || ![...authorizations, finalize, certificate ?? finalize].every(isUrl))
    throw malformed('an order is malformed');
  return { ...read, url };
}

function parse(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // The error below covers this.
  }
  throw malformed('the response is not a JSON object');
}

const malformed = (what: string): PortalError =>
  new PortalError('acme_rejected', `the CA does not follow ACME: ${what}`);
