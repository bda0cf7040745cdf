import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Channel } from '../../src/lib/calls.js';

/** The two ends of a channel, as between two processes: messages are copied, and arrive later. */
export function channelPair(): [Channel, Channel] {
  const { port1, port2 } = new MessageChannel();
  return [endOf(port1), endOf(port2)];
}

function endOf(port: MessagePort): Channel {
  return {
    send: (message) => port.postMessage(message),
    onMessage: (listener) => void port.on('message', listener),
    onClose: (listener) => void port.once('close', listener),
    close: () => port.close(),
  };
}
