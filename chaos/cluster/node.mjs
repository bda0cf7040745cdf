import { Actor, METRICS_PORT, RELAY_PORT } from '../actors.mjs';
import { PORTS } from './shape.mjs';

/** One node of the relay, as an operator runs it. */

const START_MS = 40_000;
const NODE_PORT = 7443;
export const DOMAIN = 'relay.test';

export class NodeProcess extends Actor {
  /** `on.onNode(name, {node?, msg, level})` gets what the node logs. */
  constructor(machine, env, on, { database, balancer, limits, drainMs }) {
    super(machine, { ...env, PORTAL_CLUSTER: database }, on);
    this.balancer = balancer;
    this.limits = limits;
    this.drainMs = drainMs;
  }

  get nodeAddress() {
    return `${this.machine.address}:${NODE_PORT}`;
  }

  get metricsUrl() {
    return `http://${this.machine.address}:${METRICS_PORT}/metrics`;
  }

  async launch() {
    const { address } = this.machine;
    const args = ['relay', '--json', '--domain', DOMAIN, '--listen', `${address}:${RELAY_PORT}`];
    const program = this.run(
      [
        ...args,
        '--public-port',
        '443',
        '--accept-proxy-protocol',
        this.balancer,
        '--node-address',
        this.nodeAddress,
        '--node-host',
        address,
        '--tcp-ports',
        PORTS.tcp,
        '--udp-ports',
        PORTS.udp,
        '--metrics',
        `${address}:${METRICS_PORT}`,
        '--drain',
        `${this.drainMs}ms`,
        ...Object.entries(this.limits).flatMap(([name, value]) => ['--limit', `${name}=${value}`]),
      ],
      undefined,
      (line) => this.#log(line),
    );
    await program.next((line) => line.event === 'listening', START_MS, 'address');
    this.ready = true;
  }

  #log(text) {
    try {
      const { level, msg, node, err } = JSON.parse(text);
      this.on.onNode(this.name, { level, msg, node, error: err?.message });
    } catch {
      // A warning of Node.
    }
  }
}
