import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/support/folder.js';
import { loadConfig } from '../load.js';

const NGROK = 'version: 3\nendpoints: [{ name: web }]\n';

it.each([
  ['portal.yaml', NGROK, 'mv portal.yaml ngrok.yml && portal init --from ngrok.yml'],
  ['portal.yml', NGROK, 'mv portal.yml ngrok.yml && portal init --from ngrok.yml'],
  ['portal.yaml', 'serverAddr = "x"\n', 'mv portal.yaml frpc.toml && portal init --from frpc.toml'],
  ['portal.yaml', 'serverAddr: x\nproxies: []\n', 'mv portal.yaml frpc.yaml && portal init --from frpc.yaml'],
  [
    'portal.yaml',
    'tunnel: abc\ningress: []\n',
    'mv portal.yaml cloudflared.yml && portal init --from cloudflared.yml',
  ],
  [
    'portal.yaml',
    'services: { web: { image: nginx } }\n',
    'mv portal.yaml docker.yaml && portal init --from docker.yaml',
  ],
])('a configuration of another program in %s is renamed before it is converted', async (name, text, run) => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, name), text);
  const result = await loadConfig({ cwd: folder, env: {} });
  expect(result.ok ? [] : result.problems.map(({ hint }) => hint)).toEqual([
    `Rename it, then convert it to a portal.yaml: ${run}`,
  ]);
  await mkdir(join(folder, 'below'));
  const below = await loadConfig({ cwd: join(folder, 'below'), env: {} });
  expect(below.ok ? [] : below.problems.map(({ hint }) => hint)).toEqual([
    `Rename it, then convert it to a portal.yaml: cd .. && ${run}`,
  ]);
});

it('a configuration of another program under its own name is converted as it is', async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'my ngrok.yml'), NGROK);
  const result = await loadConfig({ cwd: folder, env: {}, file: 'my ngrok.yml' });
  expect(result.ok ? [] : result.problems.map(({ hint }) => hint)).toEqual([
    "Convert it to a portal.yaml: portal init --from 'my ngrok.yml'",
  ]);
  const piped = await loadConfig({ file: '-', cwd: '/nowhere', env: {}, stdin: async () => NGROK });
  expect(piped.ok ? [] : piped.problems.map(({ hint }) => hint)).toEqual([
    'Write it to ngrok.yml, then convert it to a portal.yaml: portal init --from ngrok.yml',
  ]);
});
