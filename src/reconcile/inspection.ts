import { Recorders } from '../agent/inspect/recorder.js';
import type { InspectorOptions, InspectorServer } from '../agent/inspect/server.js';
import type { Identity } from '../identity/identity.js';
import { asPortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { within } from '../lib/wait.js';
import type { Desired } from '../config/desired.js';
import type { PortalEvent } from './events.js';

export interface InspectorSettings {
  /** Folder of the built page. */
  readonly webDir: string;
  /** Where the page is served; any free port if that is taken. */
  readonly port: number;
  /** Of the history (lib/paths); left out, requests are kept in memory alone. */
  readonly historyDir?: string;
}

export interface InspectionOptions extends InspectorSettings {
  readonly identity: Identity;
  /** Path of portal.yaml; null without one. */
  readonly file: string | null;
  readonly snapshot: InspectorOptions['snapshot'];
  readonly emit: (event: PortalEvent) => void;
  readonly log: Logger;
}

/** A disk that takes longer to answer does not keep services waiting. */
const OPEN_MS = 2_000;

/** Owns what is recorded, and the page that shows it: that is there while a service is inspected. */
export class Inspection {
  readonly recorders = new Recorders();
  readonly #options: InspectionOptions;
  #server: InspectorServer | undefined;
  #isWanted = false;
  #changing = Promise.resolve();

  constructor(options: InspectionOptions) {
    this.#options = options;
  }

  /** Where the page is, while there is one. */
  get url(): string | undefined {
    return this.#server?.url;
  }

  /** Starts or ends the page, by whether a service of `desired` is inspected. Resolves once requests can be kept. */
  async follow({ services }: Pick<Desired, 'services'>): Promise<void> {
    const inspected = services.flatMap(({ inspect }) => (inspect ? [inspect] : []));
    this.#isWanted = inspected.length > 0;
    const kept = inspected.flatMap(({ history }) =>
      history === false ? [] : [history?.maxAgeMs ?? Infinity],
    );
    this.#changing = this.#changing.then(() => this.#adapt(kept.length > 0 ? Math.min(...kept) : undefined));
    await within(this.#changing, OPEN_MS, 'opening the request history').catch(() => undefined);
  }

  /** Leases or relays are not as they were. */
  changed(): void {
    this.#server?.changed();
  }

  async close(): Promise<void> {
    void this.follow({ services: [] });
    await this.#changing;
  }

  /** @param maxAgeMs the longest that requests are kept; undefined: nothing is */
  async #adapt(maxAgeMs: number | undefined): Promise<void> {
    if (maxAgeMs === undefined) await this.recorders.endHistory();
    else await this.#keep(maxAgeMs);
    if (this.#isWanted) return this.#serve();
    await this.#server?.close();
    this.#server = undefined;
    this.recorders.store.clear();
  }

  async #keep(maxAgeMs: number): Promise<void> {
    const { historyDir: folder, identity, file: source, log } = this.#options;
    if (folder === undefined) return;
    try {
      const { RequestHistory } = await import('../agent/inspect/history/history.js');
      this.recorders.history ??= await RequestHistory.open({ folder, identity, source, log });
      this.recorders.history.maxAgeMs = maxAgeMs;
    } catch (error) {
      log.warn(
        { reason: asPortalError(error).message, folder },
        'requests cannot be kept across runs; they are kept in memory only',
      );
    }
  }

  async #serve(): Promise<void> {
    if (this.#server) return;
    const { emit, log, webDir, port, snapshot } = this.#options;
    try {
      // Its WebSocket server is for those who look.
      const { startInspector } = await import('../agent/inspect/server.js');
      this.#server = await startInspector({ webDir, port, snapshot, recorders: this.recorders, log });
    } catch (error) {
      // What is published goes on all the same.
      log.error({ err: asPortalError(error) }, 'the inspector could not be started');
      return;
    }
    const { url, askedPort } = this.#server;
    if (askedPort !== undefined) {
      const given = Number(new URL(url).port);
      const message = `port ${askedPort} is in use, the inspector uses ${given}`;
      emit({ event: 'notice', kind: 'port_in_use', message, askedPort, port: given });
    }
    emit({ event: 'inspector', url, ...(askedPort !== undefined && { askedPort }) });
  }
}
