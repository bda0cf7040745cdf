import { isIP } from 'node:net';
import pLimit from 'p-limit';
import { isEmbeddedKey, relayKey } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import type { Identity } from '../../identity/identity.js';
import { hasLocalCa } from '../../library/agent.js';
import type { LockEntries } from '../../config/files/lock-file.js';
import { lockFileOf, RelayLock } from '../../config/files/lock.js';
import { PortalError } from '../../lib/errors.js';
import { withActualPort } from '../../reconcile/relays/embedded.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { Cas } from '../doctor/cas.js';
import { checkAgent, checkLeases, type AgentFindings } from '../doctor/agent.js';
import { checkConfiguration, relaysOf } from '../doctor/configuration.js';
import { checkFolders, checkIdentity, checkLocalCa } from '../doctor/machine.js';
import { Names } from '../doctor/names.js';
import { checkPrivate } from '../doctor/private.js';
import { checkRelay } from '../doctor/relay.js';
import { Causes, count, Subject, type Finding, type Level } from '../doctor/report.js';
import { checkService } from '../doctor/service.js';
import { dnsServers } from '../dns-servers.js';
import { summarizeProblem } from '../failure.js';
import { findAgent } from '../running/find-agent.js';
import { hintsFor, namedFile } from '../running/for-file.js';
import { loadUsable, type Usable } from '../running/load-usable.js';
import { printEvent } from '../print.js';
import { proxyFor } from '../proxy.js';
import { SIGNS } from '../text/signs.js';
import { createStyle, printable } from '../text/style.js';

interface Options {
  readonly file?: string;
  /** DNS servers, as typed. */
  readonly dns?: readonly string[];
}

/** How many relays and services are checked at a time. */
const AT_A_TIME = 8;

/** Checks everything that a configuration needs, in the order of use. */
export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const names = new Names(dnsServers(options.dns ?? []));
  let usable: Usable;
  try {
    usable = await loadUsable(context, options.file);
  } catch (error) {
    const isMissing = error instanceof PortalError && error.code === 'config_not_found';
    if (!isMissing || options.file !== undefined) throw error;
    return checkWithoutFile(context, error);
  }
  const report = new Report(context, await hintsFor(context, namedFile(context, options.file)));
  const agent = await runningAgent(context, options.file);
  const configuration = await checkConfiguration(context, usable, agent);
  const { problems, desired, isAllowed, locked } = configuration;
  if (context.json && problems.length > 0)
    printEvent(context, 'rejected', { errors: problems.map(summarizeProblem) });
  report.print(configuration.subject);

  const { paths } = context;
  const services = desired?.services ?? [];
  // Reads no key for a file that the user has not allowed.
  const identityFile = (isAllowed ? desired?.identityFile : undefined) ?? paths.identityFile;
  const identity = await checkIdentity(identityFile, services);
  report.print(identity.subject);
  report.print(await checkFolders(context, identityFile, services));
  if (services.some(hasLocalCa)) report.print(await checkLocalCa(paths, context.env));

  // These checks connect to relays and targets, which reveals the variables in their names.
  const troubled =
    desired && isAllowed
      ? await checkNetwork(context, desired, { report, names, agent, locked, identity: identity.identity })
      : [];
  for (const subject of configuration.unchecked) report.print(subject);
  if (isAllowed && agent?.runs === false) report.print(namesToCheck(services));
  if (agent) {
    checkLeases(agent, new Set(troubled));
    report.print(agent.subject);
  }
  const code = report.end();
  return problems.length > 0 ? 2 : code;
}

/** A relay decides when an agent opens them: a name may be taken, or the identity not allowed. */
function namesToCheck(services: Desired['services']): Subject {
  const subject = new Subject('names at the relays');
  if (services.some(({ relays }) => relays.some(({ kind }) => kind !== 'embedded')))
    subject.skipped('agent.lease', 'run `portal up`');
  return subject;
}

/** Checks this machine, and what the agent of `portal expose` publishes. Throws `missing` if none is running, or several are. */
async function checkWithoutFile(context: Context, missing: PortalError): Promise<ExitCode> {
  const agent = await runningAgent(context, undefined).catch(() => undefined);
  const { paths, env } = context;
  const report = new Report(context, (text) => text);
  report.print((await checkIdentity(paths.identityFile, [])).subject);
  report.print(await checkFolders(context, paths.identityFile, []));
  const isLocal = agent?.status?.relays.some(({ relay }) => isEmbeddedKey(relay)) ?? true;
  if (isLocal) report.print(await checkLocalCa(paths, env));
  if (!agent?.runs) throw missing;
  const unchecked = new Subject('relays and targets');
  unchecked.skipped('configuration.unchecked', 'write the service into a portal.yaml (`portal init`)');
  report.print(unchecked);
  checkLeases(agent, new Set());
  report.print(agent.subject);
  return report.end();
}

interface Checked {
  readonly report: Report;
  readonly names: Names;
  readonly agent: AgentFindings | undefined;
  readonly locked: LockEntries | undefined;
  readonly identity: Identity | undefined;
}

/** Returns the keys of the relays with problems. */
async function checkNetwork(
  context: Context,
  wanted: Desired,
  { report, names, agent, locked, identity }: Checked,
): Promise<string[]> {
  const { paths } = context;
  const desired = withActualPort(wanted, agent?.status?.relays ?? []);
  const limit = pLimit(AT_A_TIME);
  const relays = relaysOf(desired).map((spec) => {
    const services = desired.services.filter((service) =>
      service.relays.some((other) => relayKey(other) === relayKey(spec)),
    );
    return limit(() => checkRelay(spec, services, { names, agentRuns: agent?.runs ?? false, locked }));
  });
  for (const relay of relays) report.print((await relay).subject);
  if (desired.candidates) report.print(await checkMoreRelays(context, desired));
  const found = await Promise.all(relays);
  const facts = found.map((relay) => relay.facts);
  const cas = new Cas();
  const services = desired.services.map((spec) => {
    const keys = new Set(spec.relays.map(relayKey));
    // A relay with an IP address as its name has no names below it. checkRelay reports this.
    const own = facts.filter(({ key, domain }) => keys.has(key) && isIP(domain) === 0);
    return limit(async () => {
      const subject = await checkService(spec, {
        names,
        cas,
        relays: own,
        address: identity?.address,
        acmeDir: paths.acmeDir,
        sessions: agent?.status?.relays,
      });
      const { knownAgentsFile } = paths;
      await checkPrivate(spec, { identity, leases: agent?.status?.leases, knownAgentsFile }, subject);
      return subject;
    });
  });
  for (const service of services) report.print(await service);
  return found
    .filter(({ subject }) => subject.findings.some(({ level }) => level === 'problem'))
    .map((relay) => relay.facts.key);
}

async function checkMoreRelays({ paths }: Context, desired: Desired): Promise<Subject> {
  const { checkCandidates } = await import('../doctor/candidates.js');
  return checkCandidates(desired, {
    proxyFor,
    registryDir: paths.registryDir,
    ...(desired.file !== undefined && { trust: new RelayLock({ file: lockFileOf(desired.file) }) }),
  });
}

async function runningAgent(context: Context, file: string | undefined): Promise<AgentFindings | undefined> {
  try {
    return await checkAgent(await findAgent(context, { file }));
  } catch (error) {
    // No agent is running for standard input.
    if (error instanceof PortalError && error.code === 'usage') return undefined;
    throw error;
  }
}

/** Below totals with skipped checks, which otherwise look like good news. */
const NOT_ALL = 'A skipped check may hide a problem: do what it asks for, then run `portal doctor` again.';

function totals({ warning, problem, skipped }: Record<Level, number>): string {
  if (problem + warning + skipped === 0) return 'no problems found';
  const some = [
    count(problem, 'problem'),
    count(warning, 'warning'),
    ...(skipped > 0 ? [`${count(skipped, 'check')} skipped`] : []),
  ];
  return some.join(', ');
}

/** Prints findings, and counts them. */
class Report {
  readonly #context: Context;
  readonly #hinted: (text: string) => string;
  readonly #causes = new Causes();
  readonly #counts: Record<Level, number> = { ok: 0, warning: 0, problem: 0, skipped: 0 };

  /** @param hinted names the file in commands */
  constructor(context: Context, hinted: (text: string) => string) {
    this.#context = context;
    this.#hinted = hinted;
  }

  print(subject: Subject): void {
    const { stdout, json } = this.#context;
    const { bold } = createStyle(stdout.color);
    if (!json && subject.findings.length > 0) stdout.line(bold(printable(subject.about)));
    for (const found of subject.findings) {
      const finding = this.#forFile(this.#causes.relate(found));
      if (finding.because === undefined) this.#counts[finding.level]++;
      if (json) printEvent(this.#context, 'check', finding);
      else this.#line(finding);
    }
  }

  #forFile({ hint, ...finding }: Finding): Finding {
    const message = this.#hinted(finding.message);
    return { ...finding, message, ...(hint !== undefined && { hint: this.#hinted(hint) }) };
  }

  /** Prints the totals. */
  end(): ExitCode {
    const { stdout, json } = this.#context;
    const { ok, warning, problem, skipped } = this.#counts;
    if (json) printEvent(this.#context, 'checked', { ok, warnings: warning, problems: problem, skipped });
    else {
      stdout.line();
      stdout.line(totals(this.#counts));
      if (skipped > 0) stdout.line(this.#hinted(NOT_ALL));
    }
    return problem > 0 ? 1 : 0;
  }

  #line({ level, message, hint }: Finding): void {
    const { stdout } = this.#context;
    const { green, yellow, red, dim } = createStyle(stdout.color);
    const paint = { ok: green, warning: yellow, problem: red, skipped: yellow }[level];
    stdout.line(`  ${paint(SIGNS[level])} ${printable(message)}`);
    if (hint !== undefined) stdout.line(dim(`    ${printable(hint)}`));
  }
}
