import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** Which rooms a room may import from, besides itself (docs/explanation/architecture.md draws it). */
const MAY_IMPORT: Record<string, readonly string[]> = {
  cli: ['config', 'reconcile', 'agent', 'relay', 'certificates', 'protocol', 'identity', 'net', 'lib'],
  reconcile: ['config', 'agent', 'certificates', 'identity', 'net', 'lib'],
  config: ['agent', 'certificates', 'net', 'lib'],
  agent: ['certificates', 'protocol', 'identity', 'net', 'lib'],
  relay: ['certificates', 'protocol', 'identity', 'net', 'lib'],
  certificates: ['net', 'lib'],
  protocol: ['identity', 'lib'],
  identity: ['lib'],
  net: ['lib'],
  lib: [],
};

/** Only the command line prints, exits, or looks at the process it runs in. */
const PROCESS_WIDE = /\bprocess\.(exit|stdout|stderr|argv|env|on|once)\b|\bconsole\.\w/;

/**
 * Who needs the time of day: what is written down, sent, or told to people. Everywhere else a duration is meant, and a
 * clock that somebody sets must not end a session or an idle connection: `performance.now()`.
 */
const TIME_OF_DAY: readonly string[] = [
  'agent/access/pin.ts',
  'agent/inspect/exchange.ts',
  'agent/inspect/history/files.ts',
  'agent/inspect/history/history.ts',
  'agent/inspect/messages.ts',
  'lib/shared-file.ts',
  'reconcile/expiry.ts',
  'relay/agents/agents.ts',
  'relay/agents/api.ts',
  'relay/agents/view.ts',
  'relay/leases.ts',
  'relay/peers.ts',
  'relay/ports.ts',
  'relay/relay.ts',
  'relay/reservations.ts',
];

/**
 * What opens connections: all but targets and the command line's own control socket go by `net/dial.ts`, because a name
 * may have several addresses, of which one refuses or is silent, and TLS on a socket that still connects ends the process.
 */
const CONNECTS =
  /import \{[^}]*\b(?:connect|createConnection)\b[^}]*\} from 'node:(?:net|tls)'|\b(?:net|tls)\.(?:connect|createConnection)\(/;
const MAY_CONNECT: readonly string[] = [
  'agent/upstream.ts',
  'cli/control/claim.ts',
  'net/dial.ts',
  'net/target-dial.ts',
];

const src = fileURLToPath(new URL('../src', import.meta.url));

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

const room = (path: string): string => relative(src, path).split('/')[0]!;

const imports: Import[] = sources(src).flatMap((file) =>
  [...readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(([, path]) => ({
    from: room(file),
    to: room(resolve(dirname(file), path!)),
    file: relative(src, file),
  })),
);

describe('the rooms of the house', () => {
  it('are all known, and imports were found', () => {
    expect(new Set(sources(src).map(room))).toEqual(new Set(Object.keys(MAY_IMPORT)));
    expect(imports.length).toBeGreaterThan(100);
  });

  it('import one way only', () => {
    const wrong = imports.filter(({ from, to }) => from !== to && !MAY_IMPORT[from]!.includes(to));
    expect(wrong).toEqual([]);
  });

  it('leave printing, exiting and the process itself to the command line', () => {
    const wrong = sources(src).filter(
      (file) => room(file) !== 'cli' && PROCESS_WIDE.test(withoutComments(readFileSync(file, 'utf8'))),
    );
    expect(wrong.map((file) => relative(src, file))).toEqual([]);
  });

  it('dial in one place', () => {
    const dialling = sources(src)
      .filter((file) => CONNECTS.test(withoutComments(readFileSync(file, 'utf8'))))
      .map((file) => relative(src, file));
    expect(dialling.toSorted()).toEqual(MAY_CONNECT);
  });

  it('measure how long something takes by a clock that nobody sets', () => {
    const told = sources(src)
      .filter((file) => !['cli', 'certificates'].includes(room(file)))
      .filter((file) => withoutComments(readFileSync(file, 'utf8')).includes('Date.now()'))
      .map((file) => relative(src, file));
    expect(told.filter((file) => !TIME_OF_DAY.includes(file))).toEqual([]);
  });
});

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
}
