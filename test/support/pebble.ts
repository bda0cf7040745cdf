import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { onTestFinished, vi, type TestContext } from 'vitest';
import { freePorts } from './ports.js';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import type { AcmeSpec } from '../../src/certificates/spec.js';
import { programFor } from './debian.js';
import { temporaryFolder } from './folder.js';

export interface Pebble {
  readonly spec: AcmeSpec;
  readonly port: number;
  /** PEM of its root certificate, which is new at every start. */
  root(): Promise<string>;
  /** Every log line so far. */
  readonly lines: readonly string[];
  /** Certificates issued so far. */
  readonly issued: number;
  stop(): Promise<void>;
  start(): Promise<void>;
}

export interface PebbleOptions {
  /** Where pebble connects to validate TLS-ALPN-01. */
  readonly tlsPort: number;
  readonly dns: string;
  /** Lifetime of certificates, in seconds. */
  readonly validityS?: number;
  /** Percentage of good nonces that it rejects. */
  readonly rejectNonces?: number;
  readonly blocked?: readonly string[];
}

/** Debian's pebble, a test CA that sometimes rejects nonces. Skips the test if it is unavailable. */
export async function pebble(ctx: TestContext, options: PebbleOptions): Promise<Pebble> {
  const program = await programFor(ctx, 'pebble');
  const folder = await temporaryFolder();
  const ca = await openLocalCa(join(folder, 'ca'));
  const own = await ca.issue(['localhost', '127.0.0.1']);
  const [port = 0, managementPort = 0] = await freePorts(2);
  const file = join(folder, 'pebble.json');
  await Promise.all([
    writeFile(join(folder, 'cert.pem'), own.cert),
    writeFile(join(folder, 'key.pem'), own.key),
    writeFile(
      file,
      JSON.stringify({
        pebble: {
          listenAddress: `127.0.0.1:${port}`,
          managementListenAddress: `127.0.0.1:${managementPort}`,
          certificate: join(folder, 'cert.pem'),
          privateKey: join(folder, 'key.pem'),
          httpPort: 9,
          tlsPort: options.tlsPort,
          ocspResponderURL: '',
          externalAccountBindingRequired: false,
          domainBlocklist: options.blocked ?? [],
          ...(options.validityS !== undefined && { certificateValidityPeriod: options.validityS }),
        },
      }),
    ),
  ]);

  const root = (): Promise<string> => download(managementPort, '/roots/0', ca.certificatePem);
  const lines: string[] = [];
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    child = spawn(program, ['-config', file, '-dnsserver', options.dns, '-strict'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        PEBBLE_VA_NOSLEEP: '1',
        PEBBLE_WFE_NONCEREJECT: String(options.rejectNonces ?? 15),
        PEBBLE_AUTHZREUSE: '0',
      },
    });
    const listening = new Promise<void>((resolve, reject) => {
      const note = (line: string): void => {
        lines.push(line);
        if (line.includes('ACME directory available at')) resolve();
      };
      createInterface({ input: child!.stdout! }).on('line', note);
      createInterface({ input: child!.stderr! }).on('line', note);
      child!.once('exit', () => reject(new Error(`pebble ended:\n${lines.join('\n')}`)));
    });
    await listening;
    // pebble prints that line before it listens.
    await vi.waitFor(root, { timeout: 10_000, interval: 20 });
  };
  const stop = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  onTestFinished(stop);
  await start();
  return {
    spec: { directory: `https://localhost:${port}/dir`, caFile: ca.certificateFile },
    port,
    root,
    lines,
    get issued() {
      return lines.filter((line) => line.includes('Issued certificate serial')).length;
    },
    start,
    stop,
  };
}

function download(port: number, path: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, ca, servername: 'localhost', agent: false });
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.once('end', () => resolve(text));
    });
    outgoing.end();
  });
}
