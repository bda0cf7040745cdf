import { asCurl } from '../../agent/inspect/curl.js';
import { decode } from '../../agent/inspect/decode.js';
import { find } from '../../agent/inspect/history/search.js';
import { idText, parseId } from '../../agent/inspect/history/ids.js';
import { messagesOf } from '../../agent/inspect/messages.js';
import type { CapturedBody, Recording } from '../../agent/inspect/recording.js';
import { textOf } from '../../agent/inspect/text.js';
import { detailsOf } from '../../agent/inspect/view.js';
import type { Field, MessageInfo, RequestDetails } from '../../agent/inspect/wire.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';
import {
  flushRunning,
  msText,
  ownHistory,
  plainRow,
  statusText,
  unknownRequest,
} from '../request-history.js';
import { createStyle, printable, type Style } from '../text/style.js';
import { dateText, formatBytes } from '../text/amounts.js';

interface Options {
  readonly reveal?: true;
  readonly curl?: true;
  readonly file?: string;
}

/** Size limit of a decompressed body. */
const MAX_DECODED_BYTES = 4 * 1024 * 1024;

export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  const id = parseId(args[0]!)!;
  const history = await ownHistory(context, options.file);
  if (history) await flushRunning(context, history);
  const recording = history && (await find(history.folder, id, Date.now()));
  if (!recording) throw unknownRequest(id);
  const reveal = options.reveal === true;
  const mask = recording.past?.mask ?? new Set<string>();
  const details = detailsOf(recording, { reveal, noReplay: undefined, mask });
  if (options.curl) {
    const command = asCurl(details, recording.requestBody.kept());
    if (context.json) printEvent(context, 'curl', { id: idText(id), command });
    else context.stdout.data(command);
    return 0;
  }
  const [requestContent, responseContent] = await Promise.all([
    contentOf(recording.requestBody, details.request),
    contentOf(recording.responseBody, details.response),
  ]);
  if (context.json)
    printEvent(context, 'request', plain(recording, details, requestContent, responseContent));
  else show(context, details, [requestContent, responseContent]);
  return 0;
}

/** Wraps what Portal says. Headers and bodies stay as they are, for copying. */
function show(context: Context, details: RequestDetails, [request, response]: readonly Content[]): void {
  const { stdout } = context;
  const style = createStyle(stdout.color);
  const { method, authority, target, startedAt, remote } = details;
  stdout.data(style.bold(printable(`${method} https://${authority}${target}`)));
  stdout.line(
    `request ${idText(details.id)} of ${printable(details.service)}, ${dateText(startedAt)}, from ${printable(remote)}`,
  );
  for (const each of describe(details, request!, response!, style)) stdout.data(each);
}

interface Content {
  readonly text?: string;
  readonly base64?: string;
}

async function contentOf(body: CapturedBody, { body: { encoding } }: MessageInfo): Promise<Content> {
  const kept = body.kept();
  if (kept.length === 0) return {};
  const bytes = (await decode(kept, encoding, MAX_DECODED_BYTES))?.bytes ?? kept;
  const text = textOf(bytes);
  return text === undefined ? { base64: bytes.toString('base64') } : { text };
}

function plain(
  { past, messages }: Recording,
  details: RequestDetails,
  requested: Content,
  responseContent: Content,
): object {
  const { request, response } = details;
  return {
    ...plainRow(details),
    source: past?.source ?? null,
    request: { ...request, body: { ...request.body, ...requested } },
    response: { ...response, body: { ...response.body, ...responseContent } },
    ...(messages && { messages: messagesOf(messages) }),
  };
}

function describe(
  details: RequestDetails,
  requested: Content,
  responseContent: Content,
  style: Style,
): string[] {
  const { method, target, version, request, response, reason } = details;
  return [
    ...(details.replayOf === undefined ? [] : [`repeats ${idText(details.replayOf)}`]),
    ...(details.deliveryOf === undefined ? [] : [`delivers the held request ${idText(details.deliveryOf)}`]),
    '',
    style.bold(`${printable(method)} ${printable(target)} HTTP/${version}`),
    ...message(request, requested, style),
    '',
    style.bold(printable(`${statusText(details)} ${reason ?? ''}`.trim() || 'no response')) +
      style.dim(`  ${msText(details.totalMs)}`),
    ...message(response, responseContent, style),
  ];
}

function message(
  { headers, trailers, body }: MessageInfo,
  { text, base64 }: Content,
  style: Style,
): string[] {
  const { bytes, keptBytes, cut } = body;
  return [
    ...[...headers, ...trailers].map((field) => line(field, style)),
    ...(text === undefined ? [] : ['', ...text.split('\n').map((each) => printable(each))]),
    ...(base64 === undefined
      ? []
      : ['', style.dim(`(${formatBytes(bytes)} of binary data; --json prints it)`)]),
    ...(cut === undefined
      ? []
      : [style.dim(`(${formatBytes(keptBytes)} of ${formatBytes(bytes)} recorded)`)]),
  ];
}

const line = ({ name, value, masked }: Field, style: Style): string =>
  `${style.cyan(printable(name))}: ${masked ? style.dim(printable(value)) : printable(value)}`;
