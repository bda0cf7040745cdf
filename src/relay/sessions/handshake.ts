import { clientOf, plainAddress } from '../../net/client-address.js';
import { randomBytes } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Identity } from '../../identity/identity.js';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { deadline } from '../../lib/wait.js';
import { networkOf } from '../../net/cidr.js';
import { buildChallenge, STATEMENTS, verifyProof } from '../../protocol/challenge.js';
import { channelOf } from '../../protocol/channel.js';
import { LIMITS, PROTOCOL_VERSION } from '../../protocol/limits.js';
import type { FromAgent, FromRelay } from '../../protocol/messages.js';
import { proveRelay } from '../../protocol/relay-proof.js';
import { isDone, type Work } from '../../protocol/work.js';
import type { Turns } from '../protection/turns.js';

/** What a handshake needs from its relay. */
export interface HandshakeContext {
  /** The authority in the challenge: the relay's host, with its port unless that is 443. */
  readonly authority: string;
  readonly url: string;
  /** The relay's own key. */
  readonly identity: Identity;
  readonly challengeMs: number;
  readonly handshakeMs: number;
  /** Networks take turns with signatures. */
  readonly turns: Turns;
}

export interface HandshakeEvents {
  /** Called at a valid hello. Throws if there is no room for another handshake. */
  readonly onHello: () => void;
  /** Called once the identity is proven. Throws if the agent may not have a session. */
  readonly onProven: (hello: FromAgent<'hello'>) => void;
  /** Called when the handshake fails outside `receive`. */
  readonly onFailed: (error: PortalError) => void;
  readonly send: (message: FromRelay<'challenge'>) => void;
}

type State =
  | { name: 'hello' }
  /** The relay creates or verifies a signature. Networks take turns. */
  | { name: 'signature' }
  | { name: 'proof'; hello: FromAgent<'hello'>; message: string; nonce: string; channel: string }
  | { name: 'closed' };

/** The start of a control channel, until its agent has proven an identity. */
export class Handshake {
  /** Time (`performance.now()`) since when it waits for the client; undefined while the client waits for the relay. */
  waitingSince: number | undefined;
  readonly #socket: TLSSocket;
  readonly #context: HandshakeContext;
  readonly #work: Work | undefined;
  readonly #events: HandshakeEvents;
  readonly #inTime: () => void;
  #state: State = { name: 'hello' };

  /** `work` is the proof of work that the client must do before the relay signs. */
  constructor(socket: TLSSocket, context: HandshakeContext, work: Work | undefined, events: HandshakeEvents) {
    this.#socket = socket;
    this.#context = context;
    this.#work = work;
    this.#events = events;
    const { handshakeMs } = context;
    this.#inTime = deadline(handshakeMs, () =>
      events.onFailed(
        new PortalError('expired', `the agent did not prove its identity within ${handshakeMs} ms`),
      ),
    );
  }

  /** Handles a message of the agent. Throws if it is invalid or not allowed now. */
  receive(message: FromAgent): void {
    const state = this.#state;
    if (message.type === 'hello' && state.name === 'hello') this.#challenge(message);
    else if (message.type === 'prove' && state.name === 'proof') this.#prove(message, state);
    else throw new PortalError('protocol', `${message.type} is not allowed now`);
  }

  close(): void {
    this.#inTime();
    this.#state = { name: 'closed' };
  }

  #challenge(hello: FromAgent<'hello'>): void {
    if (hello.protocol !== PROTOCOL_VERSION) {
      throw new PortalError(
        'version',
        `this relay uses protocol version ${PROTOCOL_VERSION}, the agent version ${hello.protocol}`,
      );
    }
    if (this.#work && !isDone(this.#work, hello.work ?? ''))
      throw new PortalError(
        'relay_busy',
        'this relay is busy, and hello lacks the proof of work that it requested',
        { retryAfterMs: LIMITS.handshakeShareMs },
      );
    if (hello.nonce === undefined) throw new PortalError('protocol', 'hello has no nonce');
    const channel = channelOf(this.#socket);
    if (channel === undefined) throw new PortalError('protocol', 'a control channel needs TLS 1.3');
    this.#events.onHello();
    const { nonce: agentNonce } = hello;
    this.#inTurn(() => {
      const { authority, url, identity, challengeMs } = this.#context;
      const nonce = randomBytes(16).toString('hex');
      const issuedAt = new Date();
      const message = buildChallenge({
        domain: authority,
        address: hello.address,
        uri: url,
        nonce,
        issuedAt,
        expiresAt: new Date(issuedAt.getTime() + challengeMs),
        channel,
        statement: STATEMENTS.control,
      });
      this.#state = { name: 'proof', hello, message, nonce, channel };
      // The agent verifies this before it signs: it signs only for a relay that it trusts, at the other end of this channel.
      const relay = proveRelay(identity, { url, nonce: agentNonce, channel });
      this.#events.send({ type: 'challenge', message, relay });
      this.waitingSince = performance.now();
    });
  }

  #prove(
    { signature }: FromAgent<'prove'>,
    { hello, message, nonce, channel }: State & { name: 'proof' },
  ): void {
    this.waitingSince = undefined;
    // One attempt per challenge. After a failure the state is not `proof` again.
    this.#inTurn(() => {
      const { authority, url } = this.#context;
      verifyProof(message, signature, {
        address: hello.address,
        domain: authority,
        uri: url,
        nonce,
        channel,
        statement: STATEMENTS.control,
        now: new Date(),
      });
      this.#inTime();
      this.#events.onProven(hello);
    });
  }

  /** Signatures take milliseconds. Runs `work` when it is the turn of the client's network. */
  #inTurn(work: () => void): void {
    this.#state = { name: 'signature' };
    this.#context.turns.take('signature', networkOf(plainAddress(clientOf(this.#socket).address)), () => {
      if (this.#state.name === 'closed') return;
      try {
        work();
      } catch (error) {
        this.#events.onFailed(asPortalError(error));
      }
    });
  }
}
