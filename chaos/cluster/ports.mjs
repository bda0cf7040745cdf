import { portLaneOf } from './shape.mjs';

/**
 * The public ports that agents have: their lanes follow the leases, because another node gives out another port. A lane is open
 * from the moment a lease is `ready` until the agent says something else of it.
 */
export class PortLanes {
  #on;
  #nodeAt;
  /** By agent and service. */
  #open = new Map();

  /** `nodeAt` is the name of the node with an address. `open` and `shut` get each lane that begins and ends. */
  constructor({ nodeAt, open, shut }) {
    this.#nodeAt = nodeAt;
    this.#on = { open, shut };
  }

  /** A line of an agent about a lease of the name `name`. */
  lease(agent, name, { service, phase, tcpAddr, udpAddr }) {
    const key = `${agent} ${service}`;
    const address = phase === 'ready' ? (tcpAddr ?? udpAddr) : undefined;
    const former = this.#open.get(key);
    if (former?.address === address) return;
    if (former) this.#on.shut(former.lane);
    this.#open.delete(key);
    if (address === undefined) return;
    const [host, port] = address.split(':');
    const kind = tcpAddr === undefined ? 'udp' : 'tcp';
    const lane = portLaneOf({ name, agent, at: this.#nodeAt(host), kind, port: Number(port) });
    this.#open.set(key, { address, lane: { ...lane, address: host, port: Number(port) } });
    this.#on.open(this.#open.get(key).lane);
  }

  all() {
    return [...this.#open.values()].map(({ lane }) => lane);
  }

  /** The lane of a service now; undefined while it has no port. */
  laneOf(agent, service) {
    return this.#open.get(`${agent} ${service}`)?.lane;
  }
}
