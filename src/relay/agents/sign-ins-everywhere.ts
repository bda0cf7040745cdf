import type { PortalError } from '../../lib/errors.js';
import { callNode, type Cluster } from '../nodes/nodes.js';
import { linkExpired, notSignedIn, type SignedIn, type SignIns } from './sign-in.js';

/** A token or code: the node that issued it, if there are several, and the secret. */
const SECRET = /^(?:([\w-]{1,64})\.)?([\w-]{43})$/;

/** A client that is signed in at another node, with the time left. */
interface SignedInElsewhere {
  readonly identity: string;
  readonly leftMs: number;
}

/**
 * The signed-in clients of all nodes. Each token and code belongs to the node that issued it and names that node, so it works at
 * every node. A challenge is signed over the connection that requested it, so it stays at one node.
 */
export class SignInsEverywhere {
  readonly #own: SignIns;
  readonly #cluster: Cluster | undefined;

  constructor(own: SignIns, cluster: Cluster | undefined) {
    this.#own = own;
    this.#cluster = cluster;
    cluster?.nodes.serve({
      checkToken: (_from: string, secret: string): SignedInElsewhere => {
        const { identity, until } = own.check(secret);
        return { identity, leftMs: until - performance.now() };
      },
      forgetToken: (_from: string, secret: string) => own.forget(secret),
      redeemCode: (_from: string, secret: string) => own.redeem(secret),
    });
  }

  /** Creates a token for the proven `identity`. */
  issue(identity: string, remote: string | undefined): { token: string; until: number } {
    const { token, until } = this.#own.issue(identity, remote);
    return { token: this.#named(token), until };
  }

  /** The owner of `token`. Throws `unauthorized`, or `limit_exceeded` for too many requests. */
  async check(token: string | undefined): Promise<SignedIn> {
    const { node, secret } = read(token) ?? { node: undefined, secret: undefined };
    if (secret === undefined || this.#isOwn(node)) return this.#own.check(secret);
    const there = (await this.#ask(node, 'checkToken', secret, notSignedIn)) as SignedInElsewhere;
    return { identity: there.identity, until: performance.now() + there.leftMs };
  }

  async forget(token: string): Promise<void> {
    const { node, secret } = read(token) ?? { node: undefined, secret: undefined };
    if (secret === undefined) return;
    if (this.#isOwn(node)) this.#own.forget(secret);
    else await this.#ask(node, 'forgetToken', secret, notSignedIn);
  }

  /** Creates a short-lived code that signs one page in. */
  code(identity: string): { code: string; until: number } {
    const { code, until } = this.#own.code(identity);
    return { code: this.#named(code), until };
  }

  /** The identity of a code. Throws `expired`. */
  async redeem(code: string): Promise<string> {
    const { node, secret } = read(code) ?? { node: undefined, secret: code };
    if (this.#isOwn(node)) return this.#own.redeem(secret);
    return (await this.#ask(node, 'redeemCode', secret, linkExpired)) as string;
  }

  #named(secret: string): string {
    return this.#cluster ? `${this.#cluster.directory.node}.${secret}` : secret;
  }

  #isOwn(node: string | undefined): node is undefined {
    return node === undefined || node === this.#cluster?.directory.node;
  }

  /** What a node that has ended knew is lost, as with a relay that restarts. */
  async #ask(node: string, method: string, secret: string, lost: () => PortalError): Promise<unknown> {
    const { nodes } = this.#cluster ?? { nodes: undefined };
    if (!nodes || ![...nodes.others].includes(node)) throw lost();
    return callNode(nodes, node, method, secret);
  }
}

function read(text: string | undefined): { node: string | undefined; secret: string } | undefined {
  const [, node, secret] = SECRET.exec(text ?? '') ?? [];
  return secret === undefined ? undefined : { node, secret };
}
