import { Document, isMap, stringify } from 'yaml';
import { loadConfig } from '../../../config/load.js';
import { fromPointer } from '../../../config/text/tree.js';
import { FOREIGN_NAMES, type ForeignProgram } from '../../../config/words/foreign.js';
import { DEFAULT_EMBEDDED_PORT } from '../../../config/normalise.js';
import { isReservedByDefault } from '../../../relay/names/labels.js';
import { fromCloudflared } from './cloudflared.js';
import { fromCompose } from './compose.js';
import { Draft, type DraftService, type Fields } from './draft.js';
import { fromFrp } from './frp.js';
import { examplesOf, type People } from './gates.js';
import { fromNgrok } from './ngrok.js';

const CONVERTERS: Readonly<Record<ForeignProgram, (file: Fields, draft: Draft) => void>> = {
  ngrok: fromNgrok,
  cloudflared: fromCloudflared,
  compose: fromCompose,
  frp: fromFrp,
};

/** Converts a configuration of another program, as far as portal.yaml supports it. */
export function convert(program: ForeignProgram, file: Fields): Draft {
  const draft = new Draft();
  CONVERTERS[program](file, draft);
  for (const [key, service] of draft.services) avoidReserved(key, service, draft);
  return draft;
}

/** Gives a service another name if relays reserve its own, such as www. */
function avoidReserved(key: string, service: DraftService, draft: Draft): void {
  const name = service.name ?? key;
  if (!isReservedByDefault(name)) return;
  service.name = `${name}-app`;
  draft.note(`${key}: relays reserve the name ${name}, so the service is named ${service.name}.`);
}

/** Settings that change the meaning of a service. */
const ESSENTIAL: ReadonlySet<string> = new Set(['target', 'routes', 'mode', 'access']);

/** Removes settings that portal.yaml does not accept, with a note. The other program may accept more. */
export async function makeValid(draft: Draft): Promise<void> {
  for (let rounds = 0; rounds < MAX_ROUNDS; rounds += 1) {
    const text = `version: 1\n${relaysText(draft)}${stringify({ services: Object.fromEntries(draft.services) })}`;
    const result = await loadConfig({ file: '-', cwd: '/', env: {}, stdin: async () => text });
    if (result.ok) return;
    for (const { path, message } of result.problems) {
      const [, name = '', key = ''] = fromPointer(path);
      const service = draft.services.get(name);
      if (!service) continue;
      if (key in service && !ESSENTIAL.has(key)) {
        delete service[key as keyof DraftService];
        draft.note(`${name}: \`${key}\` was not converted: ${message}.`);
      } else {
        draft.services.delete(name);
        draft.note(`${name}: it was not converted: ${message}.`);
      }
    }
  }
}

/** A round may uncover more problems. */
const MAX_ROUNDS = 10;

/** The draft as the text of a portal.yaml; notes become comments. */
export function draftText(
  draft: Draft,
  from: { program: ForeignProgram; file: string; schema: string },
): string {
  const notes = draft.notes.map((note) => `# ${note}\n`).join('');
  return [
    `# yaml-language-server: $schema=${from.schema}\n`,
    `# Converted from ${from.file} of ${FOREIGN_NAMES[from.program]}.\n`,
    notes,
    `version: 1\n\n`,
    relaysText(draft),
    servicesText(draft),
  ].join('');
}

const NOBODY: People = { emails: [], domains: [], users: [] };

/** The services, with the gates to fill in as comments below those that lost theirs. */
function servicesText({ services, gates, people }: Draft): string {
  const written = [...services].map(([name, service]) => [
    name,
    gates.has(name) ? service : shortened(service),
  ]);
  const document = new Document({ services: Object.fromEntries(written) });
  for (const [name, keys] of gates) {
    const access = document.getIn(['services', name, 'access']);
    const missing = [...keys].filter((key) => !isMap(access) || !access.has(key));
    const lines = examplesOf(missing, people.get(name) ?? NOBODY);
    if (lines.length === 0) continue;
    const service = document.getIn(['services', name]);
    if (isMap(access)) access.comment = commentOf(lines);
    else if (isMap(service)) service.comment = commentOf(['access:', ...lines.map((line) => `  ${line}`)]);
  }
  return document.toString({ lineWidth: 0 });
}

const commentOf = (lines: readonly string[]): string => lines.map((line) => ` ${line}`).join('\n');

function relaysText(draft: Draft): string {
  if (!usesRelayPort(draft)) return '';
  const embedded = `relays: { embedded: { port: ${DEFAULT_EMBEDDED_PORT + 1_000} } }`;
  return `# Port ${DEFAULT_EMBEDDED_PORT} is one of your services: the embedded relay takes another.\n${embedded}\n\n`;
}

/** Whether a target uses the port of the embedded relay. */
function usesRelayPort(draft: Draft): boolean {
  const targets = [...draft.services.values()].flatMap(({ target, routes }) => [
    target,
    ...Object.values(routes ?? {}).map((route) => (typeof route === 'object' ? route.target : route)),
  ]);
  return targets.some((target) => new RegExp(`^(.*:)?${DEFAULT_EMBEDDED_PORT}$`).test(String(target)));
}

/** Shortens a service that has only a target. */
function shortened(service: DraftService): DraftService | string | number {
  const keys = Object.keys(service);
  return keys.length === 1 && service.target !== undefined ? service.target : service;
}
