import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, type TestContext } from 'vitest';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { HOSTS_FILE_NAMES, hostsFile, hostsNamed } from '../support/hosts.js';
import { ensureBinary } from '../support/debian.js';
import { temporaryFolder } from '../support/world.js';
import { jsonLines, Person } from './cli-support.js';

/** The addresses of target names on machines with other hosts files and networks, as `portal doctor` reports them. */

const SERVERS = fileURLToPath(new URL('../support/target-servers.mjs', import.meta.url));

interface Served {
  readonly host: string;
  readonly port: number;
  readonly tls?: { readonly cert: string; readonly key: string };
}

/**
 * Runs a command in a separate network, which `setUp` prepares, together with these services. Or the reason to skip.
 */
async function network(
  setUp: string,
  servers: readonly Served[],
): Promise<{ within: string[] } | { skip: string }> {
  if (process.getuid?.() !== 0) return { skip: 'only root can create network namespaces' };
  const ip = await ensureBinary('ip');
  if ('skip' in ip) return ip;
  const lines = ['set -e', 'ip link set lo up', setUp, 'exec "$@"'].join('\n');
  const serving = [process.execPath, SERVERS, JSON.stringify(servers)];
  return { within: ['unshare', '--net', 'sh', '-c', lines, 'sh', ...serving] };
}

const usable = (
  context: TestContext,
  made: { readonly within: readonly string[] } | { readonly skip: string },
): readonly string[] => ('skip' in made ? context.skip(made.skip) : made.within);

interface Examined {
  /** The findings about each service's target, by service. */
  readonly targets: Readonly<Record<string, string>>;
  readonly stderr: string;
}

async function examine(
  services: Readonly<Record<string, string>>,
  within: readonly string[],
): Promise<Examined> {
  const person = await Person.create();
  const lines = Object.entries(services).map(([name, spec]) => `  ${name}: ${spec}\n`);
  await writeFile(join(person.folder, 'portal.yaml'), `version: 1\nservices:\n${lines.join('')}`);
  const { stdout, stderr } = await person.start(['doctor', '--json'], { within }).finished;
  const targets = jsonLines(stdout)
    .filter(({ check }) => check === 'service.target')
    .map(({ about, level, message }) => [
      String(about).replace('service ', ''),
      `${String(level)}: ${String(message)}`,
    ]);
  return { targets: Object.fromEntries(targets) as Record<string, string>, stderr };
}

it.for(HOSTS_FILE_NAMES)('a port of this machine needs no hosts file: %s', async (name, context) => {
  const hosts = usable(context, await hostsNamed(name));
  const net = usable(
    context,
    await network('', [
      { host: '::1', port: 7001 },
      { host: '127.0.0.1', port: 7002 },
    ]),
  );
  const services = {
    six: '7001',
    'six-named': 'localhost:7001',
    four: '7002',
    'four-named': 'http://localhost:7002',
    gone: '7003',
  };
  const { targets } = await examine(services, [...hosts, ...net]);
  expect(targets).toEqual({
    six: 'ok: localhost:7001 speaks HTTP at ::1: served as http',
    'six-named': 'ok: localhost:7001 speaks HTTP at ::1: served as http',
    four: 'ok: localhost:7002 speaks HTTP at 127.0.0.1: served as http',
    'four-named': 'ok: localhost:7002 speaks HTTP at 127.0.0.1: served as http',
    gone: 'problem: nothing listens on port 7003 (tried 127.0.0.1 and ::1)',
  });
});

it('a machine without IPv6 looks for a port only on 127.0.0.1', async (context) => {
  const net = usable(
    context,
    await network('echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6', [{ host: '127.0.0.1', port: 7001 }]),
  );
  const { targets } = await examine({ web: '7001', gone: '7002' }, net);
  expect(targets).toEqual({
    web: 'ok: localhost:7001 speaks HTTP at 127.0.0.1: served as http',
    gone: 'problem: nothing listens on port 7002 (tried 127.0.0.1)',
  });
});

/** 192.0.2.1 is on the wire, but has no machine: packets to it are silently lost. */
const SILENT =
  'ip link add v0 type veth peer name v1; ip addr add 192.0.2.2/24 dev v0; ip link set v0 up; ip link set v1 up';

it('a name with two addresses is reached when one refuses or does not answer, over TLS too', async (context) => {
  const hosts = usable(
    context,
    await hostsFile(
      [
        '127.0.0.1 localhost',
        '127.0.0.1 both.internal',
        '::1 both.internal',
        '192.0.2.1 half.internal',
        '192.0.2.2 half.internal',
        '192.0.2.2 flah.internal',
        '192.0.2.1 flah.internal',
        '',
      ].join('\n'),
    ),
  );
  const ca = await openLocalCa(await temporaryFolder());
  const tls = await ca.issue(['both.internal', 'half.internal', 'flah.internal']);
  const net = usable(
    context,
    await network(SILENT, [
      { host: '127.0.0.1', port: 7001, tls },
      { host: '::1', port: 7002, tls },
      { host: '192.0.2.2', port: 7003, tls },
      { host: '::1', port: 7004 },
    ]),
  );
  const secure = (target: string): string =>
    `{ target: '${target}', targetTls: { ca: '${ca.certificateFile}' } }`;
  const { targets, stderr } = await examine(
    {
      four: secure('https://both.internal:7001'),
      six: secure('https://both.internal:7002'),
      half: secure('https://half.internal:7003'),
      flah: secure('https://flah.internal:7003'),
      plain: 'both.internal:7004',
      gone: 'both.internal:7005',
    },
    [...hosts, ...net],
  );
  expect(stderr).not.toContain('ended by');
  const { gone, ...others } = targets;
  expect(others).toEqual({
    four: 'ok: https://both.internal:7001 speaks HTTP at 127.0.0.1: served as http',
    six: 'ok: https://both.internal:7002 speaks HTTP at ::1: served as http',
    half: 'ok: https://half.internal:7003 speaks HTTP at 192.0.2.2: served as http',
    flah: 'ok: https://flah.internal:7003 speaks HTTP at 192.0.2.2: served as http',
    plain: 'ok: both.internal:7004 speaks HTTP at ::1: served as http',
  });
  expect(gone).toMatch(
    /^problem: both\.internal:7005 refused the connection \(.*ECONNREFUSED, .*ECONNREFUSED\)$/,
  );
});
