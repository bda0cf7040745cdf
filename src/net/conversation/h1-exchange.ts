import { bodyAfter, SizedBody, type Body } from './h1-body.js';
import { headIn } from './h1-head.js';

const KEEPS_ALIVE = /^(?:connection:[ \t]*keep-alive[ \t]*|keep-alive:[^\r\n]*)\r\n/gim;

/**
 * One HTTP/1.1 exchange, to its last byte. It gives up where the end would be uncertain. Examples are a head in several pieces,
 * a second request before the response has ended, a change of protocol, and a body that ends with the connection.
 */
export class H1Exchange {
  #request: Body | undefined;
  #response: Body | undefined;
  #isHead = false;
  #isLost = false;

  get isComplete(): boolean {
    return !this.#isLost && this.#request?.isWhole === true && this.#response?.isWhole === true;
  }

  /** Returns the bytes with `Connection: close` added (RFC 9112, section 9.6) if the final response begins in them. */
  closing(bytes: Buffer, start: number, end: number): Buffer | undefined {
    if (this.#isLost || !this.#request || this.#response) return undefined;
    for (let at = start; at < end;) {
      const head = headIn(bytes, at, end);
      const line = /^HTTP\/1\.1 (\d{3})[^\r\n]*\r\n/.exec(head ?? '');
      if (head === undefined || !line || line[1] === '101') return undefined;
      const after = at + head.length;
      if (!line[1]!.startsWith('1')) {
        const others = head.slice(line[0].length).replace(KEEPS_ALIVE, '');
        const closing = Buffer.from(`${line[0]}Connection: close\r\n${others}`, 'latin1');
        return Buffer.concat([bytes.subarray(start, at), closing, bytes.subarray(after, end)]);
      }
      at = after;
    }
    return undefined;
  }

  visitorSent(bytes: Buffer, start: number, end: number): void {
    let at = start;
    if (!this.#request) {
      const head = headIn(bytes, start, end);
      const method = /^([A-Z]+) [^ \r\n]+ HTTP\/1\.1\r\n/.exec(head ?? '')?.[1];
      if (head === undefined || method === undefined || method === 'CONNECT') return this.#giveUp();
      this.#isHead = method === 'HEAD';
      this.#request = bodyAfter(head, 0);
      at += head.length;
    }
    if (this.#request?.take(bytes, at, end) !== end) this.#giveUp();
  }

  targetSent(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (!this.#response && at < end) {
      const head = headIn(bytes, at, end);
      const status = /^HTTP\/1\.1 (\d{3})/.exec(head ?? '')?.[1];
      if (head === undefined || status === undefined || status === '101') return this.#giveUp();
      at += head.length;
      if (status.startsWith('1')) continue;
      const isBodiless = this.#isHead || status === '204' || status === '304';
      this.#response = isBodiless ? new SizedBody(0) : bodyAfter(head);
      if (!this.#response) return this.#giveUp();
    }
    if (this.#response && this.#response.take(bytes, at, end) !== end) this.#giveUp();
  }

  #giveUp(): void {
    this.#isLost = true;
  }
}
