import { randomInt } from 'node:crypto';
import { request } from 'node:https';
import { firstWrong, pattern } from '../lib/pattern.mjs';
import { connectTo, contextOf, joinOf, readService, reasonOf } from './connect.mjs';

/** A stream ends cleanly after this time, and the next one begins. */
const LIFE_MS = [10_000, 40_000];
const BLOCK_EVERY_MS = 250;
/** Sometimes one block is large, so that buffers on the path fill. */
const [BLOCK_BYTES, BURST_BYTES, BURST_PART] = [4_096, 262_144, 0.01];
/** Limit of bytes in flight, so that a stalled path is not filled further. */
const MAX_AHEAD_BYTES = 1_048_576;
const DOWNLOAD_BYTES = [100_000, 400_000];

/**
 * A long connection that carries the byte pattern: an echo, or a slow download in mode http. `onEnd`
 * gets how it ended: `whole`, `broken` (an error after correct bytes), `short` (a normal end before the last byte),
 * `wrong`, or `left` (by the visitor). Also what `joinOf` tells.
 */
export class Stream {
  #reported;
  #on;
  #finishing = () => undefined;
  #bytes = 0;
  #join = {};

  constructor(lane, on) {
    this.#on = on;
    if (lane.kind === 'http') this.#download(lane);
    else this.#echo(lane);
  }

  /** Stops sending, and waits for bytes in flight. */
  finish() {
    this.#finishing();
  }

  #echo(lane) {
    const stream = randomInt(2 ** 31);
    const socket = connectTo(lane);
    this.#join = joinOf(socket);
    let sent = 0;
    let saying = true;
    const timer = setInterval(() => {
      if (!saying || socket.connecting || sent - this.#bytes > MAX_AHEAD_BYTES) return;
      const length = Math.random() < BURST_PART ? BURST_BYTES : BLOCK_BYTES;
      socket.write(pattern(stream, sent, length));
      sent += length;
    }, BLOCK_EVERY_MS);
    const ending = setTimeout(() => this.#finishing(), randomInt(...(lane.lifeMs ?? LIFE_MS)));
    let isReady = false;
    socket.once(lane.hostname === undefined ? 'connect' : 'secureConnect', () => {
      isReady = true;
      if (!saying) socket.end();
    });
    this.#finishing = () => {
      saying = false;
      // During the handshake there is no stream to end yet.
      if (isReady) socket.end();
    };
    const settle = (how, detail) => {
      clearInterval(timer);
      clearTimeout(ending);
      socket.destroy();
      this.#end(how, detail);
    };
    socket.on('error', (error) => settle('broken', reasonOf(error)));
    socket.on('close', () => settle('broken', 'closed'));
    readService(socket, lane, this.#join, (chunk) => {
      const wrong = firstWrong(stream, this.#bytes, chunk);
      this.#move(chunk.length);
      if (wrong !== undefined || this.#bytes > sent) settle('wrong', `byte ${wrong ?? sent} of ${sent}`);
    });
    socket.on('end', () => {
      if (!saying && this.#bytes === sent) settle('whole');
      else settle('short', `${this.#bytes} of ${sent}`);
    });
  }

  #download({ address, port, hostname, ca }) {
    const [stream, length] = [randomInt(2 ** 31), randomInt(...DOWNLOAD_BYTES)];
    const outgoing = request({
      host: address,
      port,
      servername: hostname,
      secureContext: contextOf(ca),
      path: `/stream?id=${stream}&bytes=${length}`,
      agent: false,
      headers: { host: `${hostname}:${port}` },
    });
    outgoing.once('socket', (socket) => (this.#join = joinOf(socket)));
    const settle = (how, detail) => {
      outgoing.destroy();
      this.#end(how, detail);
    };
    // The visitor does not wait for the end of a download, like many real visitors.
    this.#finishing = () => settle('left');
    outgoing.on('error', (error) => settle('broken', reasonOf(error)));
    outgoing.on('response', (response) => {
      response.on('error', (error) => settle('broken', reasonOf(error)));
      if (response.statusCode !== 200) return settle('broken', `status ${response.statusCode}`);
      response.on('data', (chunk) => {
        const wrong = firstWrong(stream, this.#bytes, chunk);
        this.#move(chunk.length);
        if (wrong !== undefined) settle('wrong', `byte ${wrong} of ${length}`);
      });
      response.on('end', () =>
        this.#bytes === length ? settle('whole') : settle('short', `${this.#bytes} of ${length}`),
      );
    });
    outgoing.end();
  }

  #move(bytes) {
    this.#bytes += bytes;
    this.#on.onMoved(bytes);
  }

  #end(how, detail) {
    if (this.#reported) return;
    this.#reported = true;
    this.#on.onEnd({ how, bytes: this.#bytes, ...(detail !== undefined && { detail }), ...this.#join });
  }
}
