import { readFile, readdir, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { printable } from '../text/style.js';

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];
const LISTENING = '0A';

/** The program that listens on `port`, such as `node (pid 12)` or `another Portal agent (pid 12)`. Linux shows this for the user's own programs; otherwise undefined. */
export async function portHolder(port: number): Promise<string | undefined> {
  const tables = await Promise.all(TABLES.map((file) => readFile(file, 'latin1').catch(() => '')));
  const sockets = new Set(tables.flatMap((table) => socketsAt(table, port)));
  if (sockets.size === 0) return undefined;
  const processes = await readdir('/proc').catch(() => []);
  for (const pid of processes.filter((name) => /^\d+$/.test(name)))
    if (await holds(pid, sockets)) return `${await nameOf(pid)} (pid ${pid})`;
  return undefined;
}

/** The sockets that listen on `port`, as /proc/PID/fd links to them. */
export function socketsAt(table: string, port: number): string[] {
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
    const isThere = state === LISTENING && parseInt(local.split(':')[1] ?? '', 16) === port;
    return isThere ? [`socket:[${inode}]`] : [];
  });
}

async function holds(pid: string, sockets: ReadonlySet<string>): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  // The system does not show other users' programs.
  const open = await readdir(folder).catch(() => []);
  const links = await Promise.all(open.map((fd) => readlink(`${folder}/${fd}`).catch(() => '')));
  return links.some((link) => sockets.has(link));
}

async function nameOf(pid: string): Promise<string> {
  const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return programName(words.split('\0'));
}

/** Only the name, because arguments may contain secrets. Portal's own programs are named by what they do. */
export function programName([first = '', ...rest]: readonly string[]): string {
  const program = basename(first);
  const args = isPortal(program)
    ? rest
    : program === 'node' && isPortal(basename(rest[0] ?? ''))
      ? rest.slice(1)
      : undefined;
  if (args)
    return args.find((word) => !word.startsWith('-')) === 'relay' ? 'a Portal relay' : 'another Portal agent';
  return printable(program) || 'a program';
}

const isPortal = (name: string): boolean => /^portal(?:\.js)?$/.test(name);
