import { createSocket } from 'node:dgram';
import { randomInt } from 'node:crypto';
import { now } from '../lib/now.mjs';
import { pattern } from '../lib/pattern.mjs';

/** Interval between retries. Each sends a new datagram. */
const [ATTEMPTS, EVERY_MS, PATIENCE_MS] = [8, 500, 4_000];
/** After this many requests a new socket takes over: a new flow. */
const QUESTIONS_A_FLOW = 20;
/** Some are larger than a packet, and travel in fragments. */
const SIZES = [16, 400, 1_100, 3_000];

/**
 * Numbered datagrams to an echo. The network may lose or delay one. It must not come back changed, to another socket,
 * or twice. `onWrong` gets every error as it happens.
 */
export class UdpVisitor {
  #lane;
  #onWrong;
  #flow;
  #questions = 0;

  constructor(lane, onWrong) {
    this.#lane = lane;
    this.#onWrong = onWrong;
  }

  /**
   * Resolves with {} once one of several datagrams is back, or {error} if none comes back. A service of a `named` lane says its
   * agent's name first: then with {agent, joinedAt}.
   */
  ask() {
    if (!this.#flow || this.#questions++ % QUESTIONS_A_FLOW === 0) {
      this.close();
      this.#flow = new Flow(this.#lane, this.#onWrong);
    }
    return this.#flow.ask();
  }

  close() {
    this.#flow?.closeOnceAnswered();
    this.#flow = undefined;
  }
}

class Flow {
  #lane;
  #onWrong;
  #id = randomInt(2 ** 31);
  #socket = createSocket('udp4');
  #sent = 0;
  #asking = 0;
  #closing = false;
  /** By number: the expected payload, and the waiting caller. */
  #out = new Map();

  constructor(lane, onWrong) {
    this.#lane = lane;
    this.#onWrong = onWrong;
    this.#socket.on('error', () => undefined);
    this.#socket.on('message', (payload) => this.#answer(payload));
  }

  async ask() {
    this.#asking++;
    const outcome = await new Promise((resolve) => {
      let attempts = 0;
      let timer;
      const settle = (result) => {
        clearTimeout(timer);
        resolve(result);
      };
      const attempt = () => {
        const isLast = ++attempts === ATTEMPTS;
        const payload = this.#datagram((agent) => settle(agent ? { agent, joinedAt: now() } : {}));
        this.#socket.send(payload, this.#lane.port, this.#lane.address, () => undefined);
        timer = setTimeout(
          isLast ? () => settle({ error: 'no reply' }) : attempt,
          isLast ? PATIENCE_MS : EVERY_MS,
        );
      };
      attempt();
    });
    this.#asking--;
    this.#closeNow();
    return outcome;
  }

  closeOnceAnswered() {
    this.#closing = true;
    this.#closeNow();
  }

  #closeNow() {
    if (!this.#closing || this.#asking > 0) return;
    this.#closing = false;
    this.#socket.close();
  }

  #datagram(back) {
    const number = this.#sent++;
    const body = pattern(this.#id ^ number, 0, SIZES[number % SIZES.length]);
    const payload = Buffer.concat([Buffer.alloc(8), body]);
    payload.writeUInt32BE(this.#id, 0);
    payload.writeUInt32BE(number, 4);
    this.#out.set(number, { payload, back, answered: false });
    this.#out.delete(number - 200);
    return payload;
  }

  #answer(datagram) {
    const end = this.#lane.named ? datagram.indexOf('\n') : -1;
    const payload = datagram.subarray(end + 1);
    if (payload.length < 8 || payload.readUInt32BE(0) !== this.#id)
      return this.#onWrong(`a datagram of another flow (${payload.length} bytes)`);
    const number = payload.readUInt32BE(4);
    const out = this.#out.get(number);
    // So late that its entry has been removed.
    if (!out) return number < this.#sent ? undefined : this.#onWrong(`datagram ${number} was never sent`);
    if (out.answered) return this.#onWrong(`datagram ${number} came twice`);
    if (!out.payload.equals(payload)) return this.#onWrong(`datagram ${number} came back changed`);
    out.answered = true;
    return out.back(datagram.toString('latin1', 0, Math.max(end, 0)));
  }
}
