import { openLocalCa } from '../../certificates/local-ca.js';
import { shellQuote } from '../../lib/shell-quote.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';
import { changeStore, inspectStore, type Change, type StoreReport } from '../trust/change.js';
import { commandLines, describeStore, summarizeStore } from '../trust/describe.js';
import { thisMachine } from '../trust/machine.js';
import type { StoreKind } from '../trust/store.js';
import { trustedCertificate, trustNotes, trustStores } from '../trust/stores.js';
import { createStyle } from '../text/style.js';

interface Options {
  readonly install?: true;
  readonly uninstall?: true;
  readonly store?: readonly StoreKind[];
}

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const { stdout, stderr } = context;
  const opened = await openLocalCa(context.paths.caDir, {
    onCreated: (_file, replaces) =>
      stderr.note(
        replaces === undefined
          ? 'created a local CA'
          : `replaced the local CA, because its certificate ${replaces}`,
      ),
  });
  const { certificateFile: ca, certificatePem, fingerprint } = opened;
  const machine = thisMachine(context.env);
  const stores = trustStores(machine, trustedCertificate(ca, certificatePem), options.store);
  const change = options.install ? 'install' : options.uninstall ? 'uninstall' : undefined;
  const style = createStyle(stderr.color);
  if (!context.json) {
    stdout.data(ca);
    stderr.note(`SHA-256 ${fingerprint}`);
    stderr.note(
      style.dim(
        'The CA issues certificates for local names only (localhost, *.test, …). Its key stays on this machine.',
      ),
    );
    stderr.note();
  }
  const reports: StoreReport[] = [];
  for (const store of stores) {
    const report = await (change ? changeStore(store, change) : inspectStore(store));
    reports.push(report);
    if (context.json) continue;
    for (const line of describeStore(report, style)) stderr.note(line);
    for (const line of commandLines(report, change)) stderr.noteCommand(line);
  }
  const notes = trustNotes(machine, stores, ca, { kinds: options.store, change });
  const node = { NODE_EXTRA_CA_CERTS: ca };
  if (context.json)
    printEvent(context, 'trust', { ca, fingerprint, env: node, stores: reports.map(summarizeStore), notes });
  else {
    stderr.note();
    if (change === undefined && stores.length > 0)
      stderr.note('`portal trust --install` adds the CA to all stores; `--uninstall` removes it.');
    if (reports.some(({ outcome }) => outcome === 'installed' || outcome === 'removed'))
      stderr.note('Restart running browsers.');
    for (const note of notes) stderr.note(style.dim(note));
    if (change !== 'uninstall')
      stderr.noteCommand(`Node.js programs: export NODE_EXTRA_CA_CERTS=${shellQuote(ca)}`);
  }
  return exitCode(reports, change);
}

/** 1 if a store failed, or every store was skipped. */
function exitCode(reports: readonly StoreReport[], change: Change | undefined): ExitCode {
  if (change === undefined) return 0;
  const outcomes = reports.map(({ outcome }) => outcome);
  return outcomes.includes('failed') || outcomes.every((outcome) => outcome === 'skipped') ? 1 : 0;
}
