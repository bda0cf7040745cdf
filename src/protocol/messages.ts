import type { FromSchema, JSONSchema } from 'json-schema-to-ts';
import { LIMITS } from './limits.js';

/**
 * Every message of the control channel: JSON text, one object each. The schemas below are what both ends
 * validate against and what the TypeScript types are derived from; docs/reference/protocol.md lists them.
 * A field that a schema does not know is ignored, so that a newer peer may add one.
 */

const id = { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER } as const;
const short = { type: 'string', minLength: 1, maxLength: 200 } as const;
const hostname = { type: 'string', minLength: 1, maxLength: 253 } as const;
const address = { type: 'string', pattern: '^0x[0-9a-fA-F]{40}$' } as const;
/** EIP-191, 65 bytes. */
const signature = { type: 'string', pattern: '^0x[0-9a-fA-F]{130}$' } as const;
const metadata = {
  type: 'object',
  maxProperties: LIMITS.maxMetadataEntries,
  propertyNames: { maxLength: LIMITS.maxMetadataKeyChars },
  additionalProperties: { type: 'string', maxLength: LIMITS.maxMetadataValueChars },
} as const;
const carrier = { enum: ['raw', 'tls', 'ws'] } as const;
const port = { type: 'integer', minimum: 1, maximum: 65535 } as const;
const phase = {
  enum: ['connecting', 'opening', 'ready', 'retrying', 'draining', 'closed', 'failed'],
} as const;
/** `host:port`. */
const hostPort = { type: 'string', minLength: 3, maxLength: 260 } as const;

function message<const T extends string, const P extends object, const R extends readonly string[]>(
  type: T,
  properties: P,
  required: R,
) {
  return {
    type: 'object',
    properties: { type: { const: type }, ...properties },
    required: ['type', ...required],
    additionalProperties: false,
  } as const;
}

/** What an agent says. */
export const AGENT_MESSAGES = {
  /** First: which protocol, which agent process (stable over reconnects), which identity. */
  hello: message(
    'hello',
    {
      protocol: { type: 'integer', minimum: 1 },
      agent: {
        type: 'object',
        properties: { instance: short, version: short },
        required: ['instance', 'version'],
        additionalProperties: false,
      },
      address,
      /** The relay proves its own key over this. Required; optional here, so that an older agent gets `version`. */
      nonce: { type: 'string', pattern: '^[0-9a-f]{32}$' },
      /** Answer to the work that the relay asked for in the upgrade. */
      work: { type: 'string', pattern: '^[0-9a-z]{1,16}$' },
      /** Messages beyond the first ones that this agent understands, by type. */
      understands: { type: 'array', items: short, maxItems: 32 },
    },
    ['protocol', 'agent', 'address'] as const,
  ),
  /** The signature over the challenge's text (EIP-191 personal_sign, 65 bytes, hex). */
  prove: message('prove', { signature }, ['signature'] as const),
  /** Asks for a lease. Asking for one that this identity holds already returns the same. */
  'lease.open': message(
    'lease.open',
    {
      id,
      // Longer than a name may be: the relay says what is wrong with it, and the channel lives on.
      name: { type: 'string', maxLength: 253 },
      mode: { enum: ['stream', 'http', 'tcp', 'udp'] },
      carrier,
      metadata,
      hostname,
      port,
    },
    ['id', 'name', 'mode', 'carrier'] as const,
  ),
  'lease.close': message('lease.close', { id, lease: short }, ['id', 'lease'] as const),
  'lease.update': message('lease.update', { id, lease: short, metadata }, [
    'id',
    'lease',
    'metadata',
  ] as const),
  /** Asks for tickets for connections on to `target`, the `host:port` of a peer or of what the session has here. */
  'hop.open': message(
    'hop.open',
    { id, target: hostPort, count: { type: 'integer', minimum: 1, maximum: LIMITS.maxTicketsPerDial } },
    ['id', 'target'] as const,
  ),
  /** Asks for a way for datagrams, in place of the one of that carrier before. */
  'datagrams.open': message('datagrams.open', { id, carrier: { enum: ['udp', 'ws'] } }, [
    'id',
    'carrier',
  ] as const),
  /** What the owner of the identity sees of this agent; what is left out is as it was. */
  report: message(
    'report',
    {
      id,
      /** What its owner calls the machine; empty: nothing. */
      machine: { type: 'string', maxLength: LIMITS.maxMachineChars, pattern: '^[^\\p{Cc}]*$' },
      /** Identities that may see this agent too. */
      team: { type: 'array', maxItems: LIMITS.maxTeam, items: address },
      services: {
        type: 'array',
        maxItems: LIMITS.maxReportedServices,
        items: {
          type: 'object',
          properties: {
            service: short,
            /** Its lease here, once there is one. */
            lease: short,
            /** `closed`: it is gone. */
            phase,
            /** The error that it is in this phase for. */
            code: { type: 'string', pattern: '^[a-z_]{1,64}$' },
          },
          required: ['service', 'phase'],
          additionalProperties: false,
        },
      },
    },
    ['id'] as const,
  ),
} as const satisfies Record<string, JSONSchema>;

/** What a relay says. */
export const RELAY_MESSAGES = {
  /** The relay's own key, proven over the nonce of `hello`; and the EIP-4361 text to sign: single use, expires within two minutes. */
  challenge: message(
    'challenge',
    {
      message: { type: 'string', minLength: 1, maxLength: LIMITS.maxChallengeChars },
      relay: {
        type: 'object',
        properties: { address, signature },
        required: ['address', 'signature'],
        additionalProperties: false,
      },
    },
    ['message', 'relay'] as const,
  ),
  /** The session stands. */
  welcome: message(
    'welcome',
    {
      session: short,
      publicPort: port,
      datagramPort: port,
      capabilities: { type: 'array', items: short, maxItems: 32 },
      carriers: { type: 'array', items: short, maxItems: 8 },
      heartbeatMs: { type: 'integer', minimum: 10, maximum: 600_000 },
    },
    ['session', 'publicPort', 'capabilities', 'carriers', 'heartbeatMs'] as const,
  ),
  /** Answers `lease.open`, with one of the three public addresses. */
  'lease.opened': message(
    'lease.opened',
    { id, lease: short, hostname, url: short, tcpAddr: hostPort, udpAddr: hostPort },
    ['id', 'lease', 'hostname'] as const,
  ),
  /** Answers `datagrams.open`: with an association for packets, or with a ticket for the WebSocket. */
  'datagrams.opened': message(
    'datagrams.opened',
    {
      id,
      association: { type: 'string', pattern: '^[0-9a-f]{16}$' },
      ticket: short,
      probeMs: { type: 'integer', minimum: 10, maximum: 600_000 },
      flowIdleMs: { type: 'integer', minimum: 10, maximum: 86_400_000 },
    },
    ['id', 'probeMs', 'flowIdleMs'] as const,
  ),
  /** Answers `hop.open`: each ticket is good for one `CONNECT` to its target. */
  'hop.opened': message(
    'hop.opened',
    { id, tickets: { type: 'array', minItems: 1, maxItems: LIMITS.maxTicketsPerDial, items: short } },
    ['id', 'tickets'] as const,
  ),
  /** Answers `lease.close`, `lease.update` and `report`. */
  ok: message('ok', { id }, ['id'] as const),
  /** Answers a request that failed (with its id), or ends the channel (without one). */
  error: message(
    'error',
    {
      id,
      code: short,
      message: { type: 'string', maxLength: 1000 },
      retryAfterMs: { type: 'integer', minimum: 0 },
    },
    ['code', 'message'] as const,
  ),
  /** Open this many data connections now, one per ticket. */
  dial: message(
    'dial',
    {
      carrier,
      tickets: {
        type: 'array',
        minItems: 1,
        maxItems: LIMITS.maxTicketsPerDial,
        items: {
          type: 'object',
          properties: { connection: short, ticket: short },
          required: ['connection', 'ticket'],
          additionalProperties: false,
        },
      },
    },
    ['carrier', 'tickets'] as const,
  ),
  /** Who is about to arrive on a data connection; sent before the relay starts it. */
  visit: message(
    'visit',
    {
      connection: short,
      lease: short,
      remote: {
        type: 'object',
        properties: {
          address: { type: 'string', maxLength: 64 },
          port: { type: 'integer', minimum: 0, maximum: 65535 },
        },
        required: ['address', 'port'],
        additionalProperties: false,
      },
    },
    ['connection', 'lease', 'remote'] as const,
  ),
  /** The lease is gone, and not because the agent closed it. */
  'lease.revoked': message('lease.revoked', { lease: short, reason: short }, ['lease', 'reason'] as const),
  /** Visitors of the lease on whom the relay gave up since it told of them last; to agents that understand it. */
  'lease.unserved': message(
    'lease.unserved',
    { lease: short, reason: short, count: { type: 'integer', minimum: 1 } },
    ['lease', 'reason', 'count'] as const,
  ),
  /** The relay is about to close the channel; come back after the pause. */
  goaway: message(
    'goaway',
    { reason: short, reconnectAfterMs: { type: 'integer', minimum: 0, maximum: 3_600_000 } },
    ['reason', 'reconnectAfterMs'] as const,
  ),
} as const satisfies Record<string, JSONSchema>;

type AgentSchemas = typeof AGENT_MESSAGES;
type RelaySchemas = typeof RELAY_MESSAGES;

type AgentMessageType = keyof AgentSchemas;
type RelayMessageType = keyof RelaySchemas;
/** One message of an agent, by its type. */
export type FromAgent<T extends AgentMessageType = AgentMessageType> = {
  [K in T]: FromSchema<AgentSchemas[K]>;
}[T];
/** One message of a relay, by its type. */
export type FromRelay<T extends RelayMessageType = RelayMessageType> = {
  [K in T]: FromSchema<RelaySchemas[K]>;
}[T];

export type WireCarrier = FromAgent<'lease.open'>['carrier'];
