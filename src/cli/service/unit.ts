import type { ServiceSpec } from './spec.js';

/** The first line of every unit that Portal writes. */
const MARK = '# Written by `portal service install`, and removed by `portal service uninstall`.';
const FILE_LINE = '# Configuration: ';

/** A unit for systemd's user manager (systemd.service(5)). */
export function unitText({ file, command, folder, env }: ServiceSpec): string {
  const [node, ...args] = command;
  return [
    MARK,
    `${FILE_LINE}${file}`,
    '',
    '[Unit]',
    `Description=Portal (${specifiers(file)})`,
    // Retry without limit: the network may be unavailable for hours.
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=exec',
    // systemd expands dollar signs in arguments, but not in the program's path.
    `ExecStart=${[quoted(node), ...args.map((word) => quoted(word).replaceAll('$', '$$$$'))].join(' ')}`,
    `WorkingDirectory=${specifiers(folder)}`,
    ...Object.entries(env).map(([key, value]) => `Environment=${quoted(`${key}=${value}`)}`),
    // After `portal down`, which exits 0, do not restart.
    'Restart=on-failure',
    'RestartSec=5',
    // Longer than the drain of ten seconds.
    'TimeoutStopSec=30',
    '',
    '[Install]',
    'WantedBy=default.target',
    '',
  ].join('\n');
}

/** The configuration of a unit; undefined for a file that Portal did not write. */
export function fileOfUnit(text: string): string | undefined {
  const [mark, line] = text.split('\n');
  return mark === MARK && line?.startsWith(FILE_LINE) ? line.slice(FILE_LINE.length) : undefined;
}

/** The paths of Node and of Portal in a unit. */
export function programsOfUnit(text: string): string[] {
  const words = /^ExecStart=(.*)$/m.exec(text)?.[1]?.matchAll(/"((?:[^"\\]|\\.)*)"/g) ?? [];
  return [...words].slice(0, 2).map(([, word], index) => {
    const path = word!.replaceAll(/\\(.)/g, '$1').replaceAll('%%', '%');
    return index === 0 ? path : path.replaceAll('$$', '$');
  });
}

/** One word in double quotes. */
function quoted(word: string): string {
  return `"${specifiers(word.replaceAll(/["\\]/g, '\\$&'))}"`;
}

const specifiers = (text: string): string => text.replaceAll('%', '%%');
