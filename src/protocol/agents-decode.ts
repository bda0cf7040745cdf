import { validators } from 'validators:answers';
import { PortalError } from '../lib/errors.js';
import type { AgentsAnswer, ChallengeAnswer, LinkAnswer, SignInAnswer } from './agents.js';

interface Answers {
  challenge: ChallengeAnswer;
  signIn: SignInAnswer;
  link: LinkAnswer;
  agents: AgentsAnswer;
  done: object;
}

/** Parses a response. Throws `protocol` if it is invalid. Drops unknown fields. */
export function readAnswer<K extends keyof Answers>(kind: K, json: string): Answers[K] {
  const validate = validators[kind]!;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new PortalError('protocol', "the relay's response is not JSON");
  }
  if (validate(value)) return value as Answers[K];
  const [first] = validate.errors ?? [];
  throw new PortalError(
    'protocol',
    `the relay's response${first?.instancePath ?? ''} ${first?.message ?? 'is invalid'}`,
  );
}
