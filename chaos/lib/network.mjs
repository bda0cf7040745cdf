import { readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { enter, output } from '../../bench/lib/children.mjs';
import { until } from '../../bench/lib/wait.mjs';
import { Program } from './program.mjs';

/**
 * Machines on a switch: anonymous network and mount namespaces, which belong to processes that end with the harness. So
 * nothing remains afterwards, however the harness ends.
 */

const PREFIX = '10.214.0.';
const SWITCH_ADDRESS = `${PREFIX}254`;
const SWITCH_MAC = '02:00:00:00:00:fe';
const COMMAND_MS = 10_000;
const DNS_UP_MS = 5_000;

export class Network {
  #folder;
  #machines = new Map();
  #switch;
  #rules = 0;

  constructor(folder) {
    this.#folder = folder;
  }

  /** Contains the switch, with a DNS server's address. */
  async open() {
    this.#switch = await this.#hold('switch', '');
    await this.#inside(this.#switch, [
      // A fixed MAC address. Without one, the bridge takes the lowest of its ports', which changes when a machine
      // joins. Earlier machines then send DNS queries to the old address for half a minute.
      `ip link add br0 address ${SWITCH_MAC} type bridge`,
      `ip addr add ${SWITCH_ADDRESS}/24 dev br0`,
      'ip link set br0 up',
    ]);
  }

  /** Command line that runs `command` on the switch, where the DNS server runs. */
  onSwitch(...command) {
    return enterIt(this.#switch.pid, command);
  }

  /** Starts the DNS server, with these options of dnsmasq for its records. Resolves once it responds. */
  async startDns(records) {
    const dns = new Program(
      'dnsmasq',
      this.onSwitch(
        'dnsmasq',
        '--keep-in-foreground',
        '--conf-file=/dev/null',
        '--no-resolv',
        '--no-hosts',
        '--user=root',
        '--pid-file=',
        '--bind-interfaces',
        `--listen-address=${SWITCH_ADDRESS}`,
        '--log-facility=-',
        ...records,
      ),
    );
    const said = new Promise((resolve) => {
      dns.process.stderr.once('data', resolve);
      setTimeout(resolve, DNS_UP_MS).unref();
    });
    await Promise.race([said, dns.ended]);
    if (!dns.isUp) throw new Error(`dnsmasq ended (${dns.gone}): ${dns.said.join('\n')}`);
    return dns;
  }

  /** Adds a machine. Its folder `disk` is a separate disk of `diskMegabytes`. */
  async add(name, diskMegabytes = 8) {
    const number = this.#machines.size + 1;
    const address = `${PREFIX}${number}`;
    const folder = join(this.#folder, name);
    const resolver = join(folder, 'resolv.conf');
    writeFileSync(resolver, this.resolverText());
    writeFileSync(join(folder, 'hosts'), '127.0.0.1 localhost\n');
    const holder = await this.#hold(
      name,
      [
        `mount --bind '${resolver}' /etc/resolv.conf`,
        `mount --bind '${join(folder, 'hosts')}' /etc/hosts`,
        `mount -t tmpfs -o size=${diskMegabytes}m,mode=700 chaos '${join(folder, 'disk')}'`,
      ].join(' && '),
    );
    const port = `p${number}`;
    await this.#inside(this.#switch, [
      `ip link add ${port} type veth peer name eth0 netns ${holder.pid}`,
      `ip link set ${port} master br0 up`,
    ]);
    await this.#inside(holder, [`ip addr add ${address}/24 dev eth0`, 'ip link set eth0 up']);
    const machine = {
      name,
      address,
      folder,
      port,
      resolver,
      within: (...command) => enterIt(holder.pid, command),
      /** A file of the machine, as seen from here: its disk is mounted only in its namespace. */
      path: (...parts) => join('/proc', String(holder.pid), 'root', folder, ...parts),
    };
    this.#machines.set(name, machine);
    return machine;
  }

  /** A machine's normal resolv.conf. A server that does not respond times out quickly. */
  resolverText() {
    return `nameserver ${SWITCH_ADDRESS}\noptions timeout:1 attempts:1\n`;
  }

  /**
   * Drops packets at a machine's port of the switch, as a bad cable does. `to` and `from` are rules for packets that
   * the machine receives and sends, '' for none. Resolves with a function that undoes it.
   */
  async drop(machine, { to, from }) {
    const table = `fault${++this.#rules}`;
    const chain = (hook, rule) =>
      rule === undefined
        ? ''
        : `chain ${hook} { type filter hook ${hook} device "${machine.port}" priority 0; ${rule} drop; };`;
    await this.#nft(`table netdev ${table} { ${chain('egress', to)} ${chain('ingress', from)} }`);
    return () => this.#nft(`delete table netdev ${table}`);
  }

  async qdisc(machine, text) {
    const tc = (...args) => done(this.onSwitch('tc', 'qdisc', ...args));
    await tc('replace', 'dev', machine.port, 'root', ...text.split(' '));
    return () => tc('del', 'dev', machine.port, 'root');
  }

  /** Unplugs a machine's cable, or plugs it in again. */
  async cable(machine, isIn) {
    await this.#inside(this.#switch, [`ip link set ${machine.port} ${isIn ? 'up' : 'down'}`]);
  }

  async #nft(text) {
    await done(this.onSwitch('nft', text));
  }

  async #hold(name, prepare) {
    const commands = [prepare, 'ip link set lo up', `echo '{"up":true}'`, 'exec cat'].filter(Boolean);
    const holder = new Program(`the machine ${name}`, [
      'unshare',
      '--net',
      '--mount',
      'sh',
      '-c',
      commands.join(' && '),
    ]);
    await holder.next((line) => line.up, COMMAND_MS, 'word');
    const ours = readlinkSync('/proc/self/ns/net');
    await until(() => readlinkSync(`/proc/${holder.pid}/ns/net`) !== ours, `the namespace of ${name}`);
    return holder;
  }

  async #inside(holder, commands) {
    await done(enterIt(holder.pid, ['sh', '-c', commands.join(' && ')]));
  }
}

/** `command` in the namespaces of process `pid`. */
function enterIt(pid, [file, ...args]) {
  return enter(pid, file, args).flat();
}

const done = ([file, ...args]) => output(file, args, { ms: COMMAND_MS });
