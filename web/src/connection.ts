import type {
  EarlierRequests,
  LiveMessage,
  ReplayEdits,
  RequestDetails,
  WsMessages,
} from '../../src/agent/inspect/wire.js';

/** The page's requests to the agent. The token comes from the URL's fragment, and is stored for this tab only. */

const KEY = 'portal-inspector-token';
const LIVE_PROTOCOL = 'portal-inspector';
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;

function takeToken(): string {
  const given = location.hash.slice(1);
  if (given !== '') {
    sessionStorage.setItem(KEY, given);
    // Removes the token from the history and the address bar.
    history.replaceState(null, '', location.pathname);
  }
  return sessionStorage.getItem(KEY) ?? '';
}

const token = takeToken();

async function call(method: string, path: string, body?: object): Promise<Response> {
  const response = await fetch(path, {
    method,
    headers: { Authorization: `Bearer ${token}` },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (response.ok) return response;
  const { error } = (await response.json().catch(() => ({}))) as { error?: string };
  throw new Error(error ?? `the agent responded with ${response.status}`);
}

const json = async <T>(response: Promise<Response>): Promise<T> => (await response).json() as Promise<T>;

export interface FetchedBody {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Content codings that were decoded. */
  readonly decoded?: string;
  /** Whether the decoded body is truncated. */
  readonly isPart: boolean;
}

export const agent = {
  details: (id: number, reveal: boolean) =>
    json<RequestDetails>(call(reveal ? 'POST' : 'GET', `/api/requests/${id}${reveal ? '/reveal' : ''}`)),
  /** Decoded, unless the raw form is requested. */
  body: async (
    id: number,
    of: 'request' | 'response',
    form: 'decoded' | 'raw' = 'decoded',
  ): Promise<FetchedBody> => {
    const raw = form === 'raw' ? '&raw' : '';
    const response = await call('GET', `/api/requests/${id}/body?of=${of}${raw}`);
    const decoded = response.headers.get('Portal-Decoded');
    return {
      bytes: new Uint8Array(await response.arrayBuffer()),
      ...(decoded !== null && { decoded }),
      isPart: response.headers.has('Portal-Part'),
    };
  },
  messages: (id: number) => json<WsMessages>(call('GET', `/api/requests/${id}/messages`)),
  replay: async (id: number, edits: ReplayEdits = {}): Promise<number> =>
    (await json<{ id: number }>(call('POST', `/api/requests/${id}/replay`, edits))).id,
  har: async (ids: readonly number[]): Promise<Blob> => (await call('POST', '/api/har', { ids })).blob(),
  /** Requests recorded before this time, from the history. */
  earlier: (before?: number) =>
    json<EarlierRequests>(call('GET', `/api/earlier${before === undefined ? '' : `?before=${before}`}`)),
  clear: () => call('POST', '/api/clear'),
};

export type Link = 'connecting' | 'live' | 'lost' | 'refused';

/** Receives new messages while the page is open. Reconnects after the agent has restarted. */
export function listen(onMessage: (message: LiveMessage) => void, onLink: (link: Link) => void): void {
  let pauseMs = FIRST_PAUSE_MS;
  const connect = (): void => {
    onLink('connecting');
    const socket = new WebSocket(`ws://${location.host}/api/live`, [LIVE_PROTOCOL, `token.${token}`]);
    socket.addEventListener('open', () => {
      pauseMs = FIRST_PAUSE_MS;
      onLink('live');
    });
    socket.addEventListener('message', ({ data }) => onMessage(JSON.parse(String(data)) as LiveMessage));
    socket.addEventListener('close', () => void comeBack());
  };
  const comeBack = async (): Promise<void> => {
    // A WebSocket error does not include the reason.
    const status = await fetch('/api/none', { headers: { Authorization: `Bearer ${token}` } }).then(
      (response) => response.status,
      () => undefined,
    );
    if (status === 401) return onLink('refused');
    onLink('lost');
    setTimeout(connect, pauseMs);
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
  };
  if (token === '') onLink('refused');
  else connect();
}
