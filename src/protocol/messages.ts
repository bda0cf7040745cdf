import type { FromSchema, JSONSchema } from 'json-schema-to-ts';
import { LIMITS } from './limits.js';

/**
 * Every message of the control channel: JSON text, one object each. Both ends validate against these schemas, and the
 * TypeScript types are derived from them. docs/reference/protocol.md lists them. Both ends ignore unknown fields, so a newer
 * peer may add one.
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
/** Whether a replica gets new visitors now, and why not. */
const replicaUse = { type: 'string', enum: ['active', 'standby', 'unhealthy'] } as const;
const carrier = { enum: ['raw', 'tls', 'ws'] } as const;
/** How visitors are divided between the replicas of a name. */
const replicaPolicy = { enum: ['spread', 'failover'] } as const;
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

/** Messages of an agent. */
export const AGENT_MESSAGES = {
  /** The first message: protocol version, agent process (the same after reconnects), identity. */
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
      /** The relay proves its key over this nonce. Required, but optional here, so that an older agent gets `version`. */
      nonce: { type: 'string', pattern: '^[0-9a-f]{32}$' },
      /** The proof of work that the relay requested in its response to the upgrade. */
      work: { type: 'string', pattern: '^[0-9a-z]{1,16}$' },
      /** Types of later messages that this agent understands. */
      understands: { type: 'array', items: short, maxItems: 32 },
    },
    ['protocol', 'agent', 'address'] as const,
  ),
  /** The signature over the challenge's text (EIP-191 personal_sign, 65 bytes, hex). */
  prove: message('prove', { signature }, ['signature'] as const),
  /** Requests a lease. If the identity has this lease already, the relay returns it. */
  'lease.open': message(
    'lease.open',
    {
      id,
      // Longer than a valid name, so that the relay can report the mistake and keep the channel open.
      name: { type: 'string', maxLength: 253 },
      mode: { enum: ['stream', 'http', 'tcp', 'udp'] },
      carrier,
      metadata,
      hostname,
      port,
      /** Other agents of this identity may serve the name as well. Only for relays with the capability `replicas`. */
      replicas: {
        type: 'object',
        properties: {
          policy: replicaPolicy,
          /** Default: true. */
          healthy: { type: 'boolean' },
        },
        required: ['policy'],
        additionalProperties: false,
      },
    },
    ['id', 'name', 'mode', 'carrier'] as const,
  ),
  'lease.close': message(
    'lease.close',
    {
      id,
      lease: short,
      /** How long visitors who had connected may wait for their data connections, in milliseconds. Default: 1000. */
      waitMs: { type: 'integer', minimum: 0, maximum: 600_000 },
    },
    ['id', 'lease'] as const,
  ),
  'lease.update': message('lease.update', { id, lease: short, metadata }, [
    'id',
    'lease',
    'metadata',
  ] as const),
  /** What the relay should know of a replica. Missing fields keep their values. */
  'lease.replica': message(
    'lease.replica',
    {
      id,
      lease: short,
      /** False: the relay prefers other replicas for new visitors. */
      healthy: { type: 'boolean' },
      /** Whether visitors from the agent's own address go to this replica: the agent visits its public port. */
      probing: { type: 'boolean' },
      /** Whether visitors with the protocol `acme-tls/1` go to this replica. */
      validating: { type: 'boolean' },
    },
    ['id', 'lease'] as const,
  ),
  /** Requests tickets for connections to `target`: `host:port` of a peer, or of a lease of this session. */
  'hop.open': message(
    'hop.open',
    { id, target: hostPort, count: { type: 'integer', minimum: 1, maximum: LIMITS.maxTicketsPerDial } },
    ['id', 'target'] as const,
  ),
  /** Requests a path for datagrams. It replaces the previous one of that carrier. */
  'datagrams.open': message('datagrams.open', { id, carrier: { enum: ['udp', 'ws'] } }, [
    'id',
    'carrier',
  ] as const),
  /** What the identity's owner sees of this agent. Missing fields keep their values. */
  report: message(
    'report',
    {
      id,
      /** The owner's name for the machine; empty: unknown. */
      machine: { type: 'string', maxLength: LIMITS.maxMachineChars, pattern: '^[^\\p{Cc}]*$' },
      /** Other identities that may see this agent. */
      team: { type: 'array', maxItems: LIMITS.maxTeam, items: address },
      services: {
        type: 'array',
        maxItems: LIMITS.maxReportedServices,
        items: {
          type: 'object',
          properties: {
            service: short,
            /** Its lease on this relay, if it has one. */
            lease: short,
            /** `closed`: the service was removed. */
            phase,
            /** The error that caused this phase. */
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

/** Messages of a relay. */
export const RELAY_MESSAGES = {
  /** The relay's key, proven over the nonce of `hello`, and the EIP-4361 text to sign: for one use, within two minutes. */
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
  /** The session is open. */
  welcome: message(
    'welcome',
    {
      session: short,
      publicPort: port,
      datagramPort: port,
      capabilities: { type: 'array', items: short, maxItems: 32 },
      carriers: { type: 'array', items: short, maxItems: 8 },
      heartbeatMs: { type: 'integer', minimum: 10, maximum: 600_000 },
      /** Whether a data connection of the carrier `raw` may begin with a ticket line. */
      ticketLine: { type: 'boolean' },
    },
    ['session', 'publicPort', 'capabilities', 'carriers', 'heartbeatMs'] as const,
  ),
  /** Response to `lease.open`, with one of the three kinds of public address. */
  'lease.opened': message(
    'lease.opened',
    {
      id,
      lease: short,
      hostname,
      url: short,
      tcpAddr: hostPort,
      udpAddr: hostPort,
      /** The relay's range of public ports in this mode, both ends included. */
      ports: {
        type: 'object',
        properties: { from: port, to: port },
        required: ['from', 'to'],
        additionalProperties: false,
      },
    },
    ['id', 'lease', 'hostname'] as const,
  ),
  /** Response to `datagrams.open`, with an association for packets, or with a ticket for the WebSocket. */
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
  /** Response to `hop.open`. Each ticket is valid for one `CONNECT` to its target. */
  'hop.opened': message(
    'hop.opened',
    { id, tickets: { type: 'array', minItems: 1, maxItems: LIMITS.maxTicketsPerDial, items: short } },
    ['id', 'tickets'] as const,
  ),
  /** Response to `lease.close`, `lease.update`, `lease.replica` and `report`. */
  ok: message('ok', { id }, ['id'] as const),
  /** Response to a failed request (with its id), or the end of the channel (without an id). */
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
  /** Requests this many data connections, one per ticket. */
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
  /** The visitor of a data connection. The relay sends it before it starts the connection. */
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
  /** The relay ended the lease, or another session took it. */
  'lease.revoked': message('lease.revoked', { lease: short, reason: short }, ['lease', 'reason'] as const),
  /** Visitors of the lease that the relay gave up on since the last such message. Only for agents that understand it. */
  'lease.unserved': message(
    'lease.unserved',
    { lease: short, reason: short, count: { type: 'integer', minimum: 1 } },
    ['lease', 'reason', 'count'] as const,
  ),
  /**
   * Which agents serve the name of a lease with `replicas` now: `use` of this one, and the other ones. Only for agents that
   * understand it.
   */
  'lease.replicas': message(
    'lease.replicas',
    {
      lease: short,
      use: replicaUse,
      others: {
        type: 'array',
        maxItems: LIMITS.maxAgentsShown,
        items: {
          type: 'object',
          properties: { agent: short, use: replicaUse },
          required: ['agent', 'use'],
          additionalProperties: false,
        },
      },
    },
    ['lease', 'use', 'others'] as const,
  ),
  /**
   * Open another session after the pause, and move the leases there: this machine of the relay stops. Only for agents that
   * understand it.
   */
  drain: message(
    'drain',
    { reason: short, reconnectAfterMs: { type: 'integer', minimum: 0, maximum: 3_600_000 } },
    ['reason', 'reconnectAfterMs'] as const,
  ),
  /** The relay is about to close the channel. Reconnect after the pause. */
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
export type ReplicaUse = FromRelay<'lease.replicas'>['use'];
export type ReplicaPolicy = NonNullable<FromAgent<'lease.open'>['replicas']>['policy'];

/** The capability of relays that let several agents of an identity serve one name. */
export const REPLICAS_CAPABILITY = 'replicas';
