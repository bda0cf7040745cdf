import { Recorders } from '../../agent/inspect/recorder.js';
import type { InspectorOptions, InspectorServer } from '../../agent/inspect/server.js';
import type { Identity } from '../../identity/identity.js';
import { asPortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { within } from '../../lib/wait.js';
import type { Desired } from '../../config/desired.js';
import type { PortalEvent } from '../events.js';
import { portInUse, type PortHolder } from '../notices.js';

export interface InspectorSettings {
  /** Folder of the built page. Default: there is no page. */
  readonly webDir?: string;
  /** Port of the page. If it is in use, any free port. */
  readonly port: number;
  /** Folder of the history (lib/paths). Default: requests are kept in memory only. */
  readonly historyDir?: string;
}

export interface InspectionOptions extends InspectorSettings {
  readonly identity: Identity;
  /** Path of portal.yaml; null without one. */
  readonly file: string | null;
  readonly snapshot: InspectorOptions['snapshot'];
  readonly emit: (event: PortalEvent) => void;
  readonly portHolder?: PortHolder | undefined;
  /** Called when requests are not kept across runs, or there is no page, although the configuration asks for it. */
  readonly warn: (message: string) => void;
  readonly log: Logger;
}

/** Timeout for opening the history. A slow disk must not delay services. */
const OPEN_MS = 2_000;

/** Owns the recorded requests and the page that shows them. The page exists while a service is inspected. */
export class Inspection {
  readonly recorders = new Recorders();
  readonly #options: InspectionOptions;
  #server: InspectorServer | undefined;
  #isWanted = false;
  #changing = Promise.resolve();

  constructor(options: InspectionOptions) {
    this.#options = options;
  }

  /** URL of the page, while it exists. */
  get url(): string | undefined {
    return this.#server?.url;
  }

  /** Starts or stops the page, depending on whether `desired` inspects a service. Resolves once requests can be recorded. */
  async follow({ services }: Pick<Desired, 'services'>): Promise<void> {
    const inspected = services.flatMap(({ inspect }) => (inspect ? [inspect] : []));
    this.#isWanted = inspected.length > 0;
    const kept = inspected.flatMap(({ history }) =>
      history === false ? [] : [history?.maxAgeMs ?? Infinity],
    );
    this.#changing = this.#changing.then(() => this.#adapt(kept.length > 0 ? Math.min(...kept) : undefined));
    await within(this.#changing, OPEN_MS, 'opening the request history').catch(() => undefined);
  }

  /** Leases or relays have changed. */
  changed(): void {
    this.#server?.changed();
  }

  async close(): Promise<void> {
    void this.follow({ services: [] });
    await this.#changing;
  }

  /** @param maxAgeMs the longest retention of requests; undefined if no service is inspected */
  async #adapt(maxAgeMs: number | undefined): Promise<void> {
    if (maxAgeMs === undefined) await this.recorders.endHistory();
    else await this.#keep(maxAgeMs);
    if (this.#isWanted) return this.#serve();
    await this.#server?.close();
    this.#server = undefined;
    this.recorders.store.clear();
  }

  async #keep(maxAgeMs: number): Promise<void> {
    const { historyDir: folder, identity, file: source, warn, log } = this.#options;
    if (folder === undefined) return;
    try {
      const { RequestHistory } = await import('../../agent/inspect/history/history.js');
      this.recorders.history ??= await RequestHistory.open({ folder, identity, source, warn, log });
      this.recorders.history.maxAgeMs = maxAgeMs;
    } catch (error) {
      warn(`requests are kept in memory only, not across runs: ${asPortalError(error).message}`);
    }
  }

  async #serve(): Promise<void> {
    const { emit, warn, log, webDir, port, snapshot, portHolder } = this.#options;
    if (this.#server || webDir === undefined) return;
    try {
      // Loaded on demand: only the inspector needs its WebSocket server.
      const { startInspector } = await import('../../agent/inspect/server.js');
      this.#server = await startInspector({ webDir, port, snapshot, recorders: this.recorders, log });
    } catch (error) {
      // Services do not depend on the inspector.
      warn(`the inspector cannot start: ${asPortalError(error).message}`);
      return;
    }
    const { url, askedPort } = this.#server;
    if (askedPort !== undefined) {
      const given = Number(new URL(url).port);
      const holder = await portHolder?.(askedPort).catch(() => undefined);
      emit({
        event: 'notice',
        ...portInUse({ askedPort, port: given, holder }, (inUse) => `${inUse}; the inspector uses ${given}`),
      });
    }
    emit({ event: 'inspector', url, ...(askedPort !== undefined && { askedPort }) });
  }
}
