import { createHash } from 'node:crypto';

/** The id of an agent process as people see it: the same at every relay, and not reversible to the instance. */
export function agentId(instance: string): string {
  return createHash('sha256').update(`portal agent ${instance}`).digest('hex').slice(0, 12);
}
