import type { FolderServer } from '../../agent/folders/server.js';
import { targetsOf, withTargets } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import type { Target } from '../../net/target/target.js';

/** Owns the servers of folders that are targets. */
export class Folders {
  /** By the folder's path. */
  readonly #servers = new Map<string, FolderServer>();

  /** Starts a server for each new folder. */
  async prepare(desired: Desired): Promise<void> {
    for (const folder of foldersOf(desired)) {
      if (this.#servers.has(folder)) continue;
      const { FolderServer: Server } = await import('../../agent/folders/server.js');
      this.#servers.set(folder, await Server.start(folder));
    }
  }

  /** `desired` with the ports of the servers. A folder that is not prepared keeps port 0. */
  placed(desired: Desired): Desired {
    if (this.#servers.size === 0) return desired;
    const place = (target: Target): Target => {
      const server = target.kind === 'tcp' && target.folder !== undefined && this.#servers.get(target.folder);
      return server ? { ...target, port: server.port } : target;
    };
    return { ...desired, services: desired.services.map((spec) => withTargets(spec, place)) };
  }

  /** Closes the servers of other folders. */
  async release(desired: Desired): Promise<void> {
    const wanted = foldersOf(desired);
    for (const [folder, server] of this.#servers) {
      if (wanted.has(folder)) continue;
      this.#servers.delete(folder);
      await server.close();
    }
  }
}

function foldersOf({ services }: Desired): Set<string> {
  const targets = services.flatMap(targetsOf);
  return new Set(targets.flatMap((target) => (target.kind === 'tcp' && target.folder) || []));
}
