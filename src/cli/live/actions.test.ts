import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { copy, isShareable, openUrl } from './actions.js';

const ESCAPE = '\u001B';
const URL_52 = `${ESCAPE}]52;c;${Buffer.from('https://a').toString('base64')}\u0007`;

async function copied(env: NodeJS.ProcessEnv): Promise<[string, string]> {
  let written = '';
  const how = await copy('https://a', { write: (text) => (written += text) }, env);
  return [how, written];
}

describe('copying', () => {
  it('is reported as certain only on terminals that are known to support it', async () => {
    expect(await copied({ TERM: 'xterm-kitty' })).toEqual(['terminal', URL_52]);
    expect(await copied({ TERM: 'xterm-256color', TERM_PROGRAM: 'vscode' })).toEqual(['terminal', URL_52]);
    expect(await copied({ TERM: 'xterm-256color' })).toEqual(['asked', URL_52]);
  });

  it('passes through a tmux on another machine', async () => {
    const [how, written] = await copied({ TERM: 'tmux-256color' });
    expect([how, written]).toEqual(['asked', `${ESCAPE}Ptmux;${ESCAPE}${URL_52}${ESCAPE}\\`]);
  });
});

async function opened(status: number): Promise<string> {
  const child = spawn(process.execPath, ['-e', `process.exit(${status})`], { stdio: 'ignore' });
  let outcome = 'opened';
  const ended = once(child, 'exit');
  await openUrl(
    'https://a',
    () => (outcome = 'failed'),
    async () => child,
  );
  await ended;
  return outcome;
}

describe('opening a URL', () => {
  it('reports a program that fails after its start', async () => {
    expect(await opened(3)).toBe('failed');
    expect(await opened(0)).toBe('opened');
  });

  it('reports a program that does not start', async () => {
    let failures = 0;
    await openUrl(
      'https://a',
      () => failures++,
      async () => Promise.reject(new Error('ENOENT')),
    );
    expect(failures).toBe(1);
  });
});

it.each([
  ['https://web.localhost:8443', false],
  ['localhost:7000', false],
  ['127.0.0.1:7000', false],
  ['https://[::1]:8443', false],
  ['https://web.example.com', true],
  ['relay.example.com:7000', true],
])('knows whether another device can open %s', (address, opens) => {
  expect(isShareable(address)).toBe(opens);
});
