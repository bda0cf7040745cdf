import { OwnExchange } from '../modes/http/exchange/own-exchange.js';
import type { Recording } from './recording.js';
import type { ReplayEdits } from './wire.js';

/** The replay comes from this machine, whatever the original address was. */
const ADDRESS = '127.0.0.1';

/** Sends a recorded request again, through everything before the target. Only the recorder reads the response. */
export class ReplayExchange extends OwnExchange {
  override readonly replayOf: number;

  constructor(recording: Recording, edits: ReplayEdits, ms: number) {
    super({
      // Signatures expire, and a limit is for visitors.
      passedAs: recording.passedAs,
      address: ADDRESS,
      hostname: recording.hostname,
      method: edits.method ?? recording.method,
      target: edits.target ?? recording.target,
      authority: recording.authority,
      version: recording.version,
      headers: headersOf(recording, edits).flat(),
      body: edits.body === undefined ? recording.requestBody.kept() : Buffer.from(edits.body, 'base64'),
      ms,
    });
    this.replayOf = recording.id;
  }
}

/** Fields whose values the page does not know come from the recording, never from the page. */
function headersOf({ requestHeaders }: Recording, { headers }: ReplayEdits): [string, string][] {
  const recorded: [string, string][] = [];
  for (let i = 0; i < requestHeaders.length; i += 2)
    recorded.push([requestHeaders[i]!, requestHeaders[i + 1]!]);
  if (!headers) return recorded;
  return headers.flatMap((field): [string, string][] => {
    if (!('keep' in field)) return [[field.name, field.value]];
    const kept = recorded[field.keep];
    return kept ? [kept] : [];
  });
}
