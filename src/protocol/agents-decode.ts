import { validators } from 'validators:responses';
import { PortalError } from '../lib/errors.js';
import type { AgentsResponse, SignInChallenge, LinkResponse, SignInResponse } from './agents.js';

interface Responses {
  challenge: SignInChallenge;
  signIn: SignInResponse;
  link: LinkResponse;
  agents: AgentsResponse;
  done: object;
}

/** Parses a response. Throws `protocol` if it is invalid. Drops unknown fields. */
export function readResponse<K extends keyof Responses>(kind: K, json: string): Responses[K] {
  const validate = validators[kind]!;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new PortalError('protocol', "the relay's response is not JSON");
  }
  if (validate(value)) return value as Responses[K];
  const [first] = validate.errors ?? [];
  throw new PortalError(
    'protocol',
    `the relay's response${first?.instancePath ?? ''} ${first?.message ?? 'is invalid'}`,
  );
}
