import type { LoadResult } from '../../config/load.js';
import type { Permission } from '../../config/permissions/permissions.js';
import { confine } from '../../lib/confined.js';
import type { Gate } from '../admission.js';
import { ConfigInvalid } from '../config-invalid.js';
import type { Loaded } from '../load.js';
import type { Surroundings } from '../surroundings.js';
import { AllowStore } from './store.js';

/** Whether the environment allows everything. */
export const allowsEverything = (env: NodeJS.ProcessEnv): boolean => env['PORTAL_ALLOW'] === '1';

/** Checks what files ask for against what their user allowed. */
export class Permits implements Gate<never> {
  readonly store: AllowStore;
  /** Everything is allowed, and paths are not limited. */
  readonly isOpen: boolean;

  /** @param all allow everything, as with `PORTAL_ALLOW=1` */
  constructor({ paths, env }: Surroundings, all = false) {
    this.store = new AllowStore(paths.allowedDir);
    this.isOpen = all || allowsEverything(env);
  }

  /** The permissions of `loaded` that its user has not allowed. */
  async missing({ desired, permissions }: Loaded): Promise<Permission[]> {
    return this.isOpen ? [] : this.store.missing(desired.file, permissions);
  }

  /** Limits the paths of an allowed configuration to where they lead now. */
  hold({ confined }: Loaded): void {
    if (!this.isOpen) confine(confined);
  }

  /** Throws `config_not_allowed`, with the place of each setting that needs a permission. */
  async ask(loaded: Loaded): Promise<undefined> {
    const missing = await this.missing(loaded);
    if (missing.length > 0)
      throw new ConfigInvalid(
        loaded.refuse(missing),
        `${loaded.file} asks for more than you allowed`,
        'config_not_allowed',
      );
    this.hold(loaded);
  }

  /** Returns a later save unchanged, or rejected if it asks for more than is allowed. */
  async admit(result: LoadResult): Promise<LoadResult> {
    if (!result.ok) return result;
    const missing = await this.missing(result);
    if (missing.length > 0)
      return { ok: false, problems: result.refuse(missing), file: result.file, inputs: result.inputs };
    this.hold(result);
    return result;
  }

  /** Files that may contain more permissions after a change. */
  async inputs({ desired }: Loaded): Promise<string[]> {
    return this.isOpen || desired.file === undefined ? [] : [await this.store.recordFile(desired.file)];
  }
}
