import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { Recording } from '../../src/agent/inspect/recording.js';
import type { RequestStore } from '../../src/agent/inspect/store.js';
import type { LiveMessage, RequestRow } from '../../src/agent/inspect/wire.js';
import type { TestAgent } from './world.js';

/** The recording with this id, once its request has ended. */
export function settled(store: RequestStore, id: number): Promise<Recording> {
  return new Promise((resolve) => {
    const look = (): void => {
      const recording = store.get(id);
      if (!recording || recording.outcome === 'open' || recording.outcome === 'switched') return;
      stop();
      resolve(recording);
    };
    const stop = store.listen({ changed: look });
    look();
  });
}

/** The inspector of an agent: its address, its token, and the rows that its page would show. */
export async function inspectorOf(
  one: TestAgent,
): Promise<{ url: URL; token: string; rows: Map<number, RequestRow> }> {
  const url = new URL((await one.event('inspector')).url);
  const token = url.hash.slice(1);
  const rows = new Map<number, RequestRow>();
  const live = new WebSocket(`ws://${url.host}/api/live`, ['portal-inspector', `token.${token}`], {
    origin: url.origin,
  });
  onTestFinished(() => live.terminate());
  live.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as LiveMessage;
    if (message.type === 'requests') for (const row of message.rows) rows.set(row.id, row);
  });
  return { url, token, rows };
}
