/** An agent on a machine (a network namespace) that can reach only a real proxy. */
import { execFile, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it, onTestFinished, type TestContext } from 'vitest';
import { programFor } from '../support/debian.js';
import { startOn, twoMachines, type TwoMachines } from '../support/namespaces.js';
import { jsonLines, Person } from './cli-support.js';

const run = promisify(execFile);
const file = (name: string): string => fileURLToPath(new URL(`../support/${name}`, import.meta.url));
const DOMAIN = 'relay.internal';
const PORT = 3128;

type Proxy = 'tinyproxy' | 'microsocks';

/** On the left: the relay, on that machine's loopback only, and the proxy. On the right: the published services. */
async function behind(context: TestContext, proxy: Proxy) {
  const program = await programFor(context, proxy);
  // The name resolves to the local machine, so the right one finds nothing there.
  const two = await twoMachines(() => ({ [DOMAIN]: '127.0.0.1', [`web.${DOMAIN}`]: '127.0.0.1' }));
  if ('skip' in two) return context.skip(two.skip);
  const [operator, person] = [await Person.create(), await Person.create()];
  const args = await argumentsOf(proxy, two, operator.folder);
  const [command, ...rest] = [...two.left.within, program, ...args];
  const child = spawn(command!, rest, { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  const ports = ['--tcp-ports', '20000-20099', '--udp-ports', '20000-20099'];
  const relay = operator.start(
    ['relay', '--json', '--domain', DOMAIN, '--listen', '127.0.0.1:8443', '--log-level', 'error', ...ports],
    { within: two.left.within },
  );
  const { url, ca } = await relay.event('listening');
  const { http, tcp } = JSON.parse(await startOn(two.right, file('far-service.mjs'))) as Record<
    string,
    number
  >;
  const { port: udp } = JSON.parse(await startOn(two.right, file('udp-peer.mjs'), 'echo')) as {
    port: number;
  };
  const services = {
    web: { target: http },
    lines: { mode: 'tcp', target: tcp },
    packets: { mode: 'udp', target: udp },
  };
  const config = { version: 1, relays: { urls: [{ url, ca }] }, services };
  // JSON is YAML.
  await writeFile(join(person.folder, 'portal.yaml'), JSON.stringify(config));
  return { two, person, at: `${two.left.address}:${PORT}` };
}

async function argumentsOf(proxy: Proxy, two: TwoMachines, folder: string): Promise<string[]> {
  const { address } = two.left;
  if (proxy === 'microsocks') return ['-i', address, '-p', String(PORT), '-u', 'm@e', '-P', 's3:cret'];
  const config = join(folder, 'tinyproxy.conf');
  // Without ConnectPort, every port is allowed.
  await writeFile(config, `Port ${PORT}\nListen ${address}\nBasicAuth me s3cret\nTimeout 600\n`);
  return ['-d', '-c', config];
}

/** A visitor on the relay's machine. Resolves with the response. */
async function visited(two: TwoMachines, ...args: string[]): Promise<string> {
  const [command, ...rest] = [...two.left.within, process.execPath, ...args];
  return (await run(command!, rest, { timeout: 20_000 })).stdout.trim();
}

const portOf = (address: string): string => address.split(':').at(-1)!;

const PROXIES = [
  { proxy: 'tinyproxy', variable: 'HTTPS_PROXY', scheme: '', credentials: 'me:s3cret@' },
  { proxy: 'microsocks', variable: 'ALL_PROXY', scheme: 'socks5h://', credentials: 'm%40e:s3:cret@' },
] as const;

it.for(PROXIES)('streams, TCP and UDP work through $proxy alone', async (given, context) => {
  const { two, person, at } = await behind(context, given.proxy);
  const env = { [given.variable]: given.scheme + given.credentials + at };
  const up = person.start(['up', '--json'], { within: two.right.within, env });
  const ready = await up.event('ready');
  const urls = ready['services'] as Record<string, Record<'urls' | 'tcp' | 'udp', string[]>>;
  expect(await visited(two, file('far-visitor.mjs'), 'https', urls['web']!.urls[0]!)).toMatch(/^200 hello /);
  const [tcp, udp] = [portOf(urls['lines']!.tcp[0]!), portOf(urls['packets']!.udp[0]!)];
  expect(await visited(two, file('far-visitor.mjs'), 'tcp', '127.0.0.1', tcp, 'words')).toBe('words');
  const requested = await visited(two, file('udp-peer.mjs'), 'ask', '127.0.0.1', udp, '20');
  expect(JSON.parse(requested)).toMatchObject({ sent: 20, answered: 20, wrong: 0 });
  const { stdout } = await person.run(['status', '--json'], { within: two.right.within });
  expect(jsonLines(stdout)[0]).toMatchObject({ relays: [{ datagrams: { carrier: 'ws' } }] });
  const doctor = await person.run(['doctor', '--json'], { within: two.right.within, env });
  expect(doctor.stdout).toContain(`port 8443 is open, through the proxy ${at}`);
  expect(stdout + doctor.stdout + doctor.stderr).not.toContain('cret');
});

it.for(PROXIES)(
  '$proxy without credentials gives a different error from no network',
  async (given, context) => {
    const { two, person, at } = await behind(context, given.proxy);
    const wanting = (text: string): Promise<{ code: number | null; stderr: string }> =>
      person.run(['up', '--wait'], {
        within: two.right.within,
        env: { [given.variable]: given.scheme + text + at },
      });
    const none = await wanting('');
    expect(none.code).toBe(1);
    expect(none.stderr).toContain(`the proxy ${at} requires credentials`);
    expect(none.stderr).toContain(`USER:PASSWORD@${at}`);
    expect((await wanting('me:wr0ng@')).stderr).toContain(
      `the proxy ${at} rejected the user name and password`,
    );
  },
);
