import { assert, built } from '../check.mjs';
import { jsonMutations } from '../json.mjs';

/** A list of relays: from a registry, or from a relay that announces others. */

const ADDRESS = `0x${'aB'.repeat(20)}`;

export async function load() {
  const { readRelayList } = await built('agent/session/directory.js');
  const { generateIdentity } = await built('identity/keys.js');
  const { describeRelay } = await built('relay/descriptor.js');
  const { PortalError } = await built('lib/errors.js');
  Error.stackTraceLimit = 0;
  const signed = describeRelay(
    generateIdentity(),
    {
      url: 'https://signed.example',
      capabilities: ['stream'],
      carriers: ['raw'],
      limits: { heartbeatMs: 5_000, graceMs: 30_000, reservationMs: 1, maxLeasesPerSession: 1 },
    },
    new Date(),
  );
  const plain = [
    ['https://a.example', { url: 'https://b.example:8443', address: ADDRESS }],
    [{ url: 'https://c.example', ca: './ca.pem' }],
    [],
  ];
  // Checking a signature takes two milliseconds, so one list in eight has one.
  const lists = [...plain, ...plain, [plain[0][0]], [signed, plain[0][1]]];
  return {
    corpus: lists.map((relays) => Buffer.from(JSON.stringify({ relays }))),
    mutations: jsonMutations,
    async check(input) {
      const text = input.toString('utf8');
      const verdicts = [];
      for (const options of [{}, { isFile: true }, { signedAlone: true }]) {
        let list;
        try {
          list = await readRelayList(text, 'the list', options);
        } catch (error) {
          assert(error instanceof PortalError && error.code === 'registry_invalid', `threw ${error}`);
          verdicts.push('refused');
          continue;
        }
        for (const { url, address, ca } of list.relays) {
          assert(new URL(url).origin === url && url.startsWith('https://'), `${url} is no origin`);
          assert(
            address === undefined || /^0x[0-9a-fA-F]{40}$/.test(address),
            `${address} is not an address`,
          );
          assert(ca === undefined || options.isFile, 'a list that is not a file names a file');
          assert(!options.signedAlone || address !== undefined, 'an unsigned entry was accepted');
        }
        assert(list.skipped.length <= 6, 'too many reasons');
        verdicts.push(list.relays.length > 0 ? 'relays' : 'none');
      }
      assert({}.polluted === undefined, 'the prototype of all objects was changed');
      return verdicts.join(', ');
    },
  };
}
