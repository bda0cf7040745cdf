import { assert, built, timed } from '../check.mjs';

/** Packets of the datagram carriers. */

export async function load() {
  const { PacketOpener, PacketSealer } = await built('protocol/datagrams/packets.js');
  const keys = {
    secret: Buffer.alloc(32, 1),
    association: Buffer.from('fuzzing!'),
    direction: 'agent to relay',
  };
  const sealer = new PacketSealer(keys);
  const corpus = [0, 1, 100, 1_100].map((size) => Buffer.concat(sealer.seal(Buffer.alloc(size, size))));
  const genuine = new Set(corpus.map((packet) => packet.toString('latin1')));
  return {
    corpus,
    mutations: [],
    check(input) {
      // A new opener for each call, including calls that timed() repeats. Otherwise the first call makes the next a
      // replay.
      let opener;
      const opened = timed(() => (opener = new PacketOpener(keys)).open(input));
      const isGenuine = genuine.has(input.toString('latin1'));
      assert(Buffer.isBuffer(opened) === isGenuine, 'a forged packet was opened, or a genuine one rejected');
      if (isGenuine) assert(opener.open(input) === 'replayed', 'a packet was opened twice');
      return isGenuine ? 'opened' : opened;
    },
  };
}
