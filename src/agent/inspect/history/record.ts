import { MessageLog, type KeptMessage } from '../messages.js';
import { CapturedBody, type Recording } from '../recording.js';
import { rowOf } from '../view.js';
import type { BodyInfo, RequestRow } from '../wire.js';

/** A stored recording: a row for lists and searches, and everything else separately. */
export interface Encoded {
  readonly row: RequestRow;
  readonly part: Buffer;
}

/** The portal.yaml of a recording, and its masks. */
export interface Origin {
  /** Path of the configuration; null without one. */
  readonly source: string | null;
}

type StoredMessage = readonly [
  from: KeptMessage['from'],
  kind: KeptMessage['kind'],
  at: number,
  bytes: number,
  keptBytes: number,
  /** Bits of `FLAGS`. */
  flags: number,
];

const FLAGS = { isCompressed: 1, isCut: 2, isWhole: 4, isText: 8, isLost: 16 } as const;

/** Everything outside the row, except bytes: those of bodies and messages follow it in this order. */
interface Meta extends Pick<
  Recording,
  | 'hostname'
  | 'version'
  | 'requestHeaders'
  | 'requestTrailers'
  | 'requestMs'
  | 'reason'
  | 'responseHeaders'
  | 'responseTrailers'
> {
  readonly upgrade?: string;
  readonly mask: readonly string[];
  readonly bodies: readonly [request: StoredBody, response: StoredBody];
  readonly messages?: readonly StoredMessage[];
  readonly droppedMessages?: number;
}

interface StoredBody {
  readonly bytes: number;
  readonly keptBytes: number;
  readonly cut?: Exclude<BodyInfo['cut'], undefined>;
}

const LENGTH_BYTES = 4;

/** @param mask additional names of secret fields */
export function encode(recording: Recording, mask: ReadonlySet<string>, maxBytes: number): Encoded {
  const { requestBody, responseBody, messages } = recording;
  const bodies = [requestBody, responseBody].map((body) => bodyOf(body));
  const blobs = [requestBody.kept(), responseBody.kept()];
  const room = maxBytes - blobs.reduce((sum, { length }) => sum + length, 0);
  const said = messages && latest(messages.read(), room);
  const meta: Meta = {
    hostname: recording.hostname,
    version: recording.version,
    requestHeaders: recording.requestHeaders,
    requestTrailers: recording.requestTrailers,
    ...(recording.requestMs !== undefined && { requestMs: recording.requestMs }),
    ...(recording.reason !== undefined && { reason: recording.reason }),
    responseHeaders: recording.responseHeaders,
    responseTrailers: recording.responseTrailers,
    ...(recording.upgrade !== undefined && { upgrade: recording.upgrade }),
    mask: [...mask],
    bodies: [bodies[0]!, bodies[1]!],
    ...(said && {
      messages: said.map(stored),
      droppedMessages: messages.dropped + messages.read().length - said.length,
    }),
  };
  const json = Buffer.from(JSON.stringify(meta));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(json.length, 0);
  const parts = said?.flatMap((message) => message.parts) ?? [];
  return { row: rowOf(recording), part: Buffer.concat([length, json, ...blobs, ...parts]) };
}

/** Decodes a stored recording. Throws if it is invalid, which is not expected, because Portal sealed it. */
export function decode({ row, part }: Encoded, { source }: Origin): Recording {
  const end = LENGTH_BYTES + part.readUInt32BE(0);
  const meta = JSON.parse(part.subarray(LENGTH_BYTES, end).toString()) as Meta;
  let at = end;
  const next = (bytes: number): Buffer => part.subarray(at, (at += bytes));
  const [requestBody, responseBody] = meta.bodies.map(({ bytes, keptBytes, cut }) =>
    CapturedBody.of(next(keptBytes), bytes, cut),
  );
  const messages = meta.messages?.map((message) => kept(message, next));
  const { requestBytes: _, responseBytes: __, type: ___, earlier: ____, ...of } = row;
  return {
    ...of,
    startedMs: 0,
    hostname: meta.hostname,
    version: meta.version,
    requestHeaders: meta.requestHeaders,
    requestTrailers: meta.requestTrailers,
    ...(meta.requestMs !== undefined && { requestMs: meta.requestMs }),
    ...(meta.reason !== undefined && { reason: meta.reason }),
    responseHeaders: meta.responseHeaders,
    responseTrailers: meta.responseTrailers,
    requestBody: requestBody!,
    responseBody: responseBody!,
    upgrade: meta.upgrade,
    replayOf: row.replayOf,
    deliveryOf: row.deliveryOf,
    ...(messages && { messages: MessageLog.of(messages, meta.droppedMessages ?? 0) }),
    past: { source, mask: new Set(meta.mask) },
  };
}

function stored(message: KeptMessage): StoredMessage {
  const { from, kind, at, bytes, keptBytes, isCompressed, isCut, isWhole, inflated } = message;
  const flags =
    (isCompressed ? FLAGS.isCompressed : 0) |
    (isCut ? FLAGS.isCut : 0) |
    (isWhole ? FLAGS.isWhole : 0) |
    (inflated === 'text' ? FLAGS.isText : inflated === 'lost' ? FLAGS.isLost : 0);
  return [from, kind, at, bytes, keptBytes, flags];
}

function kept(message: StoredMessage, next: (bytes: number) => Buffer): KeptMessage {
  const [from, kind, at, bytes, keptBytes, flags] = message;
  const inflated = flags & FLAGS.isText ? 'text' : flags & FLAGS.isLost ? 'lost' : undefined;
  return {
    from,
    kind,
    at,
    bytes,
    keptBytes,
    isCompressed: (flags & FLAGS.isCompressed) !== 0,
    isCut: (flags & FLAGS.isCut) !== 0,
    isWhole: (flags & FLAGS.isWhole) !== 0,
    parts: [next(keptBytes)],
    ...(inflated && { inflated }),
  };
}

function bodyOf({ bytes, keptBytes, cut }: CapturedBody): StoredBody {
  return { bytes, keptBytes, ...(cut !== undefined && { cut }) };
}

/** The latest messages whose stored bytes fit into `room`. */
function latest(messages: readonly KeptMessage[], room: number): readonly KeptMessage[] {
  let left = room;
  let first = messages.length;
  while (first > 0 && left >= messages[first - 1]!.keptBytes) left -= messages[--first]!.keptBytes;
  return messages.slice(first);
}
