import type { AgentsResponse, ErrorResponse } from '../../src/protocol/agents.js';

/** The page's requests to its relay. An HttpOnly cookie authenticates them. */

const RESPONSE_MS = 10_000;

/** The relay responded with an error. */
export class ResponseError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function ask<Result>(method: string, path: string, body?: object): Promise<Result> {
  const response = await fetch(path, {
    method,
    signal: AbortSignal.timeout(RESPONSE_MS),
    ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const result = (await response.json()) as Result & ErrorResponse;
  if (response.ok) return result;
  throw new ResponseError(response.status, result.message);
}

export const readAgents = (): Promise<AgentsResponse> => ask('GET', '/v1/agents');
export const signInBy = (code: string): Promise<unknown> => ask('POST', '/v1/sign-in/code', { code });
export const signOut = (): Promise<unknown> => ask('DELETE', '/v1/sign-in');
export const disconnect = (id: string): Promise<unknown> => ask('POST', `/v1/agents/${id}/disconnect`);
export const release = (name: string): Promise<unknown> => ask('DELETE', `/v1/names/${name}`);
