import { expect, test } from 'vitest';
import { trustCommands, type CommandLine, type Machine } from './commands.js';
import { commandText, runCommands } from './run-commands.js';

const CA = { file: '/home/me/ca.pem', thumbprint: 'AB12' };

function machine(platform: NodeJS.Platform, existing: readonly string[] = [], isRoot = false): Machine {
  return { platform, home: '/home/me', isRoot, exists: (path) => existing.includes(path) };
}

const installed = (on: Machine): string[] => trustCommands(on, CA).install.map(commandText);
const removed = (on: Machine): string[] => trustCommands(on, CA).uninstall.map(commandText);

test.each([
  ['Debian', '/usr/local/share/ca-certificates', 'sudo update-ca-certificates --fresh'],
  ['Fedora', '/etc/pki/ca-trust/source/anchors', 'sudo update-ca-trust'],
  ['Arch', '/etc/ca-certificates/trust-source/anchors', 'sudo update-ca-trust'],
])('%s', (_, folder, refresh) => {
  expect(installed(machine('linux', [folder]))).toEqual([
    `sudo cp /home/me/ca.pem ${folder}/portal-local-ca.crt`,
    refresh,
  ]);
  expect(removed(machine('linux', [folder]))).toEqual([`sudo rm -f ${folder}/portal-local-ca.crt`, refresh]);
});

test('root needs no sudo, and Chrome’s own database is told too', () => {
  const on = machine('linux', ['/usr/local/share/ca-certificates', '/home/me/.pki/nssdb'], true);
  expect(installed(on)).toEqual([
    'cp /home/me/ca.pem /usr/local/share/ca-certificates/portal-local-ca.crt',
    'update-ca-certificates --fresh',
    "certutil -d sql:/home/me/.pki/nssdb -A -t C,, -n 'Portal local CA' -i /home/me/ca.pem",
  ]);
});

test('a system that nobody knows gets an honest note', () => {
  const { install, notes } = trustCommands(machine('linux'), CA);
  expect(install).toEqual([]);
  expect(notes[0]).toContain('by hand');
});

test('macOS and Windows', () => {
  expect(installed(machine('darwin'))[0]).toMatch(/^security add-trusted-cert .* \/home\/me\/ca\.pem$/);
  expect(removed(machine('darwin')).at(-1)).toContain('AB12');
  expect(installed(machine('win32'))).toEqual(['certutil -user -addstore Root /home/me/ca.pem']);
  expect(removed(machine('win32'))).toEqual(['certutil -user -delstore Root AB12']);
});

test('commands run in order, announced, until one fails', async () => {
  const ran: string[] = [];
  const announced: string[] = [];
  const run = (command: CommandLine): Promise<number> => {
    ran.push(command[0]);
    return Promise.resolve(command[0] === 'b' ? 3 : 0);
  };
  await expect(
    runCommands([['a', 'x y'], ['b'], ['c']], (line) => announced.push(line), run),
  ).rejects.toMatchObject({ code: 'state_unwritable', message: '"b" failed with exit code 3' });
  expect(ran).toEqual(['a', 'b']);
  expect(announced).toEqual(["$ a 'x y'", '$ b']);
});

test('a program that is not there is named', async () => {
  await expect(runCommands([['portal-no-such-program']], () => undefined)).rejects.toThrow(
    'portal-no-such-program',
  );
});
