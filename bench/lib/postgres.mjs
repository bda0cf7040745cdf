import { chmodSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Child, output } from './children.mjs';
import { until } from './wait.mjs';

const FOLDER = '/usr/lib/postgresql';
/** PostgreSQL does not run as root. */
const AS_NOBODY = ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups'];

/** Where the newest PostgreSQL of Debian is; undefined: it is not installed. */
export function postgresPrograms() {
  try {
    const [newest] = readdirSync(FOLDER).toSorted((one, other) => other - one);
    return newest && join(FOLDER, newest, 'bin');
  } catch {
    return undefined;
  }
}

/** Why PostgreSQL cannot be used here, or undefined. */
export const postgresMissing = () =>
  postgresPrograms() ? undefined : 'PostgreSQL is not installed (Debian: apt-get install postgresql)';

/** A server that survives a crash of the machine, as one in production. */
export async function startPostgres(world) {
  const folder = world.folder('postgres');
  chmodSync(folder, 0o777);
  // The folder of the run is private.
  chmodSync(join(folder, '..'), 0o711);
  const data = join(folder, 'data');
  const command = (name, args) => [
    ...(process.getuid() === 0 ? AS_NOBODY : []),
    join(postgresPrograms(), name),
    ...args,
  ];
  const [program, ...rest] = command('initdb', [
    '-D',
    data,
    '-U',
    'portal',
    '-A',
    'trust',
    '-E',
    'UTF8',
    '--no-locale',
  ]);
  await output(program, rest);
  const settings = ['listen_addresses=', `unix_socket_directories=${folder}`, 'max_connections=100'];
  const [server, ...args] = command('postgres', [
    '-D',
    data,
    ...settings.flatMap((setting) => ['-c', setting]),
  ]);
  const child = new Child('postgres', server, args, { cwd: '/' });
  const ready = join(postgresPrograms(), 'pg_isready');
  await until(
    () =>
      output(ready, ['-h', folder]).then(
        () => true,
        () => false,
      ),
    'PostgreSQL',
    { everyMs: 100, ms: 60_000 },
  );
  return {
    url: `postgres://portal@localhost/postgres?host=${encodeURIComponent(folder)}`,
    process: child,
    stop: () => child.stop(),
  };
}
