import { X509Certificate } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openLocalCa } from '../../dist/modules/certificates/local-ca.js';
import { loadIdentity } from '../../dist/modules/identity/file.js';
import { AgentProcess } from '../actors.mjs';
import { clockEnv } from '../lib/clock.mjs';
import { Program } from '../lib/program.mjs';
import { configOf } from './shape.mjs';

/** The agents of the cluster world, each on its machine with its local services. */

const SERVICES = fileURLToPath(new URL('../children/services.mjs', import.meta.url));

export class Agents {
  /** The URL of the relay, and the file of its CA. */
  relay;
  #shape;
  #on;
  /** By name: {agent, ports of its local services, identity (address), ca (PEM), fingerprint (of the CA)}. */
  #agents = new Map();

  constructor(shape, on) {
    this.#shape = shape;
    this.#on = on;
  }

  get(name) {
    return this.#agents.get(name)?.agent;
  }

  all() {
    return [...this.#agents.values()].map(({ agent }) => agent);
  }

  /** The CAs of all agents. */
  get cas() {
    return [...this.#agents.values()].map(({ ca }) => ca);
  }

  /** Identity of each agent, by name. */
  get identities() {
    return new Map([...this.#agents].map(([name, { identity }]) => [name, identity]));
  }

  /** The agent that the CA with this fingerprint belongs to. */
  withCa(fingerprint) {
    return [...this.#agents].find(([, own]) => own.fingerprint === fingerprint)?.[0];
  }

  /** Prepares an agent with its services. Replicas after the first have its identity. */
  async open(name, machine) {
    const services = new Program(
      `the services of ${name}`,
      machine.within(process.execPath, SERVICES, name),
      {
        keep: join(machine.folder, 'services.log'),
      },
    );
    const { ports } = await services.next((line) => line.ports, 10_000, 'ports');
    const identityFile = machine.path('disk', 'identity.json');
    const [first] = this.#shape.replicas;
    if (this.#shape.replicas.includes(name) && name !== first)
      cpSync(this.get(first).machine.path('disk', 'identity.json'), identityFile);
    const { address: identity } = await loadIdentity(identityFile, { create: true });
    const { certificateFile } = await openLocalCa(machine.path('disk', 'ca'));
    const ca = readFileSync(certificateFile, 'utf8');
    const own = this.#shape.servicesOf(name);
    const env = clockEnv(join(machine.folder, 'clock'));
    const agent = new AgentProcess(machine, env, this.#on, own.length, { mayMove: true });
    const { fingerprint256: fingerprint } = new X509Certificate(ca);
    this.#agents.set(name, { agent, ports, identity, ca, fingerprint });
    this.configure(name, own);
  }

  /** Writes the services of an agent, which it follows. */
  configure(name, services) {
    const { agent, ports } = this.#agents.get(name);
    const content = { version: 1, relays: { urls: [this.relay] }, services: configOf(services, ports) };
    // JSON is YAML.
    writeFileSync(join(agent.machine.folder, 'portal.yaml'), JSON.stringify(content, undefined, 2));
  }
}
