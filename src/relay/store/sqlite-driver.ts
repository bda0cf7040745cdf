import { PortalError, systemCode } from '../../lib/errors.js';

/** SQLite as the store uses it: of Node, or else of the package @photostructure/sqlite, which has the API of Node's. The files are the same. */
export interface Database {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  /** Whether a transaction is open. */
  inTransaction(): boolean;
  close(): void;
}

interface Statement {
  get(...values: readonly Value[]): unknown;
  all(...values: readonly Value[]): unknown[];
  run(...values: readonly Value[]): { readonly changes: number | bigint };
}

type Value = string | number;

/** Opens a file, with one of the two. */
export type OpenDatabase = (file: string) => Database;

/** The SQLite of this process. Throws `sqlite_missing` if there is no SQLite. */
export async function findSqlite(): Promise<OpenDatabase> {
  return nodeSqlite() ?? (await sqlitePackage());
}

interface NodeSqlite {
  readonly DatabaseSync: new (
    file: string,
  ) => Omit<Database, 'inTransaction'> & { readonly isTransaction?: boolean };
}

/** The SQLite of Node 22.13 and later; undefined before. */
export function nodeSqlite(): OpenDatabase | undefined {
  const sqlite = withoutWarning(() => process.getBuiltinModule('node:sqlite') as NodeSqlite | undefined);
  return sqlite && openWith(sqlite);
}

/** The same of a package, for an older Node. Throws `sqlite_missing` without it. */
export async function sqlitePackage(): Promise<OpenDatabase> {
  const sqlite = await import('@photostructure/sqlite').catch((error: unknown) => {
    throw missing(error);
  });
  return openWith(sqlite);
}

function openWith({ DatabaseSync }: NodeSqlite): OpenDatabase {
  return (file) => {
    const db = new DatabaseSync(file);
    return {
      exec: (sql) => db.exec(sql),
      prepare: (sql) => db.prepare(sql),
      // Node reports it from 22.16 on. Before, a ROLLBACK shows it.
      inTransaction: () => db.isTransaction ?? true,
      close: () => db.close(),
    };
  };
}

/** Without it, Node's warning about an experimental module would be the first line of a relay's log. */
function withoutWarning<T>(load: () => T): T {
  const warn = Object.getOwnPropertyDescriptor(process, 'emitWarning')!;
  process.emitWarning = () => undefined;
  try {
    return load();
  } finally {
    Object.defineProperty(process, 'emitWarning', warn);
  }
}

function missing(cause: unknown): PortalError {
  const isAbsent = systemCode(cause) === 'ERR_MODULE_NOT_FOUND';
  const why = isAbsent ? '' : `, and @photostructure/sqlite cannot be loaded: ${(cause as Error).message}`;
  return new PortalError(
    'sqlite_missing',
    `Node ${process.versions.node} has no SQLite for storing names${why}`,
    { cause },
  );
}
