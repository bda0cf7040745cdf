import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** The modules that each module may import from, besides itself (docs/explanation/architecture.md shows them). */
const MAY_IMPORT: Record<string, readonly string[]> = {
  cli: [
    'library',
    'config',
    'reconcile',
    'agent',
    'relay',
    'metrics',
    'certificates',
    'protocol',
    'identity',
    'net',
    'lib',
  ],
  library: ['config', 'reconcile', 'agent', 'relay', 'certificates', 'identity', 'net', 'lib'],
  reconcile: ['config', 'agent', 'metrics', 'certificates', 'identity', 'net', 'lib'],
  config: ['agent', 'certificates', 'net', 'lib'],
  agent: ['certificates', 'protocol', 'identity', 'net', 'lib'],
  relay: ['metrics', 'certificates', 'protocol', 'identity', 'net', 'lib'],
  metrics: ['net', 'lib'],
  certificates: ['net', 'lib'],
  protocol: ['identity', 'lib'],
  identity: ['lib'],
  net: ['lib'],
  lib: [],
};

/** Only the command line prints, exits, or uses global process state. */
const PROCESS_WIDE = /\bprocess\.(exit|stdout|stderr|argv|env|on|once)\b|\bconsole\.\w/;

/**
 * Modules that need the time of day: it is stored, sent, or shown to people. All other code measures durations with
 * `performance.now()`, because setting the clock must not end a session or an idle connection.
 */
const TIME_OF_DAY: readonly string[] = [
  'agent/access/oidc-gate.ts',
  'agent/access/pin-gate.ts',
  'agent/access/share/links.ts',
  'agent/access/webhook-gate.ts',
  'agent/hold/held-requests.ts',
  'agent/inspect/history/files.ts',
  'agent/inspect/history/history.ts',
  'agent/inspect/messages.ts',
  'agent/inspect/recording.ts',
  // A visitor's browser, across reloads.
  'agent/pages/page-style.ts',
  'lib/shared-file.ts',
  'lib/wall-clock.ts',
  'reconcile/local/expiry.ts',
  'reconcile/local/holding.ts',
  'reconcile/local/sharing.ts',
  'reconcile/notices.ts',
  'relay/agents/agents.ts',
  'relay/agents/api.ts',
  'relay/agents/view.ts',
  'relay/leases/name-uses.ts',
  'relay/hops/peers.ts',
  'relay/leases/ports.ts',
  'relay/parts/health.ts',
  'relay/names/reservations.ts',
];

/**
 * Modules that open connections. Every other one dials with `net/dial.ts`, except targets and the command line's
 * control socket. There are two reasons. A name may have several addresses, one of which refuses or does not answer. And
 * TLS on a socket that is still connecting crashes the process.
 */
const CONNECTS =
  /import \{[^}]*\b(?:connect|createConnection)\b[^}]*\} from 'node:(?:net|tls)'|\b(?:net|tls)\.(?:connect|createConnection)\(/;
const MAY_CONNECT: readonly string[] = [
  'agent/target/upstream.ts',
  'cli/control/claim.ts',
  'net/dial.ts',
  'net/target/dial.ts',
];

const src = fileURLToPath(new URL('../src', import.meta.url));

/** Starts, changes or ends an agent. Programs and the command line both use `library/session.ts`, which has the order. */
const RUNS = /\b(openAgent|createRunner)\(|\brunner\.(apply|stop|kill)\(/;
const MAY_RUN: readonly string[] = ['library/agent.ts', 'library/session.ts', 'reconcile/runner.ts'];

interface Import {
  from: string;
  to: string;
  file: string;
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
}

const moduleOf = (path: string): string => relative(src, path).split('/')[0]!;

const imports: Import[] = sources(src).flatMap((file) =>
  [...readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(([, path]) => ({
    from: moduleOf(file),
    to: moduleOf(resolve(dirname(file), path!)),
    file: relative(src, file),
  })),
);

describe('the modules of the source', () => {
  it('are all listed, and imports were found', () => {
    expect(new Set(sources(src).map(moduleOf))).toEqual(new Set(Object.keys(MAY_IMPORT)));
    expect(imports.length).toBeGreaterThan(100);
  });

  it('import in one direction only', () => {
    const wrong = imports.filter(({ from, to }) => from !== to && !MAY_IMPORT[from]!.includes(to));
    expect(wrong).toEqual([]);
  });

  it('leave printing, exiting and process state to the command line', () => {
    const wrong = sources(src).filter(
      (file) =>
        moduleOf(file) !== 'cli' &&
        // Programs call it in their own process.
        relative(src, file) !== 'library/index.ts' &&
        PROCESS_WIDE.test(withoutComments(readFileSync(file, 'utf8'))),
    );
    expect(wrong.map((file) => relative(src, file))).toEqual([]);
  });

  it('dial in one place', () => {
    const dialling = sources(src)
      .filter((file) => CONNECTS.test(withoutComments(readFileSync(file, 'utf8'))))
      .map((file) => relative(src, file));
    expect(dialling.toSorted()).toEqual(MAY_CONNECT);
  });

  it('run agents in one place', () => {
    const running = sources(src)
      .filter((file) => RUNS.test(withoutComments(readFileSync(file, 'utf8'))))
      .map((file) => relative(src, file));
    expect(running.toSorted()).toEqual(MAY_RUN);
  });

  it('leave the database of a relay to the engines of its store, and to the tables that nodes share', () => {
    const sql = /\b(SELECT|INSERT INTO|DELETE FROM|CREATE TABLE|PRAGMA|LISTEN|NOTIFY)\b/;
    const wrong = sources(join(src, 'relay'))
      .map((file) => relative(src, file))
      .filter((file) => sql.test(withoutComments(readFileSync(join(src, file), 'utf8'))))
      .filter((file) => !/^relay\/(store|postgres)\//.test(file));
    expect(wrong).toEqual([]);
  });

  it('measure durations with a monotonic clock', () => {
    const reported = sources(src)
      .filter((file) => !['cli', 'certificates'].includes(moduleOf(file)))
      .filter((file) => withoutComments(readFileSync(file, 'utf8')).includes('Date.now()'))
      .map((file) => relative(src, file));
    expect(reported.filter((file) => !TIME_OF_DAY.includes(file))).toEqual([]);
  });
});

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
}
