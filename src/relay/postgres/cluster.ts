import { randomBytes } from 'node:crypto';
import type { CertificateFiles } from '../../certificates/acme/files.js';
import type { Identity } from '../../identity/identity.js';
import type { Logger } from '../../lib/logger.js';
import { PostgresDirectory } from '../directory/postgres.js';
import type { LeaseDirectory } from '../directory/directory.js';
import { PostgresStore } from '../store/postgres.js';
import type { ClusterCounts, SharedDenials } from '../nodes/nodes.js';
import type { Store } from '../store/store.js';
import { PostgresCertificateFiles } from './certificate-files.js';
import { Changes, type Follower } from './changes.js';
import { Database, type DatabaseSettings } from './database.js';
import { PostgresDenials } from './denials.js';
import { Lifetime } from './lifetime.js';
import { Link, LINK, type LinkSettings } from './link.js';
import { OtherNodes } from './other-nodes.js';
import { prepareDatabase, unavailable, type RelayOfDatabase } from './schema.js';

export interface PostgresClusterOptions {
  /** `postgres://…`. May contain a password: it must not reach a log. */
  readonly url: string;
  readonly relay: RelayOfDatabase;
  /** Where other nodes reach this one: HOST:PORT. */
  readonly nodeAddress: string;
  /** How long visitors wait for the agents of a lost node. */
  readonly graceMs: number;
  /** Default: a random name. A node that expired must not use its name again. */
  readonly node?: string;
  readonly settings?: Partial<LinkSettings & DatabaseSettings>;
  /** When no other node could use the database, as far as known. Default: nobody knows, so this node gives up when its time ends. */
  readonly outageAt?: () => number | undefined;
  readonly log: Logger;
}

/** A node of a relay whose nodes share a PostgreSQL database. */
export interface PostgresCluster {
  /** The name of this node. */
  readonly node: string;
  /** The relay closes both. The node then leaves, and its connections close. */
  readonly directory: LeaseDirectory;
  readonly store: Store;
  /** The relay's certificates, if a CA issues them, encrypted with a key that only its nodes have. */
  readonly filesOf: (identity: Identity) => CertificateFiles;
  /** The deny lists of all nodes. */
  readonly denials: SharedDenials;
  /** The other nodes that run now. */
  readonly others: Pick<OtherNodes, 'names' | 'addressOf' | 'onJoined' | 'onLeft'>;
  /** Whether this node hears of changes now. */
  readonly isConnected: () => boolean;
  /** Whether this node may still serve its leases. Ask before taking a visitor. */
  readonly isCurrent: () => boolean;
  /** Calls `listener` once, when this node must end its sessions, because other nodes may take over its leases. */
  onExpired(listener: () => void): void;
  /** Why leases cannot be opened now; undefined if they can. */
  readonly degraded: () => string | undefined;
  readonly counts: () => ClusterCounts;
  /** Closes the directory and the store. */
  close(): Promise<void>;
}

/**
 * Joins the relay of a database, and creates its tables if they are missing. Throws `cluster_unavailable` or `cluster_mismatch`.
 */
export async function joinCluster(options: PostgresClusterOptions): Promise<PostgresCluster> {
  const { url, relay, log, settings = {} } = options;
  const database = new Database({ url, log, settings });
  try {
    await prepareDatabase(database, relay);
    return await startNode(database, options);
  } catch (error) {
    await database.close();
    throw error;
  }
}

async function startNode(database: Database, options: PostgresClusterOptions): Promise<PostgresCluster> {
  const { log, graceMs, nodeAddress: address, outageAt } = options;
  const node = options.node ?? randomBytes(9).toString('base64url');
  const settings = { ...LINK, ...options.settings };
  const lifetime = new Lifetime({ ttlMs: settings.ttlMs, outageAt });
  const others = new OtherNodes({ node, ttlMs: settings.ttlMs, graceMs });
  const isOpen = { directory: true, store: true };
  const closed = async (what: keyof typeof isOpen): Promise<void> => {
    if (what === 'directory') {
      await link.close({ leave: lifetime.isCurrent() });
      lifetime.close();
      changes.close();
      denials.close();
    }
    // Only now: leaving needs the database.
    isOpen[what] = false;
    if (!isOpen.directory && !isOpen.store) await database.close();
  };
  const directory = new PostgresDirectory({
    node,
    database,
    lifetime,
    others,
    onClosed: () => closed('directory'),
  });
  const denials = new PostgresDenials({ database, address, log });
  const changes = new Changes(followedBy(directory, denials));
  const link = new Link({ database, changes, lifetime, others, node, address, settings });
  directory.use(link);
  try {
    await link.start();
  } catch (error) {
    lifetime.close();
    denials.close();
    throw unavailable(error);
  }
  others.onJoined((other) =>
    log.info({ other, address: others.addressOf(other) }, 'a node joined this relay'),
  );
  others.onLeft((other) => log.info({ other }, 'a node left this relay'));
  lifetime.onExpired(() => log.error({ node }, `${EXPIRED}: it gives up its leases`));
  const store = new PostgresStore(database, () => closed('store'));
  return {
    node,
    directory,
    store,
    filesOf: (identity) => new PostgresCertificateFiles(database, identity),
    denials,
    others,
    isConnected: () => link.live,
    isCurrent: () => lifetime.isCurrent(),
    onExpired: (listener) => lifetime.onExpired(listener),
    close: async () => void (await Promise.all([directory.close(), store.close()])),
    counts: () => ({ nodes: others.size + 1, leases: directory.size, lagMs: link.lagMs }),
    degraded: () => (lifetime.isCurrent() ? database.problem() : EXPIRED),
  };
}

function followedBy(directory: PostgresDirectory, denials: PostgresDenials): Follower {
  return {
    load: (reading) => {
      denials.load(reading.denials);
      directory.load(reading);
    },
    take: (change) => {
      if (change.type !== 'denials') return directory.take(change);
      denials.changed();
      return false;
    },
  };
}

const EXPIRED = 'this node could not renew itself in the database in time';
