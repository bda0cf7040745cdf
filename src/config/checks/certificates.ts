import { covers } from '../../certificates/local-names.js';
import { caName, LETS_ENCRYPT, usesAcme } from '../../certificates/spec.js';
import { kindOf, type ServiceSpec } from '../../agent/spec.js';
import { kindAt, namesAt } from '../automatic-tls.js';
import type { Desired } from '../desired.js';
import { finding, type Finding } from '../text/finding.js';
import { listOf } from '../words/suggest.js';
import { child, textOf, treeAt, type Tree } from '../text/tree.js';

/**
 * Warns about services whose public name no CA certifies, as far as their URLs show. This is not an error, because a relay may
 * assign names below a domain other than its URL's.
 */
export function uncertified({ services }: Desired, root: Tree): Finding[] {
  return [...notLocal(services, root), ...notPublic(services, root)];
}

/** Services that get certificates from the local CA, for names that it does not cover. */
function notLocal(services: readonly ServiceSpec[], root: Tree): Finding[] {
  return [true, false].flatMap((isAutomatic) => {
    const found = services
      .filter((spec) => isChosen(root, spec) === isAutomatic)
      .flatMap((spec) => {
        const names = uncovered(spec);
        return names === undefined ? [] : [{ service: spec.service, names }];
      });
    const [first] = found;
    if (!first) return [];
    const why = isAutomatic ? ', and public CAs connect to port 443 of a relay elsewhere only' : '';
    const message = `${noCertificate(found)}: the local CA issues none for ${first.names}${why}`;
    const hint = isAutomatic
      ? 'Use a relay on port 443, or your own certificate: `tls: { cert, key }`.'
      : 'Remove `tls: local`, or use your own certificate: `tls: { cert, key }`.';
    return [finding(root, ['services', first.service], { message, hint })];
  });
}

function noCertificate(services: readonly Pick<ServiceSpec, 'service'>[]): string {
  const names = services.map(({ service }) => JSON.stringify(service));
  return `${names.length === 1 ? 'service' : 'services'} ${listOf(names, 'and')} will get no certificate`;
}

/** Services with `tls: acme` whose names exist only on this machine or its network. */
function notPublic(services: readonly ServiceSpec[], root: Tree): Finding[] {
  const found = services.filter(hasOnlyLocalNames);
  const [first] = found;
  if (!first) return [];
  const names = first.hostname ?? 'names below localhost';
  return [
    finding(root, ['services', first.service, 'tls'], {
      message: `${noCertificate(found)}: Let's Encrypt issues none for ${names}`,
      hint: 'For this machine only, remove `tls: acme`. For public names, add a relay, for example `relays: { urls: [https://relay.example.com] }`.',
    }),
  ];
}

/** Whether a public CA was chosen for names that no public CA certifies. Names below an address are not known here. */
function hasOnlyLocalNames(spec: ServiceSpec): boolean {
  const { mode, tls, relays, onPool } = spec;
  if (kindOf(mode) !== 'tls' || tls.source !== 'acme' || tls.directory !== LETS_ENCRYPT || onPool)
    return false;
  return relays.every((relay) => {
    const name = namesAt(spec, relay);
    return name === undefined ? relay.kind === 'embedded' : covers(name);
  });
}

/** Whether Portal chose the source of the certificates. */
function isChosen(root: Tree, { service }: ServiceSpec): boolean {
  const tls = treeAt(root, ['services', service, 'tls']);
  const source = textOf(child(tls, 'source') ?? tls);
  return tls === undefined || source === 'auto';
}

/** The names of a service for which the local CA issues no certificate. */
function uncovered(spec: ServiceSpec): string | undefined {
  const { mode, tls, hostname, relays } = spec;
  if (kindOf(mode) !== 'tls' || tls.source !== 'local') return undefined;
  const names = relays
    .map((relay) => namesAt(spec, relay))
    .find((each) => each !== undefined && !covers(each));
  return names === undefined || hostname !== undefined ? names : `names below ${names}`;
}

/** Services for which Portal chose a public CA, with the reason. */
export interface ChosenCertificates {
  readonly services: readonly string[];
  readonly source: 'acme' | 'auto';
  /** As a sentence. */
  readonly text: string;
}

/** Where Portal chose to get certificates from a public CA. */
export function chosenCertificates({ services }: Desired, root: Tree): ChosenCertificates[] {
  const byText = new Map<string, { services: string[]; source: 'acme' | 'auto' }>();
  for (const spec of services) {
    const { tls } = spec;
    if (kindOf(spec.mode) !== 'tls' || !usesAcme(tls) || !isChosen(root, spec)) continue;
    const relay = spec.relays.find((each) => kindAt(spec, each, tls) === 'public');
    const name = relay && namesAt(spec, relay);
    const reason =
      name === undefined ? 'where the relay has a public name' : `because ${name} is a public name`;
    const key = `come from ${caName(tls.directory)}, ${reason}`;
    const group = byText.get(key) ?? { services: [], source: tls.source };
    group.services.push(spec.service);
    byText.set(key, group);
  }
  return [...byText].map(([text, group]) => ({
    ...group,
    text: `the certificates of ${listOf(group.services, 'and')} ${text}`,
  }));
}
