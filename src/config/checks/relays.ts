import { normalize } from 'node:path';
import type { Report } from './check.js';
import { shown, subject } from '../words/explain.js';
import { HOME_NOT_EXPANDED } from '../text/finding.js';
import { relayLists, type RelayRef } from './relay-refs.js';
import { lineOf } from '../text/source.js';
import { child, placeOf, textOf, treeAt, type Tree } from '../text/tree.js';

/** Relays reject a longer chain (docs/reference/protocol.md). */
const MAX_CHAIN = 3;

/** Checks every relay that the file names. */
export function checkRelays(root: Tree, report: Report): void {
  checkCandidates(root, report);
  const firstWithCa = new Map<string, RelayRef>();
  for (const list of relayLists(root)) {
    const seen = new Map<string, RelayRef>();
    checkLength(list, report);
    for (const relay of list) {
      checkUrl(root, relay, report);
      if (relay.origin === undefined) continue;
      checkRepeated(relay, seen.get(relay.origin), report);
      seen.set(relay.origin, seen.get(relay.origin) ?? relay);
      if (relay.ca === undefined) continue;
      checkSameCa(root, relay, firstWithCa.get(relay.origin), report);
      firstWithCa.set(relay.origin, firstWithCa.get(relay.origin) ?? relay);
    }
  }
}

function checkLength(list: readonly RelayRef[], report: Report): void {
  const beyond = list[MAX_CHAIN];
  if (beyond?.path[0] !== 'chains') return;
  report(beyond.path, {
    message: `a chain has at most ${MAX_CHAIN} relays`,
    hint: 'Remove one: each relay adds delay, and in a chain of three the middle relay already knows neither end.',
  });
}

/** Checks the relay registry and the number of relays to use from it. */
function checkCandidates(root: Tree, report: Report): void {
  const pool = child(root, 'relays');
  const path = ['relays', 'registry'];
  const registry = textOf(child(pool, 'registry'));
  if (registry === undefined) {
    if (child(pool, 'maxActive') && !child(pool, 'urls'))
      report(['relays', 'maxActive'], {
        message: '`maxActive` has no effect without relays to choose from',
        hint: 'Add a `registry`, or `urls` of relays that announce others.',
      });
    return;
  }
  if (registry.startsWith('~')) return report(path, HOME_NOT_EXPANDED);
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(registry)) return undefined;
  if (!/^https:/i.test(registry) || !URL.canParse(registry))
    return report(path, { message: `${shown(root, path)} is neither an https:// URL nor a file` });
  const { username, password } = new URL(registry);
  if (username || password)
    report(path, { message: 'the URL of a registry cannot contain a user name or password' });
  return undefined;
}

function checkUrl(root: Tree, { urlPath }: RelayRef, report: Report): void {
  const text = textOf(treeAt(root, urlPath));
  if (text === undefined) return;
  if (!URL.canParse(text)) {
    report(urlPath, { message: `${shown(root, urlPath)} is not a valid URL` });
    return;
  }
  const url = new URL(text);
  if (url.username || url.password) {
    report(urlPath, {
      message: 'a relay URL cannot contain a user name or password',
      hint: 'Remove them: a relay knows you by your identity.',
    });
  }
}

function checkRepeated(relay: RelayRef, first: RelayRef | undefined, report: Report): void {
  if (!first) return;
  const inChain = relay.path[0] === 'chains';
  report(relay.urlPath, {
    message: `this relay is a duplicate of ${subject(first.path)}`,
    hint: inChain ? 'A chain uses each relay once.' : 'Keep one of the two.',
  });
}

/** An agent has one connection per relay, so each relay can have only one CA, however often the file names it. */
function checkSameCa(root: Tree, relay: RelayRef, first: RelayRef | undefined, report: Report): void {
  if (!first || first.ca === relay.ca) return;
  // An included file may write the same path in another way.
  if (first.ca !== undefined && relay.ca !== undefined && normalize(first.ca) === normalize(relay.ca)) return;
  const place = placeOf(root, first.caPath);
  report(relay.caPath, {
    message: `this relay has a different \`ca\` on ${lineOf(place, placeOf(root, relay.caPath).source)}`,
    hint: 'Use the same `ca` in both places, or set it only once.',
  });
}
