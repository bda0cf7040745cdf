import { PortalError, systemCode } from '../../lib/errors.js';

/** SQLite as the store uses it: of Node, or else of the package libsql. The files are the same. */
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
  return nodeSqlite() ?? (await libsql());
}

interface NodeSqlite {
  readonly DatabaseSync: new (
    file: string,
  ) => Omit<Database, 'inTransaction'> & { readonly isTransaction?: boolean };
}

/** The SQLite of Node 22.13 and later; undefined before. */
export function nodeSqlite(): OpenDatabase | undefined {
  const sqlite = withoutWarning(() => process.getBuiltinModule('node:sqlite') as NodeSqlite | undefined);
  if (!sqlite) return undefined;
  return (file) => {
    const db = new sqlite.DatabaseSync(file);
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

export async function libsql(): Promise<OpenDatabase> {
  const { default: Libsql } = await import('libsql').catch((error: unknown) => {
    throw missing(error);
  });
  return (file) => {
    const db = new Libsql(file);
    return {
      exec: (sql) => void db.exec(sql),
      prepare: (sql) => db.prepare<Value[]>(sql),
      inTransaction: () => db.inTransaction,
      close: () => void db.close(),
    };
  };
}

function missing(cause: unknown): PortalError {
  const isAbsent = systemCode(cause) === 'ERR_MODULE_NOT_FOUND';
  const why = isAbsent ? '' : `, and libsql cannot be loaded: ${(cause as Error).message}`;
  return new PortalError(
    'sqlite_missing',
    `Node ${process.versions.node} has no SQLite for storing names${why}`,
    { cause },
  );
}
