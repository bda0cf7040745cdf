import { pause } from '../../bench/lib/wait.mjs';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Program } from '../lib/program.mjs';

/** HAProxy on a machine of its own, in layer 4. */

const UP_MS = 10_000;
const COMMAND_MS = 5_000;

export class Balancer {
  #program;
  #onEnd;

  /**
   * `servers` are HAProxy's: name, address and options. `onEnd` gets each connection once it ended: {ip, port (of the client),
   * server, state}.
   */
  constructor(machine, { port, options = [], servers, onEnd }) {
    this.machine = machine;
    this.#onEnd = onEnd;
    this.#write(port, options, servers);
  }

  get pid() {
    return this.#program.pid;
  }

  get #control() {
    return join(this.machine.folder, 'control');
  }

  async start() {
    const config = join(this.machine.folder, 'haproxy.cfg');
    this.#program = new Program(
      `the balancer ${this.machine.name}`,
      this.machine.within('haproxy', '-db', '-f', config),
      {
        keep: join(this.machine.folder, 'haproxy.log'),
        onLine: (line) => line.ip !== undefined && this.#onEnd?.(line),
      },
    );
    for (const end = Date.now() + UP_MS; ; await pause(50)) {
      if (await this.command('show info').catch(() => undefined)) return;
      if (!this.#program.isUp || Date.now() > end)
        throw new Error(`HAProxy did not start: ${this.#program.said.join(' | ')}`);
    }
  }

  /** The response of HAProxy's runtime API. */
  async command(text) {
    const socket = connect(this.#control);
    const timer = setTimeout(() => socket.destroy(new Error(`HAProxy did not respond: ${text}`)), COMMAND_MS);
    let said = '';
    socket.on('data', (chunk) => (said += String(chunk)));
    socket.end(`${text}\n`);
    try {
      await once(socket, 'close');
    } finally {
      clearTimeout(timer);
    }
    return said.trim();
  }

  #write(port, options, servers) {
    const text = `
global
  log stdout format raw local0
  stats socket "${this.#control}" mode 600 level admin
defaults
  mode tcp
  # A check fails after this time too. A node on a busy machine needs some for the handshake.
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout check 3s
  # Several nodes may be down, and the next attempt may lead to another one of them.
  retries 6
  option redispatch 1
  option clitcpka
  option srvtcpka
  srvtcpka-idle 2s
  srvtcpka-intvl 1s
  srvtcpka-cnt 3
frontend public
  log global
  log-format '{"ip":"%ci","port":%cp,"server":"%s","state":"%ts"}'
  bind ${this.machine.address}:${port}
  default_backend servers
backend servers
${[...options, ...servers.map(({ name, address, with: more }) => `server ${name} ${address} ${more}`)]
  .map((line) => `  ${line}`)
  .join('\n')}
`;
    writeFileSync(join(this.machine.folder, 'haproxy.cfg'), text);
  }
}
