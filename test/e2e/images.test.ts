import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { programFor } from '../support/debian.js';
import { Builder, containerEnv, within, type Image } from '../support/dockerfile.js';
import { temporaryFolder } from '../support/folder.js';

/** Builds and runs the images of deploy/Dockerfile without Docker: each stage is a folder. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const DRIVER = fileURLToPath(new URL('../support/run-image.mjs', import.meta.url));
const isRoot = process.getuid?.() === 0;
/** Plays the image's user `node`. */
const UID = 12345;
const BOUND_MS = 60_000;

/** Only the loopback, so that the fixed ports of an image are free. Everything except the volume is read-only. */
const CONTAINER = `ip link set lo up && mount --make-rprivate / || exit 90
  until [ "$1" = -- ]; do mount --bind "$1" "$1" || exit 90; shift; done; shift
  mount -o remount,bind,ro / || exit 90
  exec "$@"`;

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

it('builds images that start, become healthy, and stop', { timeout: 600_000 }, async (context) => {
  const folder = await temporaryFolder();
  await chmod(folder, 0o755);
  const dockerfile = await readFile(join(ROOT, 'deploy/Dockerfile'), 'utf8');
  const path = `${await nodeOf(dockerfile, folder)}:${process.env['PATH']}`;
  const builder = new Builder({
    dockerfile,
    ignore: await readFile(join(ROOT, 'deploy/Dockerfile.dockerignore'), 'utf8'),
    context: ROOT,
    folder,
    env: { ...buildEnv(), PATH: path },
    ...(isRoot && { ids: { node: UID } }),
  });
  const agent = await builder.build('agent');
  const relay = await builder.build('relay');
  const modules = await readdir(join(agent.root, 'portal/node_modules')).catch(() => []);
  for (const name of ['typescript', 'vitest', 'playwright-core']) expect(modules).not.toContain(name);
  expect(await readdir(join(agent.root, 'portal'))).not.toContain('src');

  if (!isRoot) context.skip('only root can create a network for an image; the images were built');
  for (const name of ['unshare', 'ip'] as const) await programFor(context, name);
  const yaml = 'version: 1\nrelays: { embedded: { port: 0 } }\nservices: { web: 3000 }\n';
  await mkdir(join(agent.root, 'work'), { recursive: true });
  await writeFile(join(agent.root, 'work/portal.yaml'), yaml);
  for (const image of [agent, relay]) {
    const { check, exec, stopped } = await run(image, path);
    // Includes the program's output if it did not start.
    expect({ check: check.code, printed: check.code === 0 ? '' : stopped.output }).toEqual({
      check: 0,
      printed: '',
    });
    expect(exec).toMatchObject({ code: 0, output: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string });
    expect(stopped).toMatchObject({ code: 0 });
  }
});

/** Copies the Node of the base image into `folder`, because a user of the image cannot access this machine's. */
async function nodeOf(dockerfile: string, folder: string): Promise<string> {
  const major = /^ARG NODE_IMAGE=node:(\d+)/m.exec(dockerfile)![1]!;
  const ask = ['-y', '-p', `node@${major}`, 'node', '-p', 'process.execPath'];
  const { stdout } = await promisify(execFile)('npx', ask, {
    env: buildEnv(),
    cwd: folder,
    timeout: 240_000,
  });
  const bin = join(folder, '.node');
  await mkdir(bin);
  await copyFile(stdout.trim(), join(bin, 'node'), constants.COPYFILE_FICLONE);
  return bin;
}

/** As in a person's terminal, without the variables of vitest and npm. */
function buildEnv(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(
    ([key]) => !/^(npm_(package|lifecycle|config_local)|NODE_ENV|VITEST|PORTAL_|INIT_CWD)/.test(key),
  );
  return { ...Object.fromEntries(entries), npm_config_prefer_offline: 'true' };
}

async function run(image: Image, path: string): Promise<{ check: Ended; exec?: Ended; stopped: Ended }> {
  const job = {
    start: [...image.entrypoint, ...image.cmd].map((word) => within(image, word)),
    check: image.healthcheck.map((word) => within(image, word)),
    exec: ['portal', '--version'],
    cwd: join(image.root, image.workdir),
    env: { PATH: `${join(image.root, 'usr/local/bin')}:${path}`, ...containerEnv(image) },
    // Any user in group 0 works.
    uid: UID + 1,
    gid: 0,
    stopSignal: image.stopSignal,
    boundMs: BOUND_MS,
  };
  expect(image.user).toBe('node');
  const volumes = image.volumes.map((volume) => within(image, volume));
  const driver = [process.execPath, DRIVER, JSON.stringify(job)];
  const args = ['-n', '-m', 'sh', '-c', CONTAINER, 'sh', ...volumes, '--', ...driver];
  const { stdout } = await promisify(execFile)('unshare', args, { timeout: 2 * BOUND_MS });
  return JSON.parse(stdout) as { check: Ended; exec?: Ended; stopped: Ended };
}
