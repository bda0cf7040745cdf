import type { Channel } from './calls.js';

/**
 * Sends the messages of one turn of the event loop together: between processes, a message costs much more than its content.
 * Both ends must use it. A message must not change after it is sent, because it is copied at the end of the turn.
 */
export function batched(below: Channel): Channel {
  let batch: unknown[] = [];
  let timer: NodeJS.Immediate | undefined;
  const flush = (): void => {
    timer = undefined;
    if (batch.length === 0) return;
    const messages = batch;
    batch = [];
    below.send(messages);
  };
  return {
    send: (message) => {
      batch.push(message);
      timer ??= setImmediate(flush);
    },
    onMessage: (listener) =>
      below.onMessage((messages) => {
        for (const message of messages as readonly unknown[]) listener(message);
      }),
    onClose: (listener) => below.onClose(listener),
    close: () => {
      clearImmediate(timer);
      flush();
      below.close();
    },
  };
}
