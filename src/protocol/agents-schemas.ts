import { LIMITS } from './limits.js';

/** Schemas of a relay's responses about agents. The relay's operator controls them, and a terminal shows them. */

const short = { type: 'string', maxLength: 300 } as const;
const text = { type: 'string', maxLength: 4_096 } as const;
const count = { type: 'integer', minimum: 0 } as const;
const port = { type: 'integer', minimum: 1, maximum: 65_535 } as const;

function object(properties: Record<string, object>, optional: readonly string[] = []): object {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required, additionalProperties: false };
}

const list = (items: object, maxItems: number): object => ({ type: 'array', items, maxItems });

const service = object(
  {
    service: short,
    name: short,
    kind: { enum: ['tls', 'tcp', 'udp'] },
    address: short,
    phase: short,
    code: short,
    metadata: {
      type: 'object',
      maxProperties: LIMITS.maxMetadataEntries,
      propertyNames: { maxLength: LIMITS.maxMetadataKeyChars },
      additionalProperties: { type: 'string', maxLength: LIMITS.maxMetadataValueChars },
    },
    replica: { enum: ['active', 'standby', 'unhealthy'] },
    visitors: count,
    bytesIn: count,
    bytesOut: count,
  },
  ['service', 'name', 'kind', 'address', 'code', 'metadata', 'replica'],
);

const agent = object(
  {
    id: { type: 'string', pattern: '^[0-9a-f]{12}$' },
    identity: short,
    own: { type: 'boolean' },
    machine: short,
    version: short,
    state: { enum: ['connected', 'reconnecting', 'disconnected'] },
    since: short,
    lastSeen: short,
    from: short,
    services: list(service, LIMITS.maxAgentServicesShown),
  },
  ['id', 'machine', 'version', 'since', 'from'],
);

const name = object(
  {
    name: short,
    ports: object({ tcp: port, udp: port }, ['tcp', 'udp']),
    reservedUntil: short,
    use: { enum: ['free', 'served', 'reconnecting'] },
    agent: short,
  },
  ['agent'],
);

export const RESPONSES = {
  challenge: object({
    nonce: short,
    message: { type: 'string', maxLength: LIMITS.maxChallengeChars },
    relay: object({ address: short, signature: short }),
  }),
  signIn: object({ identity: short, token: short, expiresAt: short }),
  link: object({ url: text, expiresAt: short }),
  agents: object(
    {
      relay: short,
      identity: short,
      now: short,
      agents: list(agent, LIMITS.maxAgentsShown + LIMITS.maxSeenAgentsPerIdentity),
      // An operator may raise the default number of names per identity.
      names: list(name, 100_000),
      truncated: { const: true },
    },
    ['truncated'],
  ),
  done: object({}),
} as const;
