import { GATE_KINDS } from '../../agent/access/kinds.js';
import type { Mode } from '../../agent/spec.js';
import type { Report } from './check.js';
import { checkAccess } from './access.js';
import { checkCommands } from './commands.js';
import { checkFolders } from './folders.js';
import { checkHold } from './hold.js';
import { checkRoutes } from './routes.js';
import { checkTarget, embeddedPort } from './target.js';
import { checkUnique } from './unique.js';
import { shown } from '../words/explain.js';
import { MODE_RULES } from './mode-rules.js';
import { isHttpAlpn, modeOfTree } from './mode.js';
import { maskUrl } from '../variables/mask-urls.js';
import { listOf, nearest } from '../words/suggest.js';
import { child, entriesOf, itemsOf, keyPlaceOf, textOf, type Path, type Tree } from '../text/tree.js';
import { dnsLabel } from '../variables/variables.js';
import { EXPECTED_LABEL, meansTarget } from '../words/words.js';

const DNS_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Checks each service, and conflicts between services. */
export function checkServices(root: Tree, report: Report): void {
  const services = child(root, 'services');
  const ownPort = embeddedPort(root);
  for (const [key, { value }] of entriesOf(services)) {
    const path = ['services', key];
    checkName(services, key, value, report);
    if (value.kind === 'scalar') checkTarget(root, path, ownPort, report);
    if (value.kind === 'map') checkOptions(root, path, value, ownPort, report);
  }
  checkCommands(services, report);
  checkFolders(services, report);
  checkUnique(root, report);
}

function checkOptions(
  root: Tree,
  path: Path,
  service: Tree,
  ownPort: number | undefined,
  report: Report,
): void {
  const { mode, why = '' } = modeOfTree(service) ?? {};
  if (mode) checkFitsMode(path, service, mode, why, report);
  if (mode) checkHasTarget(path, service, mode, report);
  if (child(service, 'target')) checkTarget(root, [...path, 'target'], ownPort, report);
  checkRoutes(root, [...path, 'routes'], ownPort, report);
  checkHold(path, service, report);
  checkAccess(root, [...path, 'access'], report);
  checkVia(root, path, service, report);
  checkExpires([...path, 'expires'], textOf(child(service, 'expires')), report);
  checkTls([...path, 'tls'], child(service, 'tls'), report);
  const gate = GATE_KINDS.find(({ key, readsHttp }) => readsHttp && child(child(service, 'access'), key));
  const readsHttp = mode === 'http' || mode === 'auto' || (mode === 'stream' && gate !== undefined);
  checkAlpn([...path, 'alpn'], child(service, 'alpn'), readsHttp, report);
  if (mode === 'stream' && gate && child(service, 'proxyProtocol')) {
    report([...path, 'proxyProtocol'], {
      message: `\`proxyProtocol\` cannot be used with \`access.${gate.key}\``,
      hint: `Remove it: with \`access.${gate.key}\`, the target gets the address in \`X-Forwarded-For\`.`,
    });
  }
  checkHostname(root, [...path, 'hostname'], child(service, 'hostname'), report);
}

function checkName(services: Tree | undefined, key: string, service: Tree, report: Report): void {
  if (child(service, 'name') || DNS_LABEL.test(key)) return;
  const rename = key.includes('${')
    ? `Variables are not replaced in keys; write \`name: ${key}\` below a plain key.`
    : `Rename it, or add a name, as in \`name: ${dnsLabel(maskUrl(key))}\`.`;
  report(['services', key], {
    message: `the key ${JSON.stringify(key)} is also the service's name, and that must be ${EXPECTED_LABEL}`,
    hint: rename,
    place: keyPlaceOf(services, key),
  });
}

function checkFitsMode(path: Path, service: Tree, mode: Mode, why: string, report: Report): void {
  for (const rule of MODE_RULES) {
    const used = rule.key.reduce<Tree | undefined>((tree, key) => child(tree, key), service);
    if (!used || rule.modes.includes(mode)) continue;
    const message = `\`${rule.key.join('.')}\` needs mode ${listOf(rule.modes)}; this service runs mode ${mode}${why}`;
    const isTarget = rule.key[0] === 'port' && !child(service, 'target') && !child(service, 'routes');
    const hint = isTarget ? `Did you mean \`target: ${textOf(used) ?? '3000'}\`?` : rule.why;
    report([...path, ...rule.key], { message, hint });
  }
  if (mode === 'udp') checkUdp(path, service, report);
  if (mode === 'tcp' && textOf(child(service, 'carrier')) === 'raw') {
    report([...path, 'carrier'], {
      message: '`carrier: raw` would send the bytes of a tcp service in the clear',
      hint: 'Remove it: tls is the default in mode tcp.',
    });
  }
}

function checkUdp(path: Path, service: Tree, report: Report): void {
  if (textOf(child(service, 'carrier')) === 'tls') {
    report([...path, 'carrier'], {
      message: '`carrier: tls` is invalid in mode udp',
      hint: 'Remove it for encrypted packets over UDP, or use `ws`, a WebSocket over TLS.',
    });
  }
  if (/^\s*(unix:|https?:)/i.test(textOf(child(service, 'target')) ?? '')) {
    report([...path, 'target'], {
      message: 'this target does not accept datagrams',
      hint: 'Use a UDP port, for example `target: 5353` or `target: 192.168.1.7:53`.',
    });
  }
}

function checkHasTarget(path: Path, service: Tree, mode: Mode, report: Report): void {
  const target = child(service, 'target');
  const routes = child(service, 'routes');
  const isServed = target ?? child(service, 'command');
  if (!isServed && !(mode === 'http' && routes) && !hasMisspeltTarget(service)) {
    const hint =
      mode === 'http'
        ? 'Add `target: 3000`, `command: npm run dev`, or `routes`.'
        : 'Add it, for example `target: 3000`, or `command: npm run dev`.';
    report([...path, 'target'], { message: '`target` is missing: where should visitors go?', hint });
  }
  if (target && routes && mode === 'http') {
    report([...path, 'target'], {
      message: '`target` and `routes` cannot be used together',
      hint: 'Make the target the route `/`.',
    });
  }
}

/** If another finding already suggests `target` for an unknown key, do not report `target` as missing. */
function hasMisspeltTarget(service: Tree): boolean {
  return [...entriesOf(service)].some(([key]) => meansTarget(key) || nearest(key, ['target', 'command']));
}

function checkVia(root: Tree, path: Path, service: Tree, report: Report): void {
  const via = child(service, 'via');
  const name = textOf(via);
  const carrier = textOf(child(service, 'carrier'));
  const fitting = modeOfTree(service)?.mode === 'udp' ? 'ws' : 'tls';
  if (via && carrier !== undefined && carrier !== fitting) {
    report([...path, 'carrier'], {
      message: `over a chain the carrier is ${fitting}`,
      hint: 'Remove `carrier`: relays on the path must not be able to read the bytes.',
    });
  }
  if (via && child(service, 'relays')) {
    report([...path, 'via'], {
      message: '`via` and `relays` cannot be used together',
      hint: 'Publish the service over one chain, or on relays.',
    });
  } else if (name && !child(child(root, 'chains'), name)) {
    const chains = [...entriesOf(child(root, 'chains'))].map(([chain]) => chain);
    const meant = nearest(name, chains);
    const others =
      chains.length > 0 ? `Chains of this file: ${chains.join(', ')}.` : 'Define it under `chains:`.';
    report([...path, 'via'], {
      message: `there is no chain ${shown(root, [...path, 'via'])}`,
      hint: meant ? `Did you mean \`${meant}\`?` : others,
    });
  }
}

function checkTls(path: Path, tls: Tree | undefined, report: Report): void {
  const [source, cert, key] = ['source', 'cert', 'key'].map((name) => child(tls, name));
  if (source && (cert || key)) {
    report([...path, 'source'], {
      message: '`source` cannot be used with `cert` and `key`',
      hint: 'Use `source` for a certificate from Portal, or `cert` and `key` for your own.',
    });
  } else if (!cert !== !key) {
    const missing = cert ? 'key' : 'cert';
    report([...path, missing], {
      message: `\`${missing}\` is missing: \`cert\` and \`key\` must be used together`,
    });
  }
}

function checkAlpn(path: Path, alpn: Tree | undefined, readsHttp: boolean, report: Report): void {
  for (const [index, item] of itemsOf(alpn).entries()) {
    const protocol = textOf(item);
    if (protocol === 'acme-tls/1') {
      report([...path, index], {
        message: '`acme-tls/1` is only for certificate challenges, which Portal completes',
      });
    } else if (readsHttp && protocol !== undefined && !isHttpAlpn(protocol)) {
      report([...path, index], {
        message: 'a service in mode http or with a PIN accepts only h2 and http/1.1',
        hint: 'Remove `alpn` to offer both. Mode stream without a PIN forwards any protocol.',
      });
    }
  }
}

function checkHostname(root: Tree, path: Path, hostname: Tree | undefined, report: Report): void {
  const text = textOf(hostname);
  if (text === undefined || (text.includes('.') && !/^[\d.]+$/.test(text))) return;
  report(path, {
    message: `${shown(root, path)} is not a full domain name`,
    hint: 'Write it in full, for example shop.example.com. For a name on the relay, use `name`.',
  });
}

/** The schema's pattern also accepts days that do not exist. */
function checkExpires(path: Path, text: string | undefined, report: Report): void {
  if (text === undefined || /^\d+[smhd]$/.test(text) || !/^\d{4}-/.test(text)) return;
  if (Number.isNaN(Date.parse(text))) report(path, { message: 'this date or time does not exist' });
}
