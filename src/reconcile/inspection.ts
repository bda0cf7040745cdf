import { Recorders } from '../agent/inspect/recorder.js';
import type { InspectorOptions, InspectorServer } from '../agent/inspect/server.js';
import { asPortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import type { Desired } from '../config/desired.js';
import type { PortalEvent } from './events.js';

export interface InspectorSettings {
  /** Folder of the built page. */
  readonly webDir: string;
  /** Where the page is served; any free port if that is taken. */
  readonly port: number;
}

export interface InspectionOptions extends InspectorSettings {
  readonly snapshot: InspectorOptions['snapshot'];
  readonly emit: (event: PortalEvent) => void;
  readonly log: Logger;
}

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

  /** Starts or ends the page, by whether a service of `desired` is inspected. */
  follow({ services }: Pick<Desired, 'services'>): void {
    const isWanted = services.some(({ inspect }) => inspect !== undefined);
    if (isWanted === this.#isWanted) return;
    this.#isWanted = isWanted;
    this.#changing = this.#changing.then(() => this.#adapt());
  }

  /** Leases or relays are not as they were. */
  changed(): void {
    this.#server?.changed();
  }

  async close(): Promise<void> {
    this.follow({ services: [] });
    await this.#changing;
  }

  async #adapt(): Promise<void> {
    if (!this.#isWanted) {
      await this.#server?.close();
      this.#server = undefined;
      this.recorders.store.clear();
      return;
    }
    if (this.#server) return;
    const { emit, log, ...settings } = this.#options;
    try {
      // Its WebSocket server is for those who look.
      const { startInspector } = await import('../agent/inspect/server.js');
      this.#server = await startInspector({ ...settings, recorders: this.recorders, log });
    } catch (error) {
      // What is published goes on all the same.
      log.error({ err: asPortalError(error) }, 'the inspector could not be started');
      return;
    }
    const { url, askedPort } = this.#server;
    emit({ event: 'inspector', url, ...(askedPort !== undefined && { askedPort }) });
  }
}
