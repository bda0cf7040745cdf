import { isIP, type Socket } from 'node:net';
import { probeHttp, isHttp } from '../../agent/target/probe-target.js';
import { holdsRequests, kindOf, servedMode, targetsOf, type ServiceSpec } from '../../agent/spec.js';
import type { RelayStatus } from '../../agent/status.js';
import { connectTarget, upstreamOf } from '../../agent/target/upstream.js';
import { folderProblem } from '../../agent/folders/folder-problem.js';
import { asPortalError } from '../../lib/errors.js';
import { delay } from '../../lib/wait.js';
import { formatTarget, type Target } from '../../net/target/target.js';
import { PROOF_LABEL, PROOF_PREFIX } from '../../protocol/domains.js';
import { whileDown } from '../running/while-down.js';
import type { Cas } from './cas.js';
import { checkCertificate } from './certificate.js';
import { checkDatagrams } from './datagrams.js';
import { DNS_DOWN, type Names } from './names.js';
import type { RelayFacts } from './relay-findings.js';
import { checkName } from './public-name.js';
import { Subject } from './report.js';
import { checkSignIn } from './sign-in.js';

/** Checks one service: its target, its name in DNS, its certificate. */

const READS_HTTP: ReadonlySet<string> = new Set(['http', 'auto']);

const RESPONSE_MS = 1_500;

export interface ServiceContext {
  readonly names: Names;
  readonly cas: Cas;
  /** The relays that the service is published on. */
  readonly relays: readonly RelayFacts[];
  /** Address of the identity; undefined before it exists. */
  readonly address: string | undefined;
  readonly acmeDir: string;
  /** Sessions of the running agent; undefined if no agent is running. */
  readonly sessions: readonly RelayStatus[] | undefined;
}

export async function checkService(spec: ServiceSpec, context: ServiceContext): Promise<Subject> {
  const subject = new Subject(`service ${spec.service}`);
  const hostnames =
    spec.hostname === undefined
      ? context.relays.map(({ domain }) => `${spec.name}.${domain}`)
      : [spec.hostname];
  const isOther = await checkTargets(spec, subject);
  // Do not send an HTTP request to a service of another protocol.
  if (READS_HTTP.has(spec.mode) && !isOther && hostnames[0] !== undefined)
    await checkName(spec, hostnames[0], subject);
  await checkSignIn(spec, subject);
  if (spec.mode === 'udp') checkDatagrams(spec, context, subject);
  if (kindOf(spec.mode) !== 'tls') return subject;
  if (spec.hostname === undefined) await checkNames(spec, context, subject);
  else await checkOwnDomain(spec.hostname, context, subject);
  for (const hostname of new Set(hostnames)) await checkCertificate(spec.tls, hostname, context, subject);
  return subject;
}

/** Resolves with true if the target decides the mode, and does not speak HTTP. */
async function checkTargets(spec: ServiceSpec, subject: Subject): Promise<boolean> {
  let isOther = false;
  for (const target of targetsOf(spec)) {
    const shown = formatTarget(target);
    if (target.kind === 'tcp' && target.folder !== undefined) {
      const problem = await folderProblem(target.folder);
      if (problem === undefined) subject.ok('service.target', `${shown} is a folder, which Portal serves`);
      else subject.problem('service.target', problem, 'Create it, or correct `target`.');
      continue;
    }
    if (target.kind === 'tcp' && target.port === 0) {
      subject.ok('service.target', '`portal up` starts its command on a free port');
      continue;
    }
    if (spec.mode === 'udp') {
      subject.ok('service.target', `${shown} is a UDP target; only a datagram shows whether it listens`);
      continue;
    }
    try {
      const socket = await connectTarget(target, upstreamOf(spec));
      const at = connectedAddress(target, socket);
      const spoken = spec.mode === 'http' ? await speaksHttp(socket) : 'silence';
      socket.destroy();
      if (servedMode(spec) === 'auto') isOther = !(await checkDecision(spec, target, at, subject));
      else if (spoken === 'something else')
        subject.problem(
          'service.speaks',
          `${shown} accepts connections, but does not speak HTTP`,
          'Mode http needs HTTP. For other protocols, use mode stream or tcp.',
        );
      else
        subject.ok(
          'service.target',
          `${shown} ${spoken === 'http' ? 'speaks HTTP' : 'accepts connections'}${at}`,
        );
    } catch (error) {
      const { message } = asPortalError(error);
      subject.problem(
        'service.target',
        message,
        `Start the service, or correct \`target\`. Until then, ${whileDown(servedMode(spec), holdsRequests(spec))}.`,
      );
    }
  }
  return isOther;
}

/** Checks a service whose target decides its mode. Resolves with whether the target speaks HTTP. */
async function checkDecision(
  spec: ServiceSpec,
  target: Target,
  at: string,
  subject: Subject,
): Promise<boolean> {
  const shown = formatTarget(target);
  const { speaks } = await probeHttp(target, upstreamOf(spec));
  const ignored = (['inspect', 'host', 'forwarded'] as const).filter((key) => spec[key] !== undefined);
  if (isHttp(speaks)) subject.ok('service.target', `${shown} speaks HTTP${at}: served as http`);
  else if (speaks === 'silent')
    subject.warning(
      'service.speaks',
      `${shown} accepts connections but sends nothing; its first response to a visitor decides the mode`,
      'To set the mode yourself, add `mode: http` or `mode: stream`.',
    );
  else if (ignored.length === 0)
    subject.ok(
      'service.target',
      `${shown} accepts connections${at}, but does not speak HTTP: served as stream`,
    );
  else
    subject.problem(
      'service.speaks',
      `${shown} does not speak HTTP, so \`${ignored.join('`, `')}\` has no effect`,
      'Remove the setting, or correct `target`.',
    );
  return isHttp(speaks);
}

/** The address that the target's name resolved to; empty if the configuration has an address. */
function connectedAddress(target: Target, { remoteAddress }: Socket): string {
  if (target.kind === 'unix' || isIP(target.host) || remoteAddress === undefined) return '';
  return ` at ${remoteAddress}`;
}

/** Sends a request. A target that speaks only HTTP/2 responds with a SETTINGS frame. */
async function speaksHttp(socket: Socket): Promise<'http' | 'something else' | 'silence'> {
  const stop = new AbortController();
  const first = new Promise<Buffer>((resolve) => {
    socket.once('data', resolve);
    socket.once('close', () => resolve(Buffer.alloc(0)));
  });
  socket.write(
    'HEAD / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: portal-doctor\r\nConnection: close\r\n\r\n',
  );
  const silence = delay(RESPONSE_MS, stop.signal).then(
    () => Buffer.alloc(0),
    () => Buffer.alloc(0),
  );
  const response = await Promise.race([first, silence]);
  stop.abort();
  if (response.length === 0) return 'silence';
  const isSettings = response.length > 3 && response[3] === 4;
  return response.toString('latin1', 0, 5) === 'HTTP/' || isSettings ? 'http' : 'something else';
}

/** Checks DNS for a name below the relay's domain: its operator has to add a wildcard record. */
async function checkNames(
  { name }: ServiceSpec,
  { names, relays }: ServiceContext,
  subject: Subject,
): Promise<void> {
  for (const { domain, addresses: ofRelay, isEmbedded, inChain } of relays) {
    if (isEmbedded || domain === 'localhost') continue;
    if (inChain) {
      // The relay may run the name server of its domain.
      subject.ok(
        'service.dns',
        `${name}.${domain}: not looked up from here, which could reveal your address`,
      );
      continue;
    }
    const hostname = `${name}.${domain}`;
    const addresses = await names.addresses(hostname).catch(() => undefined);
    const record = `A DNS record for all names has to point to the relay: *.${domain}. CNAME ${domain}. If the relay is not yours, tell its operator.`;
    if (!addresses?.length) {
      const message = `${hostname} has no address in DNS, so visitors cannot reach it`;
      await reportMissing(
        { hostname, addresses, message, hint: record, cause: `dns *.${domain}` },
        names,
        subject,
      );
    } else if (ofRelay.length > 0 && !addresses.some((each) => ofRelay.includes(each)))
      // A relay may have one address for agents and another for visitors.
      subject.warning(
        'service.dns',
        `${hostname} resolves to ${addresses.join(', ')}, and the relay ${domain} to ${ofRelay.join(', ')}`,
        record,
      );
    else subject.ok('service.dns', `${hostname} resolves to ${addresses.join(', ')}`);
  }
}

interface Missing {
  readonly hostname: string;
  /** Undefined: DNS does not respond. */
  readonly addresses: readonly string[] | undefined;
  readonly message: string;
  readonly hint: string;
  /** Set if all names below one domain lack the same record. */
  readonly cause?: string;
}

/** Reports a name without an address in DNS. The hosts file of this machine may have one. */
async function reportMissing(
  { hostname, addresses, message, hint, cause }: Missing,
  names: Names,
  subject: Subject,
): Promise<void> {
  if (addresses === undefined)
    return subject.warning(
      'service.dns',
      `DNS does not respond for ${hostname}`,
      DNS_DOWN.hint,
      DNS_DOWN.facts,
    );
  const here = await names.onlyHere(hostname);
  if (here.length > 0)
    subject.warning(
      'service.dns',
      `${hostname} resolves to ${here.join(', ')} only on this machine (hosts file); DNS has no address for other visitors`,
      hint,
    );
  else subject.problem('service.dns', message, hint, cause === undefined ? {} : { cause });
}

async function checkOwnDomain(hostname: string, context: ServiceContext, subject: Subject): Promise<void> {
  const { names, relays, address } = context;
  const [relay] = relays;
  const wanted = new Set(relays.flatMap(({ addresses }) => addresses));
  const record = relay ? `${hostname}. CNAME ${relay.domain}.` : '';
  const addresses = await names.addresses(hostname).catch(() => undefined);
  const elsewhere = addresses?.filter((each) => !wanted.has(each)) ?? [];
  if (!addresses?.length) {
    const missing = { message: `${hostname} has no address in DNS`, hint: `Create the record: ${record}` };
    await reportMissing({ hostname, addresses, ...missing }, names, subject);
  } else if (wanted.size === 0)
    subject.warning(
      'service.dns',
      `${hostname} resolves to ${addresses.join(', ')}; the relay's own addresses are unknown here`,
    );
  else if (elsewhere.length === addresses.length)
    subject.problem(
      'service.dns',
      `${hostname} resolves to ${elsewhere.join(', ')}, which is not the relay`,
      `Replace its records with: ${record}`,
    );
  else if (elsewhere.length > 0)
    subject.warning(
      'service.dns',
      `${hostname} resolves to the relay, but also to ${elsewhere.join(', ')}`,
      'Remove the other records: visitors and the CA use any of them.',
    );
  else subject.ok('service.dns', `${hostname} resolves to the relay`);

  const proof = `${PROOF_LABEL}.${hostname}`;
  if (address === undefined) {
    subject.warning(
      'service.proof',
      `${proof} must name your identity, which does not exist yet`,
      'Run `portal identity new`, then `portal doctor` again.',
    );
    return;
  }
  const needed = `${proof}. TXT "${PROOF_PREFIX}${address}"`;
  const texts = await names.texts(proof).catch(() => undefined);
  const named = texts?.map((text) => text.trim()).filter((text) => text.startsWith(PROOF_PREFIX)) ?? [];
  const isNamed = named.some(
    (text) => text.slice(PROOF_PREFIX.length).trim().toLowerCase() === address.toLowerCase(),
  );
  if (texts === undefined)
    subject.warning('service.proof', `DNS does not respond for ${proof}`, DNS_DOWN.hint, DNS_DOWN.facts);
  else if (isNamed) subject.ok('service.proof', `${proof} names your identity`);
  else
    subject.problem(
      'service.proof',
      named.length > 0
        ? `${proof} names another identity`
        : `${proof} has no record that names your identity`,
      `Create the record: ${needed}`,
    );
}
