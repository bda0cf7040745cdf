import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { settingsIn } from './support/environment.js';

const ELSEWHERE = fileURLToPath(new URL('../scripts/elsewhere.mjs', import.meta.url));

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function elsewhere(script: string): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [ELSEWHERE, process.execPath, '-e', script], (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

it('tests inherit no settings of Portal, Node or proxies', () => {
  expect(settingsIn(process.env)).toEqual(['PORTAL_ALLOW']);
  const set = {
    HTTPS_PROXY: 'x',
    no_proxy: 'x',
    PORTAL_HOME: 'x',
    NODE_OPTIONS: '--x',
    XDG_RUNTIME_DIR: 'x',
  };
  expect(settingsIn({ ...set, HOME: 'x', TZ: 'x', PORTAL_TEST_LOG: 'x' })).toEqual(Object.keys(set));
});

describe('npm run elsewhere', () => {
  it('has a different home, language, time zone and umask, and leaves nothing behind', async () => {
    const { code, stdout } = await elsewhere(`console.log(JSON.stringify({
      home: process.env.HOME, temporary: os.tmpdir(), zone: new Date().getTimezoneOffset(), proxy: process.env.HTTPS_PROXY,
      language: Intl.DateTimeFormat().resolvedOptions().locale, umask: process.umask(), folder: process.cwd() }))`);
    expect(code).toBe(0);
    const seen = JSON.parse(stdout) as Record<'home' | 'temporary' | 'folder', string>;
    expect(seen).toMatchObject({ zone: -330, umask: 0o002, language: 'de-DE', proxy: 'http://127.0.0.1:9' });
    expect(seen.home).toContain(' ');
    expect(existsSync(join(seen.home, '..'))).toBe(false);
  });

  it('exits as the command does', async () => {
    expect(await elsewhere('process.exit(7)')).toMatchObject({ code: 7 });
  });
});
