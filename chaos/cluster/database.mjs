import { pause } from '../../bench/lib/wait.mjs';
import { PostgresServer } from './postgres.mjs';
import { AUDIT } from './audit.mjs';

/**
 * The database of the nodes: a primary, a standby that has every commit before the client hears of it, and their balancer,
 * which is the address that nodes know. Failing over is the job of an operator's tools. Here it is this class.
 */

const STREAMING_MS = 20_000;
const CHECK_MS = 100;

export class Database {
  #servers;
  #balancer;
  #primary;

  constructor(servers, balancer) {
    this.#servers = servers.map((machine) => new PostgresServer(machine));
    this.#balancer = balancer;
    [this.#primary] = this.#servers;
  }

  get primary() {
    return this.#primary;
  }

  get standby() {
    return this.#servers.find((server) => server !== this.#primary);
  }

  async open() {
    await this.#primary.create();
    await this.#primary.start();
    await this.addStandby();
    await this.#point();
  }

  /** Records every change of a lease, a node and a reservation. Call when the tables of the nodes exist. */
  async audit() {
    await this.#primary.sql(AUDIT);
  }

  sql(text, values) {
    return this.#primary.sql(text, values);
  }

  async addStandby() {
    await this.standby.copy(this.#primary);
    await this.standby.start();
    await this.#streaming();
    await this.#primary.waitForStandby(true);
  }

  /** Ends the server as if it had crashed or in order. Returns what starts it again. */
  async end(signal) {
    const server = this.#primary;
    await server.stop(signal);
    return async () => {
      await server.start();
      await this.#streaming();
    };
  }

  /** The primary exits, and the standby takes over. Returns what makes the former primary a standby. */
  async failOver(afterMs) {
    const former = this.#primary;
    await former.stop('SIGKILL');
    await pause(afterMs);
    this.#primary = this.standby;
    await this.#primary.promote();
    await this.#primary.waitForStandby(false);
    await this.#point();
    return () => this.addStandby();
  }

  /** Whether the standby has every commit. */
  async isProtected() {
    const rows = await this.sql(
      "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'",
    );
    return rows.length > 0;
  }

  async #streaming() {
    for (const end = Date.now() + STREAMING_MS; ; await pause(CHECK_MS)) {
      const rows = await this.sql("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'").catch(
        () => [],
      );
      if (rows.length > 0) return;
      if (Date.now() > end) throw new Error(`${this.standby.name} does not follow ${this.#primary.name}`);
    }
  }

  /** Sends the connections of the nodes to the primary only. */
  async #point() {
    const { standby } = this;
    await this.#balancer.command(`set server servers/${standby.name} state maint`);
    await this.#balancer.command(`shutdown sessions server servers/${standby.name}`);
    await this.#balancer.command(`set server servers/${this.#primary.name} state ready`);
  }
}
