import { isIP } from 'node:net';
import { assert, built, timed } from '../check.mjs';

/** Frames of the datagram carriers. */

/** Counts the values that the parser returns, and checks that no payload extends beyond the input. */
function frameCounter(input) {
  const seen = [];
  const payloadFits = (payload) => {
    const start = payload.byteOffset - input.byteOffset;
    assert(
      payload.length === 0 || (start >= 0 && start + payload.length <= input.length),
      'a payload lies outside the input',
    );
  };
  const id = (name, value) => {
    assert(Number.isSafeInteger(value) && value >= 0, `${name} ${value} is not a non-negative integer`);
    seen.push(name);
  };
  return {
    seen,
    sink: {
      probe: (sequence) => id('probe', sequence),
      probeReply: (sequence) => id('probeReply', sequence),
      opened: (flow) => id('opened', flow),
      close: (flow) => id('close', flow),
      open(flow, lease, { address, port }) {
        id('open', flow);
        assert(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(lease), `${lease} is not a lease id`);
        assert(isIP(address) !== 0, `${address} is not an address`);
        assert(port >= 0 && port <= 65_535, `${port} is not a port`);
      },
      data(flow, payload) {
        id('data', flow);
        payloadFits(payload);
      },
      fragment(flow, datagram, index, count, payload) {
        id('fragment', flow);
        id('fragment', datagram);
        assert(index < count && count >= 2 && count <= 64, `piece ${index} of ${count}`);
        assert(payload.length > 0, 'an empty fragment');
        payloadFits(payload);
      },
    },
  };
}

export async function load() {
  const { encodeOpening, readFrames } = await built('protocol/datagrams/frames.js');
  const { FrameWriter } = await built('protocol/datagrams/writer.js');
  const { Reassembly } = await built('protocol/datagrams/reassembly.js');
  const corpus = [];
  const path = { maxBytes: 600, send: (frames) => corpus.push(Buffer.from(frames)) > 0 };
  const writer = new FrameWriter(
    path,
    () => undefined,
    () => undefined,
  );
  const lease = '6f0c1d1e-3f0a-4b52-8b0f-0123456789ab';
  for (const address of ['192.0.2.7', '2001:db8::7']) {
    const opening = encodeOpening(lease, { address, port: 53 });
    for (const [flow, size] of [
      [1, 0],
      [70, 100],
      [20_000, 400],
      [2 ** 40, 5_000],
    ]) {
      writer.data(flow, Buffer.alloc(size, 7), opening);
      writer.flush();
      writer.data(flow, Buffer.alloc(size, 7));
      writer.opened(flow);
      writer.probe(flow, true);
      writer.flush();
      writer.probeReply(flow);
      writer.close(flow);
      writer.flush();
    }
  }
  // One instance for all inputs: a peer's input over a long time must not accumulate.
  let now = 0;
  const reassembly = new Reassembly(() => undefined);
  return {
    corpus,
    mutations: [],
    check(input) {
      const { seen, sink } = frameCounter(input);
      const whole = timed(() => readFrames(input, sink));
      readFrames(input, {
        ...sink,
        fragment(flow, datagram, index, count, payload) {
          const put = reassembly.add(flow, datagram, index, count, payload, now++);
          assert(put === undefined || put.length <= 65_507, 'the reassembled datagram is too large');
          assert(reassembly.size <= 4_096, 'too many incomplete datagrams');
        },
      });
      return `${whole ? 'whole' : 'malformed'}, ${seen.length > 0 ? seen.at(-1) : 'nothing'}`;
    },
  };
}
